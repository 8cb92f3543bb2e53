//! An interview in a store: saved after every exchange, until it is deleted.

use probity_engine::Error as EngineError;
use probity_values::store::Store;
use probity_values::{CardId, Provenance, ValuesCard};

use super::Interview;
use crate::{Error, Result};

/// A named interview, as the store holds it.
#[derive(Debug)]
pub struct Conversation {
    name: String,
    /// The document in the store; `None` before the first save.
    saved: Option<String>,
    /// The interview; changes are in the store after [`Conversation::save`].
    pub interview: Interview,
}

impl Conversation {
    /// Saves a new interview as `interview-1`, or under the next free number.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn begin(store: &mut Store, interview: Interview) -> Result<Self> {
        let body = interview.to_json();
        let mut number = 1_u64;
        // Another program may take a name at the same moment.
        while !store.put_transcript(&format!("interview-{number}"), None, &body)? {
            number += 1;
        }
        Ok(Self { name: format!("interview-{number}"), saved: Some(body), interview })
    }

    /// Continues the interview of a name, or begins `new` under it.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a name that is blank or longer than a line; [`Error::Forgotten`] for an interview
    /// that is deleted in part; the errors of [`Interview::from_json`]; [`Error::Store`].
    pub fn resume(store: &Store, name: &str, new: Interview) -> Result<Self> {
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            let (given, expected) = (format!("{name:?}"), "some text on one line".into());
            return Err(EngineError::Option { name: "name", given, expected }.into());
        }
        let saved = store.transcript(name)?;
        let interview = match saved.as_deref() {
            Some("") => return Err(Error::Forgotten { name: name.into() }),
            Some(body) => Interview::from_json(body)?,
            None => new,
        };
        Ok(Self { name: name.into(), saved, interview })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Saves the interview.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if another program has changed or deleted it; [`Error::Store`].
    pub fn save(&mut self, store: &mut Store) -> Result<()> {
        let body = self.interview.to_json();
        if !store.put_transcript(&self.name, self.saved.as_deref(), &body)? {
            return Err(Error::Overtaken { name: self.name.clone() });
        }
        self.saved = Some(body);
        Ok(())
    }

    /// Adds the agreed card with its contexts, and whether it is new.
    ///
    /// A card of equal text is not added twice.
    ///
    /// # Errors
    /// [`Error::Unagreed`] before the person has agreed; [`Error::Store`]; the errors of [`Conversation::save`].
    pub fn add_card(
        &mut self,
        store: &mut Store,
        contexts: Vec<String>,
        provenance: Provenance,
    ) -> Result<(ValuesCard, bool)> {
        let added = store.change(|held| {
            let id: CardId = held.new_id();
            let card = self.interview.card(id);
            let card = card.map(|card| ValuesCard { contexts, contexts_provenance: Some(provenance), ..card });
            let Some(card) = card else { return Ok(None) };
            // After a crash the same card may come again. The store keeps one.
            let same = |other: &&ValuesCard| {
                (&other.title, &other.description, &other.policies) == (&card.title, &card.description, &card.policies)
            };
            if let Some(other) = held.cards.iter().find(same) {
                return Ok(Some((other.clone(), false)));
            }
            held.cards.push(card.clone());
            Ok(Some((card, true)))
        })?;
        let (card, new) = added.ok_or_else(|| Error::Unagreed { name: self.name.clone() })?;
        self.interview.added = Some(card.id.clone());
        self.save(store)?;
        Ok((card, new))
    }
}
