//! Intrinsic rewards of one player for one round and the state it is played in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::framework::{Framework, Round};
use crate::{ActionId, GameError, MatrixGame, Player, State, check_belief, state_count, state_number};

/// Reward of an illegal output, points.
///
/// Source: arXiv 2410.01639, R_illegal = -6.
pub const ILLEGAL: f64 = -6.0;

/// Why a reward was refused.
///
/// ```
/// use probity_game::moral::{Framework, Reward, RewardError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reward = Reward::from(Framework::find("deontological")?.with_constant(-1.0));
/// assert!(matches!(reward.check(), Err(RewardError::Constant { constant, .. }) if constant == "xi"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RewardError {
    /// A constant that is not finite or out of its range.
    #[error("reward: {constant} is {value}, expected {expected}")]
    Constant {
        /// Which constant.
        constant: String,
        /// The value as text.
        value: String,
        /// The range that would be right.
        expected: String,
    },
    /// A table of scores that is not of the game's shape.
    #[error("reward: values: {problem}")]
    Scores {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// No framework of that name.
    #[error("reward: {given:?} is not a moral framework, expected one of {expected}")]
    Unknown {
        /// What was given.
        given: String,
        /// The names there are.
        expected: String,
    },
}

/// Largest score, by its size.
const MAX_SCORE: f64 = 1e6;

/// Scores of each action in each state of a game.
///
/// `probity values score` computes them from a moral graph. They do not depend on the other player's action, which is
/// unknown at the decision.
///
/// ```
/// use std::sync::Arc;
///
/// use probity_game::CatalogGame;
/// use probity_game::moral::{Framework, Reward, Scores};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let scores = Scores { game: "ipd".into(), scores: vec![vec![0.5, -0.5]; 5], source: String::new() };
/// let reward = Reward::from(Framework::Values(Arc::new(scores)));
/// reward.check_for(&game)?;
/// assert_eq!(reward.value(&game, Some(0), 1, None), 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The game's name; an id is another action in another game.
    pub game: String,
    /// `[state][action]`, states in the order of [`crate::states`].
    ///
    /// In a state in which the graph abstains all scores are equal.
    pub scores: Vec<Vec<f64>>,
    /// What they were computed from: hashes of the graph and of the models.
    pub source: String,
}

/// A framework together with the reward of an illegal output.
///
/// ```
/// use probity_game::moral::{Framework, Reward};
/// use probity_game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let reward = Reward::from(Framework::find("deontological")?);
/// let state = Some(Profile { own: 0, other: 0 });
/// assert_eq!(reward.value(&game, Some(1), 0, state), -3.0);
/// assert_eq!(reward.value(&game, None, 0, state), -6.0);
/// assert_eq!(reward.expected(&game, state, &[0.5, 0.5])?, [0.0, -3.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RewardDocument")]
pub struct Reward {
    /// The framework that judges legal actions.
    pub framework: Framework,
    /// Reward of an output that is no legal action, points.
    pub illegal: f64,
}

/// The JSON form: framework, constant or scores, reward of an illegal output.
impl Serialize for Reward {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("framework", self.framework.name())?;
        if let Some((constant, value)) = self.framework.constant() {
            map.serialize_entry(constant.name, &value)?;
        }
        if let Framework::Values(scores) = &self.framework {
            map.serialize_entry("game", &scores.game)?;
            map.serialize_entry("scores", &scores.scores)?;
            map.serialize_entry("source", &scores.source)?;
        }
        map.serialize_entry("illegal", &self.illegal)?;
        map.end()
    }
}

/// What is read: a constant that is left out has its published value.
#[derive(Deserialize)]
struct RewardDocument {
    framework: String,
    illegal: Option<f64>,
    game: Option<String>,
    scores: Option<Vec<Vec<f64>>>,
    source: Option<String>,
    /// Every other field, which must be the framework's constant.
    #[serde(flatten)]
    constants: BTreeMap<String, f64>,
}

impl TryFrom<RewardDocument> for Reward {
    type Error = RewardError;

