//! The one way in and out: panics stop here, errors become numbers and messages.

use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::status::{
    PROBITY_ERROR_MESSAGE_SIZE, PROBITY_STATUS_NULL_ARGUMENT, PROBITY_STATUS_OK, PROBITY_STATUS_PANIC, code_of,
    probity_error_t, probity_status_t,
};
use crate::Error;

/// An error on its way to C.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: probity_status_t,
    pub message: String,
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn new(status: probity_status_t, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::new(code_of(&e), e.to_string())
    }
}

/// Runs a function's body; whatever happens in it becomes a status and, where `error` is given, a message.
///
/// # Safety
/// `error` is NULL or points to a [`probity_error_t`] that may be written.
pub(super) unsafe fn boundary(error: *mut probity_error_t, body: impl FnOnce() -> Outcome<()>) -> probity_status_t {
    // Objects that a panic may leave half-changed stay behind a lock. A poisoned agent answers with PANIC from then on; a graph is
    // replaced as a whole or not at all, and goes on.
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return PROBITY_STATUS_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(PROBITY_STATUS_PANIC, format!("defect in the library: {}", text_of(&*panic))),
    };
    if !error.is_null() {
        // SAFETY: not NULL, and the caller promises that it may be written.
        unsafe { write(error, &failure) }
    }
    failure.status
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

unsafe fn write(error: *mut probity_error_t, failure: &Failure) {
    let mut message: [c_char; PROBITY_ERROR_MESSAGE_SIZE] = [0; PROBITY_ERROR_MESSAGE_SIZE];
    // Cut at a character, with room for the NUL.
    let mut end = failure.message.len().min(PROBITY_ERROR_MESSAGE_SIZE - 1);
    while !failure.message.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in message.iter_mut().zip(failure.message[..end].bytes().filter(|b| *b != 0)) {
        *to = from as c_char;
    }
    // SAFETY: the caller's promise; the struct may be uninitialised, so it is written, not assigned.
    unsafe { error.write(probity_error_t { status: failure.status, message }) }
}

/// Refuses NULL for an output, before anything is done.
pub(super) fn require<T>(pointer: *mut T, name: &str) -> Outcome<()> {
    if pointer.is_null() {
        return Err(Failure::new(
            PROBITY_STATUS_NULL_ARGUMENT,
            format!("{name}: NULL, expected a place for the result"),
        ));
    }
    Ok(())
}

/// A slice from a pointer and a count; NULL with a count of 0 is the empty slice.
///
/// # Safety
/// A pointer that is not NULL points to `count` values that stay unchanged during the call.
pub(super) unsafe fn slice<'a, T>(pointer: *const T, count: usize, name: &str) -> Outcome<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::new(PROBITY_STATUS_NULL_ARGUMENT, format!("{name}: NULL, expected {count} values")));
    }
    // SAFETY: not NULL, and the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// A mutable slice of exactly the needed length.
///
/// # Safety
/// A pointer that is not NULL points to `count` values that nobody else uses during the call.
pub(super) unsafe fn slice_mut<'a, T>(
    pointer: *mut T,
    count: usize,
    needed: usize,
    name: &str,
) -> Outcome<&'a mut [T]> {
    require(pointer, name)?;
    if count != needed {
        let message = format!("{name}: room for {count} values, expected {needed}");
        return Err(Failure::new(super::status::PROBITY_STATUS_BUFFER_SIZE, message));
    }
    // SAFETY: not NULL, and the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) })
}
