//! Changes to a store, each in one transaction.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::{Result, Store, StoreError};
use crate::{Answer, CardId, Deliberation, Edge, ValuesError, Vote};

impl Store {
    /// Changes everything but transcripts as `change` does, which sees what is there.
    ///
    /// Cards and stories may be added and changed, votes only be appended; nothing is removed.
    ///
    /// # Errors
    /// The errors of `change` and of [`Deliberation::check`], and then nothing is changed; [`StoreError::Unavailable`]
    /// and [`StoreError::Io`] for a failed write.
    ///
    /// # Panics
    /// If earlier votes changed: a caller's mistake.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Deliberation) -> Result<T>) -> Result<T> {
        // The write lock comes before the read, so that nobody else changes the data in between.
        let whole = self.begin()?;
        let before = self.read()?;
        let mut after = before.clone();
        let returned = change(&mut after)?;
        after.check()?;
        assert!(after.votes.starts_with(&before.votes), "votes are only ever added");
        write(&whole, &before, &after).and_then(|()| whole.commit()).map_err(|e| self.error(e))?;
        Ok(returned)
    }

    /// Adds a vote to the log; it is kept when this returns.
    ///
    /// A new context and a new voter are added with it.
    ///
    /// # Errors
    /// [`StoreError::Values`] for an invalid vote, [`StoreError::Unavailable`] and [`StoreError::Io`] for a failed
    /// write.
    pub fn vote(&mut self, vote: &Vote) -> Result<()> {
        vote.check()?;
        let whole = self.begin()?;
        let place = || "vote".to_owned();
        let stands_for = |id: &CardId| {
            let find = "SELECT coalesce(merged_into, id) FROM cards WHERE name = ?";
            let found = whole.query_row(find, [id.as_str()], |row| row.get::<_, i64>(0)).optional();
            let found = found.map_err(|e| self.error(e))?;
            found.ok_or_else(|| StoreError::from(ValuesError::NoCard { place: place(), id: id.to_string() }))
        };
        if stands_for(&vote.from)? == stands_for(&vote.to)? {
            return Err(ValuesError::Itself { place: place(), id: vote.to.to_string() }.into());
        }
        add_vote(&whole, vote).and_then(|()| whole.commit()).map_err(|e| self.error(e))
    }

    /// Puts a voter into a group, who may be new.
    ///
    /// # Errors
    /// [`StoreError::Values`] for an invalid name, [`StoreError::Unavailable`] and [`StoreError::Io`] for a failed
    /// write.
    pub fn put_group(&mut self, voter: &str, group: &str) -> Result<()> {
        let groups = [(voter.to_owned(), group.to_owned())].into();
        Deliberation { groups, ..Deliberation::default() }.check()?;
        let whole = self.begin()?;
        put_group(&whole, voter, group).and_then(|()| whole.commit()).map_err(|e| self.error(e))
    }

    /// Keeps what was measured for a model, in place of what was there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and [`StoreError::Io`] for a failed write.
    pub fn put_calibration(&mut self, name: &str, body: &str) -> Result<()> {
        let put = "INSERT OR REPLACE INTO calibrations VALUES (?, ?)";
        self.db.execute(put, [name, body]).map(drop).map_err(|e| self.error(e))
    }

    /// Saves a conversation under a name.
    ///
    /// `before` is the conversation as last saved; `None` for a new conversation. If the store holds another text,
    /// because another program uses the name, the call returns `false` without a change.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and [`StoreError::Io`] for a failed write.
    pub fn put_transcript(&mut self, name: &str, before: Option<&str>, body: &str) -> Result<bool> {
        let put = match before {
            None => self.db.execute("INSERT OR IGNORE INTO transcripts VALUES (?, ?)", [name, body]),
            Some(before) => {
                self.db.execute("UPDATE transcripts SET body = ?3 WHERE (name, body) = (?1, ?2)", [name, before, body])
            }
        };
        Ok(put.map_err(|e| self.error(e))? > 0)
    }

    /// Deletes a conversation for good; `false` if there is none.
    ///
    /// Its bytes are overwritten in the file, and SQLite's log is emptied.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and [`StoreError::Io`] for a failed write. The call also fails while another program
    /// has the store open, because SQLite's log may still hold the bytes. Then the conversation's name alone is left,
    /// and the call can be repeated.
    pub fn forget(&mut self, name: &str) -> Result<bool> {
        // The name goes last, so that a repeated call still finds it.
        Ok(self.overwrite(name, Some(""))? && self.overwrite(name, None)?)
    }

    /// Replaces or deletes a conversation without a trace.
    fn overwrite(&mut self, name: &str, left: Option<&str>) -> Result<bool> {
        let replace = || -> rusqlite::Result<bool> {
            let whole = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
            let mut kept: Vec<(String, String)> = whole
                .prepare("SELECT name, body FROM transcripts ORDER BY name")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let Some(place) = kept.iter().position(|(known, _)| known == name) else { return Ok(false) };
            match left {
                Some(left) => kept[place].1 = left.into(),
                None => drop(kept.remove(place)),
            }
            // `secure_delete` overwrites a freed page. It does not overwrite a row's earlier place in a page still in
            // use: rows move within their page as they grow. So all pages of the table are freed.
            whole.execute("DELETE FROM transcripts", [])?;
            let mut put = whole.prepare("INSERT INTO transcripts VALUES (?, ?)")?;
            kept.iter().try_for_each(|(name, body)| put.execute([name, body]).map(drop))?;
            drop(put);
            whole.commit()?;
            Ok(true)
        };
        let found = replace().map_err(|e| self.error(e))?;
        let busy = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        match busy.map_err(|e| self.error(e))? {
            true => Err(StoreError::Unavailable {
                file: self.path.display().to_string(),
                problem: format!(
                    "{name} is deleted, but another program keeps a log that may still hold it: close the program and repeat"
                ),
            }),
            false => Ok(found),
        }
    }

    fn begin(&self) -> Result<Transaction<'_>> {
        Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate).map_err(|e| self.error(e))
    }
}

