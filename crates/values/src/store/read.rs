//! The contents of a store.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::error::damaged;
use super::{Result, Store};
use crate::{Answer, CardId, Deliberation, Vote};

/// All votes ever given, the oldest first.
pub(super) const LOG: &str = "SELECT id, voter, source, wiser, context, answer FROM votes ORDER BY id";

impl Store {
    /// Everything but the transcripts, the whole log of votes.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`] for a failed read.
    pub fn read(&self) -> Result<Deliberation> {
        self.with_votes(false)
    }

    /// The deliberation with counting votes only, as rankings need it.
    ///
    /// The later of two answers to a question counts.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`] for a failed read.
    pub fn read_counted(&self) -> Result<Deliberation> {
        self.with_votes(true)
    }

    fn with_votes(&self, counted: bool) -> Result<Deliberation> {
        // One snapshot of the store, whatever others write meanwhile; inside a change it is one already.
        let moment = self.db.is_autocommit().then(|| self.db.unchecked_transaction());
        let _moment = moment.transpose().map_err(|e| self.error(e))?;
        let mut read = Deliberation {
            cards: self.bodies("SELECT body FROM cards ORDER BY id")?,
            contexts: self.rows("SELECT name FROM contexts ORDER BY id", |row| row.get(0))?,
            stories: self.bodies("SELECT body FROM stories ORDER BY id")?,
            edges: self.bodies("SELECT body FROM edges ORDER BY id")?,
            ..Deliberation::default()
        };
        let merged = "SELECT a.name, b.name FROM cards a JOIN cards b ON a.merged_into = b.id";
        read.merged = self.rows(merged, |row| Ok((card(row, 0)?, card(row, 1)?)))?.into_iter().collect();
        let apart = "SELECT a.name, b.name FROM apart JOIN cards a ON a.id = one JOIN cards b ON b.id = other";
        read.apart = self.rows(apart, |row| Ok((card(row, 0)?, card(row, 1)?)))?.into_iter().collect();
        let groups = "SELECT name, crowd FROM voters WHERE crowd IS NOT NULL";
        read.groups = self.rows(groups, |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect();
        for (name, body) in
            self.rows("SELECT name, body FROM extra", |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        {
            read.extra.insert(name, self.parse(&body)?);
        }
        // A check of everything that the tables do not enforce, which is all but the votes.
        read.check().map_err(|e| damaged(&self.path, e))?;
        read.votes = self.votes(counted)?;
        Ok(read)
    }

    /// The log, or what of it counts.
    ///
    /// Names are looked up here: a query with a join would sort the log.
    fn votes(&self, counted: bool) -> Result<Vec<Vote>> {
        let names = |table: &str| -> Result<HashMap<i64, String>> {
            let rows = self.rows(&format!("SELECT id, name FROM {table}"), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.into_iter().collect())
        };
        let (voters, contexts) = (names("voters")?, names("contexts")?);
        let cards: HashMap<i64, CardId> =
            names("cards")?.into_iter().map(|(id, name)| (id, CardId::from(name.as_str()))).collect();
        let mut last: Vec<i64> =
            if counted { self.rows("SELECT vote FROM answers", |row| row.get(0))? } else { vec![] };
        last.sort_unstable();
        let mut last = last.into_iter().peekable();
        let log = self.rows(LOG, |row| {
            if counted && last.next_if_eq(&row.get::<_, i64>(0)?).is_none() {
                return Ok(None);
            }
            let card = |column| Ok::<_, rusqlite::Error>(cards.get(&row.get::<_, i64>(column)?).cloned());
            let (voter, context) =
                (voters.get(&row.get::<_, i64>(1)?).cloned(), contexts.get(&row.get::<_, i64>(4)?).cloned());
            Ok(Some((voter, card(2)?, card(3)?, context, answer(row, 5)?)))
        })?;
        let whole = |(voter, from, to, context, answer)| {
            let vote = || Some(Vote { voter: voter?, from: from?, to: to?, context: context?, answer });
            vote().ok_or_else(|| damaged(&self.path, "a vote's reference is dangling"))
        };
        log.into_iter().flatten().map(whole).collect()
    }

    /// A number that changes with every change by another program.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn version(&self) -> Result<i64> {
        self.db.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(|e| self.error(e))
    }

    /// Rows of a query.
    pub(super) fn rows<T>(&self, query: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let rows = || -> rusqlite::Result<Vec<T>> { self.db.prepare(query)?.query_map([], read)?.collect() };
        rows().map_err(|e| self.error(e))
    }

    /// JSON that a query returns.
    fn bodies<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        self.rows(query, |row| row.get::<_, String>(0))?.iter().map(|body| self.parse(body)).collect()
    }

    fn parse<T: DeserializeOwned>(&self, body: &str) -> Result<T> {
        serde_json::from_str(body).map_err(|e| damaged(&self.path, e))
    }

    /// What was measured for a model; `None` where nothing was.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`] for a failed read.
    pub fn calibration(&self, name: &str) -> Result<Option<String>> {
        let found = self.db.query_row("SELECT body FROM calibrations WHERE name = ?", [name], |row| row.get(0));
        found.optional().map_err(|e| self.error(e))
    }

    /// The names of the conversations that are kept.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`] for a failed read.
    pub fn transcripts(&self) -> Result<Vec<String>> {
        self.rows("SELECT name FROM transcripts ORDER BY name", |row| row.get(0))
    }

    /// A conversation; `None` where there is none of this name.
    ///
    /// # Errors
    /// As [`Store::transcripts`].
    pub fn transcript(&self, name: &str) -> Result<Option<String>> {
        let found = self.db.query_row("SELECT body FROM transcripts WHERE name = ?", [name], |row| row.get(0));
        found.optional().map_err(|e| self.error(e))
    }
}

fn card(row: &Row<'_>, column: usize) -> rusqlite::Result<CardId> {
    Ok(CardId::from(row.get_ref(column)?.as_str()?))
}

fn answer(row: &Row<'_>, column: usize) -> rusqlite::Result<Answer> {
    Ok(match row.get(column)? {
        0 => Answer::No,
        1 => Answer::Yes,
        // The table's constraint allows no other value.
        _ => Answer::Unsure,
    })
}