    fn try_from(d: RewardDocument) -> Result<Self, RewardError> {
        let mut framework = match (d.framework.as_str(), d.game, d.scores) {
            (Framework::VALUES, Some(game), Some(scores)) => {
                Framework::Values(Arc::new(Scores { game, scores, source: d.source.unwrap_or_default() }))
            }
            (Framework::VALUES, _, _) => {
                return Err(RewardError::Scores {
                    problem: "game or scores are missing, expected a file of `probity values score --scenario`".into(),
                });
            }
            (name, None, None) => Framework::find(name)?,
            (name, _, _) => {
                return Err(RewardError::Scores { problem: format!("{name} is of every game and has no scores") });
            }
        };
        for (constant, value) in d.constants {
            if framework.constant().is_none_or(|(own, _)| own.name != constant) {
                let expected = format!("another framework or no {constant}: {} has none", framework.name());
                return Err(RewardError::Constant { constant, value: value.to_string(), expected });
            }
            framework = framework.with_constant(value);
        }
        Ok(Self { framework, illegal: d.illegal.unwrap_or(ILLEGAL) })
    }
}

impl From<Framework> for Reward {
    fn from(framework: Framework) -> Self {
        Self { framework, illegal: ILLEGAL }
    }
}

impl Reward {
    /// Checks the constants: each finite and in its range.
    ///
    /// # Errors
    /// [`RewardError::Constant`] or [`RewardError::Scores`] naming the first fault.
    pub fn check(&self) -> Result<(), RewardError> {
        let constant = |constant: &str, value: f64, ok: bool, expected: &str| {
            let (constant, value, expected) = (constant.into(), value.to_string(), expected.into());
            if ok { Ok(()) } else { Err(RewardError::Constant { constant, value, expected }) }
        };
        constant("illegal", self.illegal, self.illegal.abs() <= MAX_SCORE, "a number from -1e6 to 1e6")?;
        if let Some((own, value)) = self.framework.constant() {
            constant(own.name, value, (0.0..=own.most).contains(&value), own.expected)?;
        }
        if let Framework::Values(scores) = &self.framework
            && let Some(score) = scores.scores.iter().flatten().find(|score| score.is_nan() || score.abs() > MAX_SCORE)
        {
            let problem = format!("a score of {score}, expected a number of at most {MAX_SCORE} by its size");
            return Err(RewardError::Scores { problem });
        }
        Ok(())
    }

    /// Checks that the reward is one for this game, and its constants.
    ///
    /// # Errors
    /// As [`Reward::check`]; [`RewardError::Scores`] for scores of another game.
    pub fn check_for(&self, game: &MatrixGame) -> Result<(), RewardError> {
        self.check()?;
        let Framework::Values(scores) = &self.framework else { return Ok(()) };
        if scores.game != game.name() {
            let problem = format!("scores of the game {:?}, expected of {:?}", scores.game, game.name());
            return Err(RewardError::Scores { problem });
        }
        let (own, states) = (game.count(Player::Row), state_count(game));
        let lengths: Vec<usize> = scores.scores.iter().map(Vec::len).collect();
        if lengths.len() == states && lengths.iter().all(|&length| length == own) {
            return Ok(());
        }
        let problem = format!("scores of {lengths:?} actions by state, expected {states} states of {own} actions each");
        Err(RewardError::Scores { problem })
    }

    /// The row player's reward for a round.
    ///
    /// `action` is the player's own action (`None`: an illegal output), `other` the other player's, `state` the state
    /// before the move.
    ///
    /// # Panics
    /// For an action id out of range, and for scores of another game; both are checked where they enter the library.
    #[must_use]
    pub fn value(&self, game: &MatrixGame, action: Option<ActionId>, other: ActionId, state: State) -> f64 {
        let Some(action) = action else { return self.illegal };
        match &self.framework {
            Framework::Published(entry, constant) => (entry.reward)(Round::of(game, action, other, state), *constant),
            Framework::Values(scores) => scores.scores[state_number(game, state)][action],
        }
    }

    /// Expected reward of every row action.
    ///
    /// `belief` is a distribution over the column player's action.
    ///
    /// # Errors
    /// [`GameError::Belief`] for a belief that is not a distribution over the column player's actions.
    pub fn expected(&self, game: &MatrixGame, state: State, belief: &[f64]) -> Result<Vec<f64>, GameError> {
        check_belief(game, belief)?;
        Ok((0..game.count(Player::Row))
            .map(|a| belief.iter().enumerate().map(|(o, p)| p * self.value(game, Some(a), o, state)).sum())
            .collect())
    }
}
