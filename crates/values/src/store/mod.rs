//! A deliberation in one SQLite file: concurrent, and safe from crashes.
//!
//! Floor 2.
//!
//! Cards may be edited and transcripts deleted for good. Votes are only appended. Derived tables are rebuilt if they do
//! not match the votes. Called by the command line, the interview and the C boundary.

mod change;
mod error;
mod open;
mod read;

use std::path::PathBuf;

use rusqlite::Connection;

use self::error::explain;

pub use self::error::{Result, StoreError};

/// An open store.
///
/// ```
/// use probity_values::store::Store;
/// use probity_values::{Answer, ValuesCard, Vote};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("values.db");
/// let mut store = Store::open_or_create(&path)?;
/// store.change(|held| {
///     for (id, title) in [("1", "Advice"), ("2", "Presence")] {
///         let policies = vec!["MOMENTS of silence".into()];
///         held.cards.push(ValuesCard::new(id.into(), title, "A way to be a friend.", policies));
///     }
///     Ok(())
/// })?;
/// store.vote(&Vote {
///     voter: "ann".into(),
///     from: "1".into(),
///     to: "2".into(),
///     context: "When a friend grieves".into(),
///     answer: Answer::Yes,
/// })?;
/// assert_eq!(store.read()?.votes.len(), 1);
/// # Ok(())
/// # }
/// ```
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
