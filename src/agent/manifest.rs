//! The manifest of an adapter: its origin, and decisions to verify it by.

use std::collections::BTreeMap;
use std::path::Path;

use probity_engine::Error as EngineError;
use probity_engine::Model;
use probity_engine::gguf::Gguf;
use probity_game::moral::Mixture;
use probity_game::{MatrixGame, Opponent, Profile, Reach, Reading};
use serde::{Deserialize, Serialize};

use super::prompt::{PROMPT_VERSION, Style};
use crate::{Error, Result};

/// The metadata key that holds the manifest, as JSON.
pub const MANIFEST_KEY: &str = "probity.manifest";

/// One recorded decision: what the policy was when the adapter was written.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::manifest::Manifest;
/// use probity::agent::verify;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let adapter = verify::load(&model, Path::new("models/deontological.gguf"))?;
/// let manifest = Manifest::of(adapter.gguf())?.unwrap();
/// let test = &manifest.self_test[0];
/// assert_eq!(test.probabilities.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// The game.
    pub game: MatrixGame,
    /// How it was told.
    pub style: Style,
    /// The last round.
    pub state: Option<Profile>,
    /// Probability of each action with the adapter.
    pub probabilities: Vec<f64>,
}

/// The manifest of an adapter.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::manifest::Manifest;
/// use probity::agent::verify;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let adapter = verify::load(&model, Path::new("models/deontological.gguf"))?;
/// let manifest = Manifest::of(adapter.gguf())?.unwrap();
/// assert_eq!(manifest.base, model.fingerprint());
/// assert_eq!(manifest.rewards[0].name(), "deontological");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub version: u32,
    /// A short name.
    pub name: String,
    /// Fingerprint of the model it was trained on.
    pub base: String,
    /// [`Model::content`] of that model; empty in older files.
    ///
    /// `verify` alone checks it: hashing a large base file takes long.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_content: String,
    /// The rewards it was trained on, in order; several if the reward switched.
    pub rewards: Vec<Mixture>,
    /// The algorithm, as a config names it; empty where it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub algorithm: String,
    /// Weight of the divergence from the bare model, at the end.
    pub beta: f64,
    /// Weight of the log legality mass.
    ///
    /// `None` in older files and in imported ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legality: Option<f64>,
    /// Whom it was trained against, in its last phase.
    ///
    /// `None` in older files and in imported ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opponent: Option<Opponent>,
    /// Which of two learners it is, from 1; `None` for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learner: Option<u32>,
    /// Weight of a round beside the one before it; `None` for single rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<f64>,
    /// LoRA rank it was trained with.
    ///
    /// `None` in older files and in imported ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// BLAKE3 of the adapter file that training started from.
    ///
    /// `None` for the bare model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Whether the divergence is from that adapter's policy, not from the bare model's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_start: bool,
    /// The games of the curriculum, in words.
    pub games: String,
    /// The games that the curriculum names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_games: Vec<MatrixGame>,
    /// What its random games were drawn from; empty without random games.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub random_games: Vec<Reach>,
    /// The labels of the curriculum, in words.
    pub labels: String,
    /// Whether its prompts told the norm wherever a reward asks for it.
    ///
    /// A decision whose prompt leaves the norm out is then not reliable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub norm_told: bool,
    /// Version of the prompt's wording.
    pub prompt_version: u32,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// The games that it was seen to read; `None` where it was not measured.
    ///
    /// An adapter that starts from a literacy adapter reads the games in which that exam has what its rewards ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Vec<Reading>>,
    /// Shares of right answers at the exam of its literacy, by kind of question.
    ///
    /// An adapter that starts from a literacy adapter has that one's. [`reading`](Self::reading) follows from them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy: BTreeMap<Reading, BTreeMap<String, f64>>,
    /// Version of the trainer.
    pub trainer: String,
    /// Recorded decisions.
    pub self_test: Vec<SelfTest>,
}

impl Manifest {
    /// Refuses a manifest of another base model or of another prompt version.
    ///
    /// # Errors
    /// [`EngineError::AdapterMismatch`], [`Error::Unverified`].
    pub fn check_for(&self, model: &Model, file: &Path) -> Result<()> {
        let (file, model) = (file.display().to_string(), model.fingerprint());
        if self.base != model {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            let problem = format!("trained on {}, the model is {}", short(&self.base), short(model));
            return Err(EngineError::AdapterMismatch { file, problem }.into());
        }
        if self.prompt_version != PROMPT_VERSION {
            let found = self.prompt_version;
            let problem = format!("trained on version {found} of the prompt, expected {PROMPT_VERSION}: train it anew");
            return Err(Error::Unverified { file, problem });
        }
        Ok(())
    }

    /// The manifest in a file's metadata, if it has one.
    ///
    /// # Errors
    /// [`Error::Unverified`] for a manifest that does not parse.
    pub fn of(gguf: &Gguf) -> Result<Option<Self>> {
        let Some(json) = gguf.str(MANIFEST_KEY) else { return Ok(None) };
        let bad = |problem: String| Error::Unverified { file: gguf.file.clone(), problem };
        let manifest: Self = serde_json::from_str(json).map_err(|e| bad(format!("manifest: {e}")))?;
        if manifest.version != 1 {
            return Err(bad(format!("manifest: version {}, expected 1", manifest.version)));
        }
        Ok(Some(manifest))
    }
}
