//! Strings and bytes across the boundary.

use std::ffi::{CStr, CString, c_char};

use super::boundary::{Failure, Outcome};
use super::status::{PROBITY_STATUS_INVALID_UTF8, PROBITY_STATUS_NULL_ARGUMENT};

/// A string that must be there.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that stays unchanged during the call.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Outcome<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { optional(text, name) }?
        .ok_or_else(|| Failure::new(PROBITY_STATUS_NULL_ARGUMENT, format!("{name}: NULL, expected a string")))
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
    bytes.to_str().map(Some).map_err(|e| {
        Failure::new(PROBITY_STATUS_INVALID_UTF8, format!("{name}: not UTF-8 at byte {}", e.valid_up_to()))
    })
}

/// Hands a string out; `probity_string_free` takes it back.
pub(super) fn give(text: String) -> *mut c_char {
    // JSON and messages hold no NUL; a label cannot either.
    let text = text.replace('\0', "");
    CString::new(text).map(CString::into_raw).unwrap_or(std::ptr::null_mut())
}

/// Frees a string that this library returned. NULL is fine; a string must be freed once.
///
/// # Safety
/// `text` is NULL or came from this library and was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from `CString::into_raw`, by the caller's promise.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Frees bytes that this library returned, with the length it returned. NULL is fine; they must be freed once.
///
/// # Safety
/// `bytes` is NULL or came from this library with this `length` and was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_bytes_free(bytes: *mut u8, length: usize) {
    if !bytes.is_null() {
        // SAFETY: it came from a boxed slice of that length, by the caller's promise.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, length)) });
    }
}
