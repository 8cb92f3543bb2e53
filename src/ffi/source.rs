//! Where the bytes of a model or an adapter are.

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::mem::offset_of;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use probity_engine::{Error as EngineError, Source, system};

use super::boundary::{Failure, Outcome, Versioned, slice};
use super::strings::{optional, text};
use super::user_data::{UserData, probity_user_data_free_t};
use crate::Status;

/// A file, by its path.
pub const PROBITY_SOURCE_FILE: u32 = 1;
/// An open file, by its descriptor.
pub const PROBITY_SOURCE_DESCRIPTOR: u32 = 2;
/// Bytes in memory.
pub const PROBITY_SOURCE_MEMORY: u32 = 3;

/// Where the bytes of a GGUF file are: a file, a section of one, or memory.
///
/// Set `size`, `kind`, the fields of the kind, and all others to 0; others that are not 0 are refused.
///
/// Nobody may change the bytes while an object that was made of them lives.
///
/// `probity_source_t source = {.size = sizeof source, .kind = PROBITY_SOURCE_FILE, .path = "model.gguf"};`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_source_t {
    /// `sizeof(probity_source_t)`.
    ///
    /// Later versions of the library add fields at the end.
    pub size: usize,
    /// One of `PROBITY_SOURCE_*`.
    pub kind: u32,
    /// The open file of `PROBITY_SOURCE_DESCRIPTOR`, readable and seekable.
    ///
    /// The library duplicates the descriptor, and neither uses nor changes its position. Yours may be closed after the
    /// call. On Windows it is the lower half of a file's `HANDLE`, `(int32_t)(intptr_t)handle`. A handle that does not
    /// let others read loses its position.
    pub descriptor: i32,
    /// The path of `PROBITY_SOURCE_FILE`; of the others the name in messages, or NULL.
    pub path: *const c_char,
    /// The bytes of `PROBITY_SOURCE_MEMORY`, which are not copied.
    ///
    /// They stay readable until `user_data_free` is called.
    pub bytes: *const c_void,
    /// Where the section starts in the file.
    pub offset: u64,
    /// Bytes of the section or the memory; 0 for a section to the end of its file.
    pub length: u64,
    /// Passed to `user_data_free` as it is.
    pub user_data: *mut c_void,
    /// Called with `user_data` once, after the last use of the bytes; NULL for none.
    ///
    /// It runs on the thread of the last call that used them, which may return after the last free. It is not called if
    /// the call fails.
    pub user_data_free: probity_user_data_free_t,
}

// SAFETY: plain numbers, pointers and a nullable function, which C may fill with any bits of their types.
unsafe impl Versioned for probity_source_t {
    const NAME: &'static str = "probity_source_t";
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        kind: 0,
        descriptor: 0,
        path: std::ptr::null(),
        bytes: std::ptr::null(),
        offset: 0,
        length: 0,
        user_data: std::ptr::null_mut(),
        user_data_free: None,
    };
    const FIRST: usize = offset_of!(Self, user_data_free) + size_of::<probity_user_data_free_t>();
}

impl probity_source_t {
    /// The source that a caller describes, with the flag of its data.
    ///
    /// # Safety
    /// The contract of the struct's fields.
    pub(super) unsafe fn open(source: *const Self) -> Outcome<(Source, Arc<AtomicBool>)> {
        // SAFETY: the caller's promise.
        let given = unsafe { Self::read(source, "source")? };
        // SAFETY: the caller's promise.
        let path = unsafe { optional(given.path, "path")? };
        let (user_data, owned) = UserData::new(given.user_data, given.user_data_free);
        let source = match given.kind {
            PROBITY_SOURCE_MEMORY => {
                refuse("offset", given.offset != 0, "a start in memory, expected 0")?;
                refuse("descriptor", given.descriptor != 0, "given with memory, expected 0")?;
                let length = usize::try_from(given.length).unwrap_or(usize::MAX);
                refuse("length", length > isize::MAX as usize, "beyond the address space")?;
                // SAFETY: the caller's promise: the bytes stay until `user_data_free`, which the owner calls last.
                let bytes = unsafe { slice(given.bytes.cast(), length, "bytes")? };
                Source::memory(Lent { bytes, _owner: user_data }, Path::new(path.unwrap_or("memory")))
            }
            kind @ (PROBITY_SOURCE_FILE | PROBITY_SOURCE_DESCRIPTOR) => {
                refuse("user_data_free", given.user_data_free.is_some(), "given with a file, expected NULL")?;
                refuse("user_data", !given.user_data.is_null(), "given with a file, expected NULL")?;
                refuse("bytes", !given.bytes.is_null(), "given with a file, expected NULL")?;
                let length = Some(given.length).filter(|&length| length > 0);
                let (name, file) = if kind == PROBITY_SOURCE_FILE {
                    refuse("descriptor", given.descriptor != 0, "given with a path, expected 0")?;
                    // SAFETY: the caller's promise.
                    let name = Path::new(unsafe { text(given.path, "path")? }).to_owned();
                    if (given.offset, length) == (0, None) {
                        return Ok((Source::open(&name)?, owned));
                    }
                    let file = File::open(&name);
                    (name, file)
                } else {
                    let name = path.map_or_else(|| format!("descriptor {}", given.descriptor), str::to_owned);
                    refuse("descriptor", given.descriptor < 0, "negative, expected an open file")?;
                    // SAFETY: not negative; the caller's promise that it is open, or an error of the system.
                    (name.into(), unsafe { system::duplicate(given.descriptor) })
                };
                Source::section(file.map_err(EngineError::io(&name))?, given.offset, length, &name)?
            }
            other => {
                let message = format!("kind: {other}, expected one of PROBITY_SOURCE_*");
                return Err(Failure::new(Status::OPTION, message));
            }
        };
        Ok((source, owned))
    }
}

fn refuse(field: &str, wrong: bool, why: &str) -> Outcome<()> {
    if wrong { Err(Failure::new(Status::OPTION, format!("{field}: {why}"))) } else { Ok(()) }
}

/// Memory that the host lends.
struct Lent {
    bytes: &'static [u8],
    _owner: UserData,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_memory_is_read_where_it_is() {
        let bytes = b"GGUF and more";
        let memory = probity_source_t {
            kind: PROBITY_SOURCE_MEMORY,
            bytes: bytes.as_ptr().cast(),
            length: 4,
            ..probity_source_t::DEFAULT
        };
        // SAFETY: the bytes outlive the sources.
        let open = |source: &probity_source_t| unsafe { probity_source_t::open(source) };
        let (source, owned) = open(&memory).unwrap();
        assert_eq!((source.length(), source.name()), (4, Path::new("memory")));
        assert!(!owned.load(std::sync::atomic::Ordering::Acquire), "not before the call has succeeded");
        assert!(source.header().is_err());
        let wrong = [
            probity_source_t { kind: 0, ..memory },
            probity_source_t { offset: 1, ..memory },
            probity_source_t { length: u64::MAX, ..memory },
            probity_source_t { bytes: std::ptr::null(), ..memory },
            probity_source_t { kind: PROBITY_SOURCE_FILE, ..memory },
            probity_source_t { kind: PROBITY_SOURCE_DESCRIPTOR, descriptor: -1, ..memory },
        ];
        assert!(wrong.iter().all(|source| open(source).is_err()));
    }
}
