//! Votes: one person's answer to whether somebody became wiser by going from one value to another in a context.

use serde::{Deserialize, Serialize};

use super::card::check_text;
use super::{CardId, ValuesError};

/// What somebody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// They became wiser.
    Upgrade,
    /// They did not.
    NoUpgrade,
    /// The voter is not sure.
    NotSure,
}

impl Answer {
    /// How much of a yes it is: 1, 0, or a half where the voter is not sure.
    #[must_use]
    pub fn yes(self) -> f64 {
        match self {
            Self::Upgrade => 1.0,
            Self::NotSure => 0.5,
            Self::NoUpgrade => 0.0,
        }
    }
}

/// One person's answer about one upgrade. The key is who, from where, to where and in which context: an answer to the same
/// question counts in place of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Who, by a pseudonym.
    pub voter: String,
    /// The value that was left.
    pub from: CardId,
    /// The value that was gone to.
    pub to: CardId,
    /// Where: the context's text, which is its key.
    pub context: String,
    /// The answer.
    pub answer: Answer,
}

impl Vote {
    /// Checks its texts, and that it is about two cards.
    ///
    /// # Errors
    /// [`ValuesError::Text`] and [`ValuesError::Itself`].
    pub fn check(&self) -> Result<(), ValuesError> {
        check_text(|| "vote: voter".into(), &self.voter)?;
        check_text(|| "vote: context".into(), &self.context)?;
        if self.from == self.to {
            return Err(ValuesError::Itself { place: "vote".into(), id: self.from.to_string() });
        }
        Ok(())
    }
}
