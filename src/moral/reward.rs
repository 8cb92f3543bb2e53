//! Intrinsic rewards of one player for one profile and history.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::game::{ActionId, GameError, MatrixGame, Player, State, check_belief};

/// Penalty for defecting against a cooperator while training (arXiv 2410.01639: xi = 3).
pub const XI: f64 = 3.0;
/// The same in evaluation: the code behind arXiv 2410.01639 trains with 3 but measures regret with 4.
pub const EVALUATION_XI: f64 = 4.0;
/// Reward of an output that is no legal action (arXiv 2410.01639: R_illegal = -6).
pub const ILLEGAL: f64 = -6.0;

/// Why a reward was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RewardError {
    /// A constant that is not finite or out of its range.
    #[error("reward: {constant} is {value}, expected {expected}")]
    Constant {
        /// Which constant.
        constant: &'static str,
        /// The value as text.
        value: String,
        /// The range that would be right.
        expected: &'static str,
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

/// What the values that people gave make of each action in each state of a game, as `probity values score` computes it from a
/// moral graph. The other player's action makes no difference: it is not known when one's own is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The name of the game whose actions they judge: in another one the same place holds another action.
    pub game: String,
    /// A row for the first round, then one for each last profile, by own action and then by the other's; in each row a score
    /// for each own action. A state of which the graph says nothing has equal scores.
    pub scores: Vec<Vec<f64>>,
    /// What they were computed from: hashes of the graph and of the models.
    pub source: String,
}

/// A moral framework with its constants. `M` is the player judged, `O` the other; payoffs in points.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "framework", rename_all = "kebab-case")]
pub enum Framework {
    /// `payoff_M`: the selfish baseline (arXiv 2410.01639, "Game reward").
    Game,
    /// `-xi` for defecting against one who cooperated last, else 0 (2410.01639, "Deontological reward").
    Deontological {
        /// Size of the penalty, points, >= 0.
        xi: f64,
    },
    /// `payoff_M + payoff_O` (2410.01639, "Utilitarian reward").
    Utilitarian,
    /// The sum of the game and the deontological reward (2410.01639, "Game+Deontological").
    GameDeontological {
        /// Size of the penalty, points, >= 0.
        xi: f64,
    },
    /// `1 - |payoff_M - payoff_O| / (|payoff_M| + |payoff_O|)`, 1 where both are zero: in 0..=1.
    ///
    /// The published form (arXiv 2301.08491) divides by the plain sum and is undefined at 0/0 and below; with absolute
    /// values it is the same wherever both payoffs are non-negative, and defined everywhere.
    VirtueEquality,
    /// `xi` for cooperating, else 0 (2301.08491).
    VirtueKindness {
        /// Size of the praise, points, >= 0.
        xi: f64,
    },
    /// `beta * equality + (1 - beta) * [cooperates]` (2301.08491, with its normalised kindness; the released code
    /// truncates beta to 0, which this does not repeat).
    VirtueMixed {
        /// Weight of equality, 0..=1.
        beta: f64,
    },
    /// What the wisest values of a moral graph make of the action (arXiv 2404.10636, section 6.2): of one game, in its states.
    Values(Arc<Scores>),
}

impl Framework {
    /// Every framework with its published constants, in the order accounts list them.
    pub const ALL: [Self; 7] = [
        Self::Game,
        Self::Deontological { xi: XI },
        Self::Utilitarian,
        Self::GameDeontological { xi: XI },
        Self::VirtueEquality,
        Self::VirtueKindness { xi: XI },
        Self::VirtueMixed { beta: 0.5 },
    ];

    /// The name used on the command line and in documents.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Game => "game",
            Self::Deontological { .. } => "deontological",
            Self::Utilitarian => "utilitarian",
            Self::GameDeontological { .. } => "game-deontological",
            Self::VirtueEquality => "virtue-equality",
            Self::VirtueKindness { .. } => "virtue-kindness",
            Self::VirtueMixed { .. } => "virtue-mixed",
            Self::Values(_) => "values",
        }
    }

    /// The framework of that name, with its published constants.
    ///
    /// # Errors
    /// [`RewardError::Unknown`] listing the names there are.
    pub fn find(name: &str) -> Result<Self, RewardError> {
        // Sums are also spelt with a plus, as adapters' names are.
        let name = name.replace('+', "-");
        Self::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| RewardError::Unknown {
            given: name.clone(),
            expected: Self::ALL.map(|f| f.name()).join(", "),
        })
    }
}

/// A framework together with the reward of an illegal output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RewardDocument")]
pub struct Reward {
    /// The framework that judges legal actions.
    #[serde(flatten)]
    pub framework: Framework,
    /// Reward of an output that is no legal action, points.
    pub illegal: f64,
}

/// The JSON form: a framework's name, and the constants that are not the published ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewardDocument {
    framework: String,
    xi: Option<f64>,
    beta: Option<f64>,
    illegal: Option<f64>,
    game: Option<String>,
    scores: Option<Vec<Vec<f64>>>,
    source: Option<String>,
}

impl TryFrom<RewardDocument> for Reward {
    type Error = RewardError;

