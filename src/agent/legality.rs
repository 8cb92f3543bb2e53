//! The guard on an answer's meaning.
//!
//! Where the legal actions have little probability, the model would have answered something else.

use std::fmt;

use probity_engine::{Adapter, Error as EngineError, Model};
use probity_game::{MatrixGame, Reading, Wording};
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::prompt::Norm;
use crate::Result;

/// The least legality mass of a decision that can be relied on.
///
/// Below it the model would have answered with something else, and the probabilities of the legal actions tell little.
/// The default lies between two groups of real models, SmolLM2-135M-Instruct and Gemma-3-270M: models that have not
/// learned the answer's form, or have learned a few labels by heart, have a legality mass of 0 to 0.12; models that
/// answer have at least 0.4.
///
/// ```
/// use probity::agent::Floor;
///
/// let floor: Floor = serde_json::from_str("0.5").unwrap();
/// assert_eq!(floor, Floor::At(0.5));
/// assert_eq!(serde_json::from_str::<Floor>("\"off\"").unwrap(), Floor::Off);
/// assert!(serde_json::from_str::<Floor>("\"none\"").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub enum Floor {
    /// This legality mass, 0 to 1.
    At(f64),
    /// Every decision counts as reliable.
    Off,
}

/// [`Floor::default`].
pub const DEFAULT_FLOOR: f64 = 0.25;

impl Default for Floor {
    fn default() -> Self {
        Self::At(DEFAULT_FLOOR)
    }
}

impl Floor {
    /// Checks its range.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a number that is not in 0 to 1.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::At(floor) if !(0.0..=1.0).contains(&floor) => {
                let expected = "a number from 0 to 1, or \"off\"".into();
                Err(EngineError::Option { name: "legality floor", given: floor.to_string(), expected }.into())
            }
            _ => Ok(()),
        }
    }
}

/// A floor in JSON: a number, or the word `off`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Document {
    At(f64),
    Word(String),
}

impl TryFrom<Document> for Floor {
    type Error = String;

    fn try_from(document: Document) -> std::result::Result<Self, String> {
        match document {
            Document::At(floor) => Ok(Self::At(floor)),
            Document::Word(word) if word == "off" => Ok(Self::Off),
            Document::Word(word) => Err(format!("legality_floor {word:?}, expected a number or \"off\"")),
        }
    }
}

impl From<Floor> for Document {
    fn from(floor: Floor) -> Self {
        match floor {
            Floor::At(floor) => Self::At(floor),
            Floor::Off => Self::Word("off".into()),
        }
    }
}

/// The metadata that lists what a model was seen to read.
///
/// It is JSON: `["digits/ascii"]`.
pub const READING: &str = "probity.reading";

/// What a model was seen to read; `None` where its file does not tell.
///
/// # Errors
/// [`EngineError::UnsupportedModel`] for a list that does not parse.
pub fn reading(model: &Model) -> Result<Option<Vec<Reading>>> {
    let Some(list) = model.gguf().str(READING) else { return Ok(None) };
    let bad = |e: serde_json::Error| {
        let problem = format!("{READING} {list:?}: {e}");
        EngineError::UnsupportedModel { file: model.path().display().to_string(), problem }
    };
    Ok(Some(serde_json::from_str(list).map_err(bad)?))
}

/// What a model was seen to read under some adapters.
///
/// Where its own file does not tell, the manifests of the adapters may: each reads what it was trained to. `None` where
/// no file tells.
///
/// # Errors
/// As [`reading`]; [`crate::Error::Unverified`] for a manifest that does not parse.
pub fn reading_under(model: &Model, adapters: &[(Adapter, f32)]) -> Result<Option<Vec<Reading>>> {
    if let Some(own) = reading(model)? {
        return Ok(Some(own));
    }
    let mut all: Option<Vec<Reading>> = None;
    for (adapter, _) in adapters {
        let Some(reads) = Manifest::of(adapter.gguf())?.and_then(|manifest| manifest.reading) else { continue };
        all = Some(match all {
            Some(all) => all.into_iter().filter(|kind| reads.contains(kind)).collect(),
            None => reads,
        });
    }
    Ok(all)
}

