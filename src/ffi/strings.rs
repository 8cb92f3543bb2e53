//! Strings and bytes across the boundary.

use std::ffi::{CStr, CString, c_char};

use serde::Serialize;

use super::boundary::{Failure, Give, Outcome};
use crate::Status;

/// A string that must be there.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that stays unchanged during the call.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Outcome<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { optional(text, name) }?
        .ok_or_else(|| Failure::new(Status::NULL_ARGUMENT, format!("{name}: NULL, expected a string")))
}

/// A string that may be NULL.
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn optional<'a>(text: *const c_char, name: &str) -> Outcome<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller promises the rest.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes
        .to_str()
        .map(Some)
        .map_err(|e| Failure::new(Status::INVALID_UTF8, format!("{name}: not UTF-8 at byte {}", e.valid_up_to())))
}

impl Give for String {
    type Given = *mut c_char;

    fn give(self) -> Outcome<*mut c_char> {
        // JSON and messages hold no NUL; a label cannot either.
        let text = self.replace('\0', "");
        Ok(CString::new(text).map(CString::into_raw).unwrap_or(std::ptr::null_mut()))
    }
}

/// A document that C receives as JSON.
pub(super) fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("plain data becomes JSON")
}

/// Frees a string that this library returned.
///
/// - `text`: yours until this call, from any thread; each string is freed once. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from `CString::into_raw`, by the contract.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Frees bytes that this library returned.
///
/// - `bytes`: yours until this call, from any thread; freed once. NULL does nothing.
/// - `length`: the length that came with them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_bytes_free(bytes: *mut u8, length: usize) {
    if !bytes.is_null() {
        // SAFETY: it came from a boxed slice of that length, by the contract.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, length)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_cross_and_come_back() {
        let given = "a l\u{e9}tter".to_owned().give().unwrap();
        // SAFETY: the string is ours until it is freed.
        unsafe {
            assert_eq!(text(given, "text").unwrap(), "a l\u{e9}tter");
            probity_string_free(given);
            probity_string_free(std::ptr::null_mut());
            assert_eq!(optional(std::ptr::null(), "text").unwrap(), None);
            assert_eq!(text(std::ptr::null(), "text").unwrap_err().status, Status::NULL_ARGUMENT);
            let wrong = b"ab\xff\0";
            assert_eq!(text(wrong.as_ptr().cast(), "text").unwrap_err().status, Status::INVALID_UTF8);
        }
    }
}
