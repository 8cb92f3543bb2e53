//! Votes: one person's answer to whether somebody became wiser by going from one value to another in a context.

use serde::{Deserialize, Serialize};

use super::CardId;

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

/// One person's answer about one upgrade. The key is who, from where, to where and in which context: an answer to the same
/// question counts in place of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
