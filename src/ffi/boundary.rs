//! The boundary of a call: panics stop, errors become numbers and messages.

use std::any::Any;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use probity_engine::StandardFloats;

use super::status::{PROBITY_ERROR_MESSAGE_SIZE, probity_error_t, probity_status_t};
use crate::{Error, Status};

/// An error on its way to C.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: Status,
    pub message: String,
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// Whatever the library returns as an error.
impl<E: Into<Error>> From<E> for Failure {
    fn from(e: E) -> Self {
        let e = e.into();
        Self::new(e.status(), e.to_string())
    }
}

/// A result that C receives through a pointer.
pub(super) trait Give {
    /// What C receives.
    type Given;

    /// Hands it out.
    fn give(self) -> Outcome<Self::Given>;
}

/// Runs the body of a function without a result.
///
/// # Safety
/// `error` is NULL or points to a [`probity_error_t`] that may be written.
pub(super) unsafe fn call(error: *mut probity_error_t, body: impl FnOnce() -> Outcome<()>) -> probity_status_t {
    // An agent that a panic left half-changed is marked as broken and answers with PANIC from then on. A graph is
    // replaced as a whole or not at all, and stays usable.
    let guarded = || {
        // In the child of a fork every other thread is gone, and with it whoever held a lock.
        probity_engine::check_process()?;
        let _floats = StandardFloats::enter();
        body()
    };
    let failure = match catch_unwind(AssertUnwindSafe(guarded)) {
        Ok(Ok(())) => return Status::OK.number(),
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(Status::PANIC, format!("defect in the library: {}", message_of(&*panic))),
    };
    if !error.is_null() {
        // SAFETY: not NULL, and the caller promises that it may be written.
        unsafe { write(error, &failure) }
    }
    failure.status.number()
}