/// Writes what is not as it was.
fn write(db: &Connection, before: &Deliberation, after: &Deliberation) -> rusqlite::Result<()> {
    put(db, "cards", &before.cards, &after.cards, |card| card.id.as_str())?;
    put(db, "stories", &before.stories, &after.stories, |story| &story.id)?;
    let known: HashSet<&String> = before.contexts.iter().collect();
    for context in after.contexts.iter().filter(|context| !known.contains(context)) {
        number(db, "contexts", context)?;
    }
    let known: HashMap<_, &Edge> = before.edges.iter().map(|edge| ((&edge.from, &edge.to), edge)).collect();
    for edge in &after.edges {
        if known.get(&(&edge.from, &edge.to)) != Some(&edge) {
            let (from, to) = (number_of_card(db, &edge.from)?, number_of_card(db, &edge.to)?);
            let put = "INSERT INTO edges (source, wiser, body) VALUES (?1, ?2, ?3)
                ON CONFLICT (source, wiser) DO UPDATE SET body = ?3";
            db.prepare_cached(put)?.execute(params![from, to, json(edge)])?;
        }
    }
    for (card, into) in &after.merged {
        if before.merged.get(card) != Some(into) {
            let into = number_of_card(db, into)?;
            db.execute("UPDATE cards SET merged_into = ? WHERE name = ?", params![into, card.as_str()])?;
        }
    }
    for card in before.merged.keys().filter(|card| !after.merged.contains_key(card)) {
        db.execute("UPDATE cards SET merged_into = NULL WHERE name = ?", [card.as_str()])?;
    }
    for (one, other) in after.apart.difference(&before.apart) {
        let (one, other) = (number_of_card(db, one)?, number_of_card(db, other)?);
        db.execute("INSERT INTO apart VALUES (?, ?)", [one, other])?;
    }
    for (one, other) in before.apart.difference(&after.apart) {
        let (one, other) = (number_of_card(db, one)?, number_of_card(db, other)?);
        db.execute("DELETE FROM apart WHERE one = ? AND other = ?", [one, other])?;
    }
    for (voter, group) in after.groups.iter().filter(|(voter, group)| before.groups.get(*voter) != Some(group)) {
        put_group(db, voter, group)?;
    }
    for (name, value) in &after.extra {
        db.execute("INSERT OR REPLACE INTO extra VALUES (?, ?)", params![name, json(value)])?;
    }
    after.votes[before.votes.len()..].iter().try_for_each(|vote| add_vote(db, vote))
}

/// Adds and changes what has a name and a body.
fn put<T: PartialEq + Serialize>(
    db: &Connection,
    table: &str,
    before: &[T],
    after: &[T],
    name: impl Fn(&T) -> &str,
) -> rusqlite::Result<()> {
    let known: HashMap<&str, &T> = before.iter().map(|item| (name(item), item)).collect();
    let put = format!("INSERT INTO {table} (name, body) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET body = ?2");
    let mut put = db.prepare(&put)?;
    for item in after.iter().filter(|item| known.get(name(item)) != Some(item)) {
        put.execute([name(item), &json(item)])?;
    }
    Ok(())
}

fn add_vote(db: &Connection, vote: &Vote) -> rusqlite::Result<()> {
    let (voter, context) = (number(db, "voters", &vote.voter)?, number(db, "contexts", &vote.context)?);
    let (from, to) = (number_of_card(db, &vote.from)?, number_of_card(db, &vote.to)?);
    let answer = match vote.answer {
        Answer::No => 0,
        Answer::Yes => 1,
        Answer::Unsure => 2,
    };
    let add = "INSERT INTO votes (voter, source, wiser, context, answer) VALUES (?, ?, ?, ?, ?)";
    db.prepare_cached(add)?.execute(params![voter, from, to, context, answer]).map(drop)
}

fn put_group(db: &Connection, voter: &str, group: &str) -> rusqlite::Result<()> {
    let voter = number(db, "voters", voter)?;
    db.prepare_cached("UPDATE voters SET crowd = ? WHERE id = ?")?.execute(params![group, voter]).map(drop)
}

/// The number of a name, where it has one.
fn find(db: &Connection, table: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    let find = format!("SELECT id FROM {table} WHERE name = ?");
    db.prepare_cached(&find)?.query_row([name], |row| row.get(0)).optional()
}

/// The number of a card that is known to be there.
fn number_of_card(db: &Connection, id: &CardId) -> rusqlite::Result<i64> {
    find(db, "cards", id.as_str())?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The number of a name, a new one where it has none.
fn number(db: &Connection, table: &str, name: &str) -> rusqlite::Result<i64> {
    if let Some(number) = find(db, table, name)? {
        return Ok(number);
    }
    db.prepare_cached(&format!("INSERT INTO {table} (name) VALUES (?)"))?.insert([name])
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data becomes JSON")
}