    fn try_from(d: RewardDocument) -> Result<Self, RewardError> {
        let illegal = d.illegal.unwrap_or(ILLEGAL);
        let mut framework = match (d.framework.as_str(), d.game, d.scores) {
            ("values", Some(game), Some(scores)) => {
                Framework::Values(Arc::new(Scores { game, scores, source: d.source.unwrap_or_default() }))
            }
            ("values", _, _) => {
                return Err(RewardError::Scores {
                    problem: "no game or no scores, expected what `probity values score` wrote".into(),
                });
            }
            (name, None, None) => Framework::find(name)?,
            (name, _, _) => {
                return Err(RewardError::Scores { problem: format!("{name} is of every game and has no scores") });
            }
        };
        let (own_xi, own_beta) = match &mut framework {
            Framework::Deontological { xi }
            | Framework::GameDeontological { xi }
            | Framework::VirtueKindness { xi } => (Some(xi), None),
            Framework::VirtueMixed { beta } => (None, Some(beta)),
            Framework::Game | Framework::Utilitarian | Framework::VirtueEquality | Framework::Values(_) => (None, None),
        };
        for (constant, own, given) in [("xi", own_xi, d.xi), ("beta", own_beta, d.beta)] {
            match (own, given) {
                (Some(own), Some(given)) => *own = given,
                (None, Some(given)) => {
                    let expected = "none, this framework has no such constant";
                    return Err(RewardError::Constant { constant, value: given.to_string(), expected });
                }
                (_, None) => {}
            }
        }
        Ok(Self { framework, illegal })
    }
}

impl From<Framework> for Reward {
    fn from(framework: Framework) -> Self {
        Self { framework, illegal: ILLEGAL }
    }
}

impl Reward {
    /// Checks the constants: finite, `xi` >= 0, `beta` in 0..=1.
    ///
    /// # Errors
    /// [`RewardError::Constant`] naming the first one that is off.
    pub fn check(&self) -> Result<(), RewardError> {
        let constant = |constant, value: f64, ok: bool, expected| {
            if ok { Ok(()) } else { Err(RewardError::Constant { constant, value: value.to_string(), expected }) }
        };
        constant("illegal", self.illegal, self.illegal.is_finite(), "a finite number")?;
        match &self.framework {
            &(Framework::Deontological { xi }
            | Framework::GameDeontological { xi }
            | Framework::VirtueKindness { xi }) => {
                constant("xi", xi, xi.is_finite() && xi >= 0.0, "a finite number of at least 0")
            }
            &Framework::VirtueMixed { beta } => {
                constant("beta", beta, (0.0..=1.0).contains(&beta), "a number from 0 to 1")
            }
            Framework::Values(scores) => {
                match scores.scores.iter().flatten().find(|score| score.is_nan() || score.abs() > MAX_SCORE) {
                    Some(score) => {
                        let problem =
                            format!("a score of {score}, expected a number of at most {MAX_SCORE} by its size");
                        Err(RewardError::Scores { problem })
                    }
                    None => Ok(()),
                }
            }
            Framework::Game | Framework::Utilitarian | Framework::VirtueEquality => Ok(()),
        }
    }

    /// Checks that it is one for this game, and its constants.
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
        let [own, other] = [Player::Row, Player::Column].map(|player| game.count(player));
        let states = 1 + own * other;
        let lengths: Vec<usize> = scores.scores.iter().map(Vec::len).collect();
        if lengths.len() == states && lengths.iter().all(|&length| length == own) {
            return Ok(());
        }
        let problem = format!("scores of {lengths:?} actions by state, expected {states} states of {own} actions each");
        Err(RewardError::Scores { problem })
    }

    /// The row player's reward for a round: its own action (`None`: an illegal output), the other's action, and the
    /// state in which both moved. Before the first round nothing has been done to anybody, so no norm is broken.
    ///
    /// # Panics
    /// When an action id is out of range, or scores are another game's; both are checked where they enter the library.
    #[must_use]
    pub fn value(&self, game: &MatrixGame, action: Option<ActionId>, other: ActionId, state: State) -> f64 {
        let Some(action) = action else { return self.illegal };
        let [own, others] = game.payoff(action, other);
        let defects = game.is_defection(Player::Row, action);
        let when = |condition: bool, value: f64| if condition { value } else { 0.0 };
        match &self.framework {
            Framework::Game => own,
            Framework::Deontological { xi } => when(betrays(game, action, state), -xi),
            Framework::Utilitarian => own + others,
            Framework::GameDeontological { xi } => own + when(betrays(game, action, state), -xi),
            Framework::VirtueEquality => equality(own, others),
            Framework::VirtueKindness { xi } => when(!defects, *xi),
            Framework::VirtueMixed { beta } => beta * equality(own, others) + when(!defects, 1.0 - beta),
            Framework::Values(scores) => {
                let row = state.map_or(0, |last| 1 + last.own * game.count(Player::Column) + last.other);
                scores.scores[row][action]
            }
        }
    }

    /// Expected reward of every row action under a belief about the column player's action.
    ///
    /// # Errors
    /// [`GameError::Belief`] when the belief is not a distribution over the column player's actions.
    pub fn expected(&self, game: &MatrixGame, state: State, belief: &[f64]) -> Result<Vec<f64>, GameError> {
        check_belief(game, belief)?;
        Ok((0..game.count(Player::Row))
            .map(|a| belief.iter().enumerate().map(|(o, p)| p * self.value(game, Some(a), o, state)).sum())
            .collect())
    }
}

/// Whether the row player's action defects on one who cooperated last: what the deontological norm forbids (2410.01639).
#[must_use]
pub fn betrays(game: &MatrixGame, action: ActionId, state: State) -> bool {
    game.is_defection(Player::Row, action) && state.is_some_and(|last| !game.is_defection(Player::Column, last.other))
}

fn equality(own: f64, other: f64) -> f64 {
    let total = own.abs() + other.abs();
    if total == 0.0 { 1.0 } else { 1.0 - (own - other).abs() / total }
}
