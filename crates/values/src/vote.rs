//! Votes: was it wiser to move from one value to another in a context?

use serde::{Deserialize, Serialize};

use super::card::check_text;
use super::{CardId, ValuesError};

/// An answer to whether somebody became wiser.
///
/// Documents have the published names: `upgrade`, `no_upgrade`, `not_sure`.
///
/// ```
/// use probity_values::Answer;
///
/// assert_eq!(Answer::from_word("yes"), Some(Answer::Yes));
/// assert_eq!(Answer::Unsure.yes(), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Answer {
    /// They became wiser.
    #[serde(rename = "upgrade")]
    Yes,
    /// They did not.
    #[serde(rename = "no_upgrade")]
    No,
    /// The voter is not sure.
    #[serde(rename = "not_sure")]
    Unsure,
}

impl Answer {
    /// Reads an answer as people write it: yes, no or unsure, or the first letter.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "y" | "yes" => Some(Self::Yes),
            "n" | "no" => Some(Self::No),
            "s" | "u" | "unsure" | "not sure" => Some(Self::Unsure),
            _ => None,
        }
    }

    /// How much of a yes it is: 1, 0, or a half where the voter is not sure.
    #[must_use]
    pub fn yes(self) -> f64 {
        match self {
            Self::Yes => 1.0,
            Self::Unsure => 0.5,
            Self::No => 0.0,
        }
    }
}

/// One person's answer about one upgrade.
///
/// The key is voter, from, to and context: a later answer to the question counts in place of the earlier answer.
///
/// ```
/// use probity_values::{Answer, Vote};
///
/// let vote = Vote {
///     voter: "ann".into(),
///     from: "1".into(),
///     to: "1".into(),
///     context: "When a friend grieves".into(),
///     answer: Answer::Yes,
/// };
/// assert!(vote.check().unwrap_err().to_string().contains("both sides"));
/// ```
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
