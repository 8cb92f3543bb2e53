//! Votes with their names turned into numbers: what every ranking works on.

use std::collections::HashMap;

use super::{Answer, CardId, ValuesError, Vote};

/// A vote by the numbers of its voter, cards and context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ballot {
    /// Index among [`Ballots::voters`].
    pub voter: u32,
    /// Index among [`Ballots::cards`].
    pub from: u32,
    /// The same.
    pub to: u32,
    /// Index among [`Ballots::contexts`].
    pub context: u32,
    /// The answer.
    pub answer: Answer,
}

/// All votes that count.
#[derive(Debug, Clone, Default)]
pub struct Ballots {
    /// The cards, in the order they were given in.
    pub cards: Vec<CardId>,
    /// Contexts, in the order they first appear in.
    pub contexts: Vec<String>,
    /// Voters, in the order they first appear in.
    pub voters: Vec<String>,
    /// One row a key, in the order the keys first appear in.
    pub rows: Vec<Ballot>,
}

impl Ballots {
    /// Reads a log of votes: the last answer to a question counts.
    ///
    /// # Errors
    /// [`ValuesError::Itself`], [`ValuesError::NoCard`], [`ValuesError::Twice`] for cards of one id.
    pub fn read<'a>(
        cards: impl IntoIterator<Item = &'a CardId>,
        votes: impl IntoIterator<Item = &'a Vote>,
    ) -> Result<Self, ValuesError> {
        let mut known: HashMap<&CardId, u32> = HashMap::new();
        let mut ballots = Self::default();
        for card in cards {
            if known.insert(card, ballots.cards.len() as u32).is_some() {
                return Err(ValuesError::Twice { id: card.to_string() });
            }
            ballots.cards.push(card.clone());
        }
        let (mut contexts, mut voters) = (HashMap::new(), HashMap::new());
        let mut rows: HashMap<(u32, u32, u32, u32), usize> = HashMap::new();
        for (i, vote) in votes.into_iter().enumerate() {
            let place = || format!("vote {}", i + 1);
            let find = |id: &CardId| {
                known.get(id).copied().ok_or_else(|| ValuesError::NoCard { place: place(), id: id.to_string() })
            };
            if vote.from == vote.to {
                return Err(ValuesError::Itself { place: place(), id: vote.from.to_string() });
            }
            let ballot = Ballot {
                voter: number(&mut voters, &mut ballots.voters, &vote.voter),
                from: find(&vote.from)?,
                to: find(&vote.to)?,
                context: number(&mut contexts, &mut ballots.contexts, &vote.context),
                answer: vote.answer,
            };
            let row = *rows.entry((ballot.voter, ballot.from, ballot.to, ballot.context)).or_insert(ballots.rows.len());
            match ballots.rows.get_mut(row) {
                Some(earlier) => *earlier = ballot,
                None => ballots.rows.push(ballot),
            }
        }
        Ok(ballots)
    }

    /// Those of one context; `None` where nobody voted in it.
    #[must_use]
    pub fn within(&self, context: &str) -> Option<Self> {
        let context = self.contexts.iter().position(|c| c == context)? as u32;
        let rows = self.rows.iter().filter(|row| row.context == context).copied().collect();
        Some(Self { rows, ..self.clone() })
    }
}

/// The number of a name, a new one where it has none.
fn number<'a>(numbers: &mut HashMap<&'a str, u32>, names: &mut Vec<String>, name: &'a str) -> u32 {
    *numbers.entry(name).or_insert_with(|| {
        names.push(name.to_owned());
        names.len() as u32 - 1
    })
}
