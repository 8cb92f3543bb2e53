//! Errors of a store, with SQLite's reasons in the user's words.

use std::path::Path;

use rusqlite::ErrorCode;

use super::open::PATIENCE;
use crate::ValuesError;

/// Result of every fallible operation on a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An error of a store of values.
///
/// ```
/// use probity_values::store::{Store, StoreError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("values.db");
/// std::fs::write(&path, "no store of values, but long enough for SQLite to look at it")?;
/// let error = Store::open(&path).err().unwrap();
/// assert!(matches!(error, StoreError::NoStore { .. }));
/// assert!(error.is_bad_input());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is no store of values, damaged, or of a newer version.
    #[error("{file}: {problem}")]
    NoStore {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A store of values that is locked, or that cannot be read or written to.
    #[error("{file}: {problem}")]
    Unavailable {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A card, vote or graph that is wrong.
    #[error(transparent)]
    Values(#[from] ValuesError),
}

impl StoreError {
    /// Whether the input was wrong, rather than the work failing on good input.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Unavailable { .. })
    }

    /// Wraps a system error with the path it happened at.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }
}

/// What there is to say of a store that holds what none can.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> StoreError {
    let problem = format!("is damaged ({what}), expected an intact store: restore a copy");
    StoreError::NoStore { file: path.display().to_string(), problem }
}

/// Says what went wrong with a store, and what to do about it.
pub(super) fn explain(path: &Path, e: &rusqlite::Error) -> StoreError {
    let file = path.display().to_string();
    let full = || StoreError::Io { path: file.clone(), source: std::io::ErrorKind::StorageFull.into() };
    let none = |problem| StoreError::NoStore { file: file.clone(), problem };
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    if let FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..) = e {
        return damaged(path, e);
    }
    let problem = match e.sqlite_error_code() {
        // The shared-memory file is created beside the store, and SQLite gives no reason when that fails.
        Some(ErrorCode::DiskFull) => return full(),
        Some(ErrorCode::SystemIoFailure)
            if e.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
        {
            return full();
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("cannot be read or written ({e}), expected a working disk with free space")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("locked by another program for {} s, try again", PATIENCE.as_secs())
        }
        Some(ErrorCode::ReadOnly) => "is read-only, expected a writable file in a writable folder".into(),
        Some(ErrorCode::NotADatabase) => {
            return none("is no store, expected a store of `probity values`".into());
        }
        Some(ErrorCode::DatabaseCorrupt) => return damaged(path, e),
        Some(ErrorCode::CannotOpen) => {
            format!("cannot be opened ({e}), expected a file in a writable folder")
        }
        _ => e.to_string(),
    };
    StoreError::Unavailable { file, problem }
}
