//! Opening a store: its version, integrity and derived tables.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior};

use super::error::explain;
use super::read::LOG;
use super::{Result, Store, StoreError};

/// How long to wait for another program to finish.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a file may stay empty that another program makes a store of.
const BIRTH: Duration = Duration::from_secs(1);
/// Marks the file as a store, in SQLite's header: "Prob".
const APPLICATION: i32 = 0x5072_6f62;
/// What leads from each version to the next.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_2.sql")];
/// The version that this program writes.
const VERSION: u32 = MIGRATIONS.len() as u32;

impl Store {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// [`StoreError::Io`] for a missing file; [`StoreError::NoStore`] for another kind of file, a damaged store, or a
    /// newer version; [`StoreError::Unavailable`] for a locked or read-only file.
    pub fn open(path: &Path) -> Result<Self> {
        let since = Instant::now();
        // Another program may be creating it.
        while std::fs::metadata(path).map_err(StoreError::io(path)).map(|there| there.is_file() && there.len() == 0)? {
            if since.elapsed() > BIRTH {
                return Err(none(path, "is empty, expected a store of `probity values`"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a store, a new one where there is none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_or_create(path: &Path) -> Result<Self> {
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    fn with(path: &Path, flags: OpenFlags) -> Result<Self> {
        // SQLite's own message would not name the cause.
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(none(path, "is no file, expected a store of `probity values`"));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::metadata(folder).map_err(StoreError::io(folder))?;
        }
        let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|e| explain(path, &e))?;
        let mut store = Self { db, path: path.to_owned() };
        let since = Instant::now();
        loop {
            match store.prepare() {
                Ok(()) => return Ok(store),
                // SQLite's timeout does not cover every wait, such as for another program's change of journal mode.
                Err(Problem::Sqlite(e)) if busy(&e) && since.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(Problem::Sqlite(e)) => return Err(store.error(e)),
                Err(Problem::Said(problem)) => return Err(none(path, problem)),
            }
        }
    }

    fn prepare(&mut self) -> std::result::Result<(), Problem> {
        self.db.busy_timeout(PATIENCE)?;
        // One transaction: another program may be creating the store.
        let moment = self.db.unchecked_transaction()?;
        let version: i32 = moment.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let application: i32 = moment.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables: u32 = moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        moment.finish()?;
        if application != APPLICATION && tables > 0 {
            return Err(Problem::Said("is another program's database, expected a store of `probity values`".into()));
        }
        let known = u32::try_from(version).ok().filter(|version| (*version > 0) == (tables > 0));
        let Some(version) = known else {
            let problem = format!("is damaged (version {version} with {tables} tables): restore a copy");
            return Err(Problem::Said(problem));
        };
        if version > VERSION {
            return Err(newer(version));
        }
        self.db.pragma_update(None, "foreign_keys", true)?;
        self.db.pragma_update(None, "secure_delete", true)?;
        // Committed data is on the disk.
        self.db.pragma_update(None, "synchronous", "FULL")?;
        if version < VERSION {
            // Returns the resulting mode; a file system without shared memory keeps the old mode, which works as well.
            let _: String = self.db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            self.migrate()?;
        }
        let sound: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(Problem::Said(format!("is damaged ({sound}), expected an intact store: restore a copy")));
        }
        if self.db.prepare("PRAGMA foreign_key_check")?.exists([])? {
            return Err(Problem::Said("is damaged (a reference is dangling): restore a copy".into()));
        }
        if !self.derived()? {
            self.rebuild_answers()?;
        }
        Ok(())
    }

    fn migrate(&mut self) -> std::result::Result<(), Problem> {
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another program may have migrated meanwhile, even to a newer version.
        let version: u32 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for migration in MIGRATIONS.get(version as usize..).ok_or_else(|| newer(version))? {
            change.execute_batch(migration)?;
        }
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", VERSION)?;
        Ok(change.commit()?)
    }

    /// Whether what is derived from the log is what follows from it.
    fn derived(&self) -> rusqlite::Result<bool> {
        let number = |row: &Row<'_>, first: usize| -> rusqlite::Result<[i64; 4]> {
            Ok([row.get(first)?, row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?])
        };
        let mut log = self.db.prepare(LOG)?;
        let log = log.query_map([], |row| Ok((number(row, 1)?, row.get::<_, i64>(0)?)))?;
        let mut last = log.collect::<rusqlite::Result<Vec<_>>>()?;
        last.sort_unstable();
        // Sorted latest first: the latest answer stays.
        last.reverse();
        last.dedup_by_key(|(question, _)| *question);
        // In the order of their key.
        let mut answers =
            self.db.prepare("SELECT voter, source, wiser, context, vote FROM answers ORDER BY 1, 2, 3, 4")?;
        let mut answers = answers.query([])?;
        let mut last = last.into_iter().rev();
        while let Some(answer) = answers.next()? {
            if last.next() != Some((number(answer, 0)?, answer.get(4)?)) {
                return Ok(false);
            }
        }
        Ok(last.next().is_none())
    }

    /// Derives anew, from the log, what is derived from it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be written.
    pub fn rebuild(&mut self) -> Result<()> {
        self.rebuild_answers().map_err(|e| self.error(e))
    }

    fn rebuild_answers(&mut self) -> rusqlite::Result<()> {
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(
            "DELETE FROM answers;
             INSERT INTO answers SELECT voter, source, wiser, context, max(id) FROM votes GROUP BY 1, 2, 3, 4;",
        )?;
        change.commit()
    }
}

fn busy(e: &rusqlite::Error) -> bool {
    matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn none(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::NoStore { file: path.display().to_string(), problem: problem.into() }
}

fn newer(version: u32) -> Problem {
    Problem::Said(format!("of version {version}, this program knows versions up to {VERSION}"))
}

/// What SQLite says, or what is said in its place.
enum Problem {
    Sqlite(rusqlite::Error),
    Said(String),
}

impl From<rusqlite::Error> for Problem {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sqlite(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another program may work between the read of the version and the lock.
    #[test]
    fn what_a_newer_program_made_meanwhile_is_left_alone() {
        let db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        let mut store = Store { db, path: "values.db".into() };
        assert!(
            matches!(store.migrate(), Err(Problem::Said(said)) if said.contains("this program knows versions up to"))
        );
        let version: u32 = store.db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, VERSION + 1);
    }
}