/// What makes every decision in a game doubtful, whatever its legality mass.
///
/// # Errors
/// As [`reading_under`].
pub(super) fn doubt(
    model: &Model,
    adapters: &[(Adapter, f32)],
    game: &MatrixGame,
    norm: Norm,
) -> Result<Option<Cause>> {
    if let Some(reads) = reading_under(model, adapters)?.filter(|reads| !Reading::any_of(reads, game)) {
        return Ok(Some(Cause::Unread { reads }));
    }
    Ok((norm == Norm::Untold && norm_told(adapters)?).then_some(Cause::NormUntold {}))
}

/// Whether an adapter among some was trained on prompts that tell the norm.
///
/// # Errors
/// [`crate::Error::Unverified`] for a manifest that does not parse.
pub fn norm_told(adapters: &[(Adapter, f32)]) -> Result<bool> {
    for (adapter, _) in adapters {
        if Manifest::of(adapter.gguf())?.is_some_and(|manifest| manifest.norm_told) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why a decision's probabilities are not to be relied on.
///
/// ```
/// use probity::agent::legality::{Cause, Unreliable};
///
/// let doubt = Unreliable { floor: 0.25, cause: Cause::Thought { begins: "<think>".into() } };
/// assert!(doubt.to_string().starts_with("expected at least 0.25: the model begins with a thought"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unreliable {
    /// The legality mass that was expected at least.
    pub floor: f64,
    /// The likely cause.
    pub cause: Cause,
}

/// The likely cause of a small legality mass.
///
/// ```
/// use probity::agent::legality::Cause;
///
/// let cause: Cause = serde_json::from_str(r#"{ "kind": "labels", "begins": "Sure" }"#).unwrap();
/// assert!(cause.to_string().ends_with("begins with \"Sure\""));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Cause {
    /// The model file has no chat template.
    NoTemplate,
    /// The model writes the labels, and no quotation mark behind them.
    Unclosed {},
    /// The model was measured, and not seen to read such games.
    ///
    /// They are larger, or have other payoffs or labels. The metadata `probity.reading` of a model file lists what it
    /// was seen to read, and the manifest of an adapter may. Where no file tells, no game is held to this.
    Unread {
        /// What it reads.
        reads: Vec<Reading>,
    },
    /// The prompt leaves out the norm, which an adapter was trained to be told.
    NormUntold {},
    /// The model begins with a thought.
    Thought {
        /// Its first token.
        begins: String,
    },
    /// The model begins its answer in another way.
    Labels {
        /// Its likeliest first token.
        begins: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTemplate => {
                write!(f, "the model file has no chat template, and the model does not take the prompt for a question")
            }
            Self::Unclosed {} => {
                write!(f, "the model writes the labels, and goes on without the quotation mark that closes them")
            }
            Self::Unread { reads } => {
                let under = |wording: Wording| {
                    let of = reads.iter().filter(|kind| kind.wording == wording);
                    let of: Vec<&str> = of.map(|kind| kind.reach.words()).collect();
                    (!of.is_empty()).then(|| format!("games of {} with {}", of.join(", of "), wording.words()))
                };
                let reads: Vec<String> = Wording::ALL.into_iter().filter_map(under).collect();
                let reads = if reads.is_empty() { "no game".into() } else { reads.join(", and ") };
                write!(f, "the model was seen to read {reads}, and not this one")
            }
            Self::NormUntold {} => {
                write!(
                    f,
                    "an adapter was trained on prompts that tell which actions are cooperation, and this one does not"
                )
            }
            Self::Thought { begins } => write!(f, "the model begins with a thought, {begins:?}, before it answers"),
            Self::Labels { begins } => {
                write!(f, "the model does not write these labels; its likeliest answer begins with {begins:?}")
            }
        }
    }
}

/// In words, after the legality mass.
impl fmt::Display for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Unread { .. } | Cause::NormUntold {} => write!(f, "and {}", self.cause),
            _ => write!(f, "expected at least {}: {}", self.floor, self.cause),
        }
    }
}
