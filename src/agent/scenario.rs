//! A scenario: the game, how it is told, and how the agent chooses.
//!
//! A versioned JSON document.

use probity_engine::Error as EngineError;
use probity_game::{ActionId, CatalogGame, MatrixGame, Player, Profile};
use serde::{Deserialize, Serialize};

use super::legality::Floor;
use super::policy::PolicyOptions;
use super::prompt::Style;
use crate::{Error, Result};

/// Bytes of the longest text before the rules.
pub const MAX_PREAMBLE: usize = 8192;

/// Everything an agent is told once.
///
/// ```
/// use probity::agent::Scenario;
///
/// # fn main() -> probity::Result<()> {
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"], "seed": 7 }"#)?;
/// assert_eq!(scenario.seed, 7);
/// let error = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "share"] }"#).unwrap_err();
/// assert!(error.to_string().contains("twice"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// The game, the agent being its row player.
    pub game: MatrixGame,
    /// How the prompt presents it.
    pub style: Style,
    /// The host's text before the rules: the agent's role and its concerns.
    ///
    /// At most [`MAX_PREAMBLE`] bytes; usually empty.
    pub preamble: String,
    /// From scores to probabilities.
    pub policy: PolicyOptions,
    /// The least legality mass of a reliable decision; `None` for the session's.
    pub legality_floor: Option<Floor>,
    /// Seed of the agent's own random stream.
    pub seed: u64,
    /// Rounds already played.
    pub history: Vec<Profile>,
}

/// The JSON form; unknown fields are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioDocument {
    #[serde(default = "one")]
    version: u32,
    /// A catalogue name, or a game document.
    game: serde_json::Value,
    /// Labels of the agent's actions, in order of action id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
    /// Labels of the other player's actions; the agent's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other_labels: Option<Vec<String>>,
    #[serde(default)]
    style: Style,
    /// Text before the rules.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    preamble: String,
    #[serde(default)]
    policy: PolicyOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    legality_floor: Option<Floor>,
    #[serde(default)]
    seed: u64,
    /// Rounds already played, by label: `[own, other]`.
    #[serde(default)]
    history: Vec<[String; 2]>,
}

fn one() -> u32 {
    1
}

fn bad(problem: String) -> Error {
    EngineError::Document { what: "scenario", problem }.into()
}

impl Scenario {
    /// A scenario with default style, policy and seed.
    #[must_use]
    pub fn new(game: MatrixGame) -> Self {
        Self {
            game,
            style: Style::default(),
            preamble: String::new(),
            policy: PolicyOptions::default(),
            legality_floor: None,
            seed: 0,
            history: Vec::new(),
        }
    }

    /// Reads a scenario document.
    ///
    /// # Errors
    /// [`EngineError::Document`] for malformed JSON or a wrong field; [`Error::Game`] and [`EngineError::Option`] for
    /// invalid values.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::of(serde_json::from_str(json).map_err(|e| bad(e.to_string()))?)
    }

    /// As [`Scenario::from_json`], of a document that is parsed already.
    ///
    /// # Errors
    /// As [`Scenario::from_json`].
    pub fn from_document(document: serde_json::Value) -> Result<Self> {
        Self::of(serde_json::from_value(document).map_err(|e| bad(e.to_string()))?)
    }

    fn of(d: ScenarioDocument) -> Result<Self> {
        if d.version != 1 {
            return Err(bad(format!("version {}, expected 1", d.version)));
        }
        let mut game = match d.game {
            serde_json::Value::String(name) => CatalogGame::find(&name)?.game(),
            own => MatrixGame::from_document(own)?,
        };
        game = game.relabelled(d.labels.as_deref(), d.other_labels.as_deref())?;
        let history = d
            .history
            .iter()
            .map(|[own, other]| {
                Ok(Profile { own: game.action(Player::Row, own)?, other: game.action(Player::Column, other)? })
            })
            .collect::<Result<_>>()?;
        let ScenarioDocument { style, preamble, policy, legality_floor, seed, .. } = d;
        let scenario = Self { game, style, preamble, policy, legality_floor, seed, history };
        scenario.check()?;
        Ok(scenario)
    }

    /// The scenario as a document that [`Scenario::from_json`] reads back.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.document()).expect("a scenario is plain data")
    }

    /// As [`Scenario::to_json`], as a JSON value.
    #[must_use]
    pub fn to_document(&self) -> serde_json::Value {
        serde_json::to_value(self.document()).expect("a scenario is plain data")
    }

    fn document(&self) -> ScenarioDocument {
        let label = |player, action: ActionId| self.game.labels(player)[action].clone();
        let history =
            self.history.iter().map(|p| [label(Player::Row, p.own), label(Player::Column, p.other)]).collect();
        ScenarioDocument {
            version: 1,
            game: serde_json::to_value(&self.game).expect("a game is plain data"),
            labels: None,
            other_labels: None,
            style: self.style,
            preamble: self.preamble.clone(),
            policy: self.policy.clone(),
            legality_floor: self.legality_floor,
            seed: self.seed,
            history,
        }
    }

    /// Checks what the parts cannot check alone.
    ///
    /// # Errors
    /// [`EngineError::Option`], [`Error::Reward`], [`Error::Game`].
    pub fn check(&self) -> Result<()> {
        if self.preamble.len() > MAX_PREAMBLE || self.preamble.contains('\0') {
            let given = format!("{} bytes", self.preamble.len());
            let expected = format!("at most {MAX_PREAMBLE} bytes, none of them 0");
            return Err(EngineError::Option { name: "preamble", given, expected }.into());
        }
        self.policy.check(&self.game)?;
        self.legality_floor.map_or(Ok(()), Floor::check)?;
        self.history.iter().try_for_each(|&round| Ok(self.game.check_profile(round)?))
    }
}
