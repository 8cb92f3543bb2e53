//! What a store holds.

use rusqlite::{OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::Store;
use crate::values::{Answer, CardId, Deliberation, Vote};
use crate::{Error, Result};

impl Store {
    /// Everything but the transcripts, the whole log of votes.
    ///
    /// # Errors
    /// [`Error::Store`] where it cannot be read.
    pub fn read(&self) -> Result<Deliberation> {
        self.with_votes("votes")
    }

    /// The same with the votes that count, of two answers to one question the later one: what rankings are made of.
    ///
    /// # Errors
    /// [`Error::Store`] where it cannot be read.
    pub fn read_counted(&self) -> Result<Deliberation> {
        self.with_votes("answers JOIN votes ON votes.id = answers.vote")
    }

    fn with_votes(&self, which: &str) -> Result<Deliberation> {
        // One moment of the store, whatever others write meanwhile; within a change it is one already.
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
        let votes = format!(
            "SELECT voters.name, a.name, b.name, contexts.name, votes.answer FROM {which}
             JOIN voters ON voters.id = votes.voter JOIN cards a ON a.id = votes.source JOIN cards b ON b.id = votes.wiser
             JOIN contexts ON contexts.id = votes.context ORDER BY votes.id"
        );
        for (name, body) in
            self.rows("SELECT name, body FROM extra", |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        {
            read.extra.insert(name, self.parse(&body)?);
        }
        // What the tables cannot hold together, which is all but the votes.
        read.check().map_err(|e| self.damaged(e))?;
        read.votes = self.rows(&votes, |row| {
            let (voter, context) = (row.get(0)?, row.get(3)?);
            Ok(Vote { voter, from: card(row, 1)?, to: card(row, 2)?, context, answer: answer(row, 4)? })
        })?;
        Ok(read)
    }

    /// Changes whenever another program changes the store; not by this one's own changes.
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
        serde_json::from_str(body).map_err(|e| self.damaged(e))
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        let problem = format!("is damaged ({what}), expected an intact store: go back to a copy");
        Error::NoStore { file: self.path.display().to_string(), problem }
    }

    /// What was measured for a model; `None` where nothing was.
    ///
    /// # Errors
    /// [`Error::Store`] where it cannot be read.
    pub fn calibration(&self, name: &str) -> Result<Option<String>> {
        let found = self.db.query_row("SELECT body FROM calibrations WHERE name = ?", [name], |row| row.get(0));
        found.optional().map_err(|e| self.error(e))
    }

    /// The names of the conversations that are kept.
    ///
    /// # Errors
    /// [`Error::Store`] where it cannot be read.
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
        0 => Answer::NoUpgrade,
        1 => Answer::Upgrade,
        // The table allows no other.
        _ => Answer::NotSure,
    })
}