/// Runs the body of a function that writes a result to `out`.
///
/// `out` is written if the body succeeds. A NULL `out` is refused before the body runs, by the name of the argument.
///
/// # Safety
/// `out` is NULL or may be written; `error` as in [`call`].
pub(super) unsafe fn call_for<T: Give>(
    out: *mut T::Given,
    name: &str,
    error: *mut probity_error_t,
    body: impl FnOnce() -> Outcome<T>,
) -> probity_status_t {
    let body = || {
        require(out, name)?;
        let given = body()?.give()?;
        // SAFETY: not NULL, checked above, and the caller promises that it may be written.
        unsafe { out.write(given) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { call(error, body) }
}

/// The largest size that is believed of a [`Versioned`] struct, bytes.
///
/// A size that a caller forgot may be any number.
const MOST_BYTES: usize = 4096;

/// A struct whose first field tells its size.
///
/// So later versions may add fields at its end.
///
/// # Safety
/// The struct starts with a `usize`, and any bits that C may write as its fields' types are valid.
pub(super) unsafe trait Versioned: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// What stands for absent fields.
    const DEFAULT: Self;
    /// The size of its first version, bytes.
    const FIRST: usize;

    /// The struct that a caller gave, whichever version of it the caller has.
    ///
    /// # Safety
    /// `given` is NULL or points to as many bytes as its first field says.
    unsafe fn read(given: *const Self, name: &str) -> Outcome<Self> {
        if given.is_null() {
            let message = format!("{name}: NULL, expected a {}", Self::NAME);
            return Err(Failure::new(Status::NULL_ARGUMENT, message));
        }
        let bytes = given.cast::<u8>();
        // SAFETY: the size comes first in every version.
        let size = unsafe { given.cast::<usize>().read_unaligned() };
        if !(Self::FIRST..=MOST_BYTES).contains(&size) {
            let message = format!("{name}: a size of {size}, expected sizeof({}), {}", Self::NAME, Self::FIRST);
            return Err(Failure::new(Status::OPTION, message));
        }
        // SAFETY: the caller's promise. The fields that a newer caller adds are unknown here, and must be at their
        // defaults.
        let newer =
            unsafe { slice(bytes.wrapping_add(size_of::<Self>()), size.saturating_sub(size_of::<Self>()), name)? };
        if newer.iter().any(|&byte| byte != 0) {
            let message = format!("{name}: a field that this version of the library does not know, expected 0");
            return Err(Failure::new(Status::OPTION, message));
        }
        let mut known = MaybeUninit::new(Self::DEFAULT);
        // SAFETY: no more bytes than either has; every field takes any bytes that C wrote as its type.
        Ok(unsafe {
            bytes.copy_to_nonoverlapping(known.as_mut_ptr().cast(), size.min(size_of::<Self>()));
            known.assume_init()
        })
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// # Safety
/// `error` may be written.
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
    unsafe { error.write(probity_error_t { status: failure.status.number(), message }) }
}

/// Refuses NULL for an output, before any work is done.
pub(super) fn require<T>(pointer: *mut T, name: &str) -> Outcome<()> {
    if pointer.is_null() {
        let message = format!("{name}: NULL, expected a place for the result");
        return Err(Failure::new(Status::NULL_ARGUMENT, message));
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
        return Err(Failure::new(Status::NULL_ARGUMENT, format!("{name}: NULL, expected {count} values")));
    }
    // SAFETY: not NULL, and the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// A caller's array for results, of exactly the needed length.
///
/// C does not initialise it, so no reference to it is made.
pub(super) struct Array<T> {
    start: *mut T,
    length: usize,
}

impl<T> Array<T> {
    /// Refuses NULL, and another length than `needed`.
    pub fn new(start: *mut T, length: usize, needed: usize, name: &str) -> Outcome<Self> {
        require(start, name)?;
        if length != needed {
            let message = format!("{name}: room for {length} values, expected {needed}");
            return Err(Failure::new(Status::BUFFER_SIZE, message));
        }
        Ok(Self { start, length })
    }

    /// Writes the values.
    ///
    /// # Safety
    /// The array may be written as far as its length says, and nobody else uses it.
    pub unsafe fn write(self, values: impl Iterator<Item = T>) {
        for (i, value) in values.take(self.length).enumerate() {
            // SAFETY: within the length; the caller's promise.
            unsafe { self.start.add(i).write(value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second version of a struct: the first ended after `old`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Options {
        size: usize,
        old: u32,
        new: u64,
    }

    // SAFETY: plain numbers.
    unsafe impl Versioned for Options {
        const NAME: &'static str = "options_t";
        const DEFAULT: Self = Self { size: size_of::<Self>(), old: 7, new: 9 };
        const FIRST: usize = 12;
    }

    /// Reads `size` bytes of a struct, at an odd address, with nothing behind.
    fn read(size: usize, bytes: &[u8]) -> Outcome<Options> {
        let mut given = [&[0xff], &size.to_ne_bytes()[..], bytes].concat();
        given.truncate(size.max(8).saturating_add(1));
        given.shrink_to_fit();
        // SAFETY: as many bytes as the size says, at least the size itself.
        unsafe { Options::read(given.as_ptr().add(1).cast(), "options") }
    }

    #[test]
    fn a_struct_of_any_version_is_read() {
        let fields = [1_u32.to_ne_bytes().as_slice(), &[0; 4], &2_u64.to_ne_bytes(), &[0; 8]].concat();
        assert_eq!(read(12, &fields[..4]).unwrap(), Options { size: 12, old: 1, new: 9 });
        assert_eq!(read(24, &fields[..16]).unwrap(), Options { size: 24, old: 1, new: 2 });
        assert_eq!(read(32, &fields).unwrap(), Options { size: 32, old: 1, new: 2 });
        for (size, bytes) in [(0, &[][..]), (11, &fields[..3]), (32, &[1; 24]), (4097, &[0; 4096]), (usize::MAX, &[])] {
            assert_eq!(read(size, bytes).unwrap_err().status, Status::OPTION, "{size}");
        }
        // SAFETY: NULL is refused.
        let refused = unsafe { Options::read(std::ptr::null(), "options") }.unwrap_err();
        assert_eq!(refused.status, Status::NULL_ARGUMENT);
    }

    #[test]
    fn a_slice_is_empty_or_there() {
        let values = [1, 2, 3_u32];
        // SAFETY: three values, or none.
        unsafe {
            assert_eq!(slice(values.as_ptr(), 3, "values").unwrap(), values);
            assert!(slice::<u32>(std::ptr::null(), 0, "values").unwrap().is_empty());
            assert_eq!(slice::<u32>(std::ptr::null(), 1, "values").unwrap_err().status, Status::NULL_ARGUMENT);
        }
    }

    #[test]
    fn a_message_is_cut_at_a_letter_and_written_to_fresh_memory() {
        let mut error = MaybeUninit::<probity_error_t>::uninit();
        for n in [0, 1, PROBITY_ERROR_MESSAGE_SIZE / 2, PROBITY_ERROR_MESSAGE_SIZE] {
            let failure = Failure::new(Status::OPTION, format!("a{}", "\u{e9}".repeat(n)));
            // SAFETY: the place may be written, and is read after it was.
            let text = unsafe {
                write(error.as_mut_ptr(), &failure);
                std::ffi::CStr::from_ptr((&raw const (*error.as_ptr()).message).cast())
            };
            let text = text.to_str().expect("whole letters");
            assert!(failure.message.starts_with(text) && text.len() >= failure.message.len().min(502), "{n}");
        }
    }
}
