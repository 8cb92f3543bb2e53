//! Where a model's or an adapter's bytes are.

use std::fs::File;
use std::path::PathBuf;

use probity_engine::{Error, Source};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::errors;

/// A path, the descriptor of an open file, or bytes.
///
/// `offset` and `length` choose a section.
pub fn of(given: &Bound<'_, PyAny>, offset: u64, length: Option<u64>) -> PyResult<Source> {
    let whole = (offset, length) == (0, None);
    if let Ok(descriptor) = given.extract::<i32>() {
        // A file of its own: the caller's may be closed after the call.
        let name = PathBuf::from(format!("descriptor {descriptor}"));
        let file = File::open(format!("/dev/fd/{descriptor}")).map_err(Error::io(&name)).map_err(errors::of)?;
        return Source::section(file, offset, length, &name).map_err(errors::of);
    }
    if let Ok(path) = given.extract::<PathBuf>() {
        if whole {
            return Source::open(&path).map_err(errors::of);
        }
        let file = File::open(&path).map_err(Error::io(&path)).map_err(errors::of)?;
        return Source::section(file, offset, length, &path).map_err(errors::of);
    }
    let bytes: PyBackedBytes = given.extract().map_err(|_| {
        let kind = given.get_type().name().map_or_else(|_| "another object".into(), |name| name.to_string());
        PyTypeError::new_err(format!("source: {kind}, expected a path, bytes, or the descriptor of an open file"))
    })?;
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = length.map_or(bytes.len(), |length| start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)));
    if start > end || end > bytes.len() {
        let (given, expected) = (format!("{start} to {end}"), format!("at most the {} bytes", bytes.len()));
        return Err(errors::of(Error::Option { name: "offset and length", given, expected }));
    }
    Ok(Source::memory(Section { bytes, start, end }, "memory".as_ref()))
}

/// A part of Python's bytes, which are not copied.
struct Section {
    bytes: PyBackedBytes,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Section {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}
