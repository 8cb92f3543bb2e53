//! Floor 2: a deliberation in one SQLite file, which several programs may use at once and which a crash leaves as it was.
//!
//! Cards may be edited, transcripts deleted for good; votes are only ever added, and what is derived from them is built anew
//! where it does not match. Called by the command line, the interview and the C boundary.
#![forbid(unsafe_code)]

mod change;
mod error;
mod open;
mod read;

use std::path::PathBuf;

use rusqlite::Connection;

use self::error::explain;

pub use self::error::{Result, StoreError};

/// An open store.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// The error that SQLite's is to whoever uses the store.
    fn error(&self, e: rusqlite::Error) -> StoreError {
        explain(&self.path, &e)
    }
}
