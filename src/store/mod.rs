//! Floor 2: a deliberation in one SQLite file, which several programs may use at once and which a crash leaves as it was.
//!
//! Cards may be edited, transcripts deleted for good; votes are only ever added, and what is derived from them is built anew
//! where it does not match. Called by the command line, the interview and the C boundary.
#![forbid(unsafe_code)]

mod open;
mod read;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use crate::Error;

/// An open store.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// The error that SQLite's is to whoever uses the store.
    fn error(&self, e: rusqlite::Error) -> Error {
        explain(&self.path, &e)
    }
}

/// What there is to say of a store that holds what none can.
fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    let problem = format!("is damaged ({what}), expected an intact store: go back to a copy");
    Error::NoStore { file: path.display().to_string(), problem }
}

/// Says what went wrong with a store, and what to do about it.
fn explain(path: &Path, e: &rusqlite::Error) -> Error {
    let file = path.display().to_string();
    let full = || Error::Io { path: file.clone(), source: std::io::ErrorKind::StorageFull.into() };
    let none = |problem| Error::NoStore { file: file.clone(), problem };
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    if let FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..) = e {
        return damaged(path, e);
    }
    let problem = match e.sqlite_error_code() {
        // The memory that programs share beside the file is made with it, and does not say why it cannot be.
        Some(ErrorCode::DiskFull) => return full(),
        Some(ErrorCode::SystemIoFailure)
            if e.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
        {
            return full();
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("cannot be read or written ({e}), expected a disk with room that works")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("locked by another program for {} s, try again", open::PATIENCE.as_secs())
        }
        Some(ErrorCode::ReadOnly) => "cannot be written to, expected a file and a folder that can".into(),
        Some(ErrorCode::NotADatabase) => {
            return none("is no store, expected a file that `probity values` made".into());
        }
        Some(ErrorCode::DatabaseCorrupt) => return damaged(path, e),
        Some(ErrorCode::CannotOpen) => {
            format!("cannot be opened ({e}), expected a file in a folder that can be written to")
        }
        _ => e.to_string(),
    };
    Error::Store { file, problem }
}
