//! Stories of upgrades from one value to a wiser one, for voters to judge.

use serde::{Deserialize, Serialize};

use super::card::check_text;
use super::{CardId, ValuesError};

/// What wrote a text: with the same three it writes it again.
///
/// ```
/// use probity_values::Provenance;
///
/// let written = Provenance { model: "qwen2.5-1.5b".into(), prompt: "story".into(), seed: 7 };
/// assert_eq!(serde_json::to_value(&written).unwrap()["seed"], 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Hash of the model's file.
    pub model: String,
    /// Hash of the prompt that it was given.
    pub prompt: String,
    /// Seed that it drew by.
    pub seed: u64,
}

/// A story.
///
/// ```
/// use probity_values::Story;
///
/// let mut story = Story {
///     id: "s".into(),
///     from: "1".into(),
///     to: "2".into(),
///     context: "When a friend grieves".into(),
///     text: "I used to give advice. Now I sit with her.".into(),
///     provenance: None,
/// };
/// assert!(story.check().is_ok());
/// story.text.clear();
/// assert!(story.check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Which one: no two of a deliberation are alike.
    pub id: String,
    /// The value that is left.
    pub from: CardId,
    /// The value that is gone to.
    pub to: CardId,
    /// Where.
    pub context: String,
    /// The story.
    pub text: String,
    /// What wrote it; people's own stories have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

impl Story {
    /// Checks its texts, and that it leads from one card to another.
    ///
    /// # Errors
    /// [`ValuesError::Text`] and [`ValuesError::Itself`].
    pub fn check(&self) -> Result<(), ValuesError> {
        let place = |what: &str| format!("story {:?}: {what}", self.id);
        check_text(|| place("id"), &self.id)?;
        check_text(|| place("context"), &self.context)?;
        check_text(|| place("text"), &self.text)?;
        if self.from == self.to {
            return Err(ValuesError::Itself { place: format!("story {:?}", self.id), id: self.from.to_string() });
        }
        Ok(())
    }
}
