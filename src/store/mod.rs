//! Floor 2: a deliberation in one SQLite file, which several programs may use at once and which a crash leaves as it was.
//!
//! Cards may be edited, transcripts deleted for good; votes are only ever added, and what is derived from them is built anew
//! where it does not match. Called by the command line, the interview and the C boundary.
#![forbid(unsafe_code)]

mod open;
mod read;
mod write;

use std::path::PathBuf;

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

/// Says what went wrong with a store, and what to do about it.
fn explain(path: &std::path::Path, e: &rusqlite::Error) -> Error {
    let file = path.display().to_string();
    let none = |problem| Error::NoStore { file: file.clone(), problem };
    let problem = match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            return Error::Io { path: file, source: std::io::ErrorKind::StorageFull.into() };
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("locked by another program for {} s, try again", open::PATIENCE.as_secs())
        }
        Some(ErrorCode::ReadOnly) => "cannot be written to, expected a file and a folder that can".into(),
        Some(ErrorCode::NotADatabase) => {
            return none("is no store, expected a file that `probity values` made".into());
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            return none(format!("is damaged ({e}), expected an intact store: go back to a copy"));
        }
        Some(ErrorCode::CannotOpen) => {
            format!("cannot be opened ({e}), expected a file in a folder that can be written to")
        }
        _ => e.to_string(),
    };
    Error::Store { file, problem }
}
