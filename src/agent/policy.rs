//! From scores to probabilities: softmax, temperature, mask and tilt.

use probity_engine::Error as EngineError;
use probity_engine::score::softmax;
use probity_game::moral::{Framework, Reward, betrays};
use probity_game::{ActionId, MatrixGame, Player, State, Strategy, check_belief, fair_coin};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The belief about the other player's next action.
///
/// Accounts and tilts are expectations under it.
///
/// ```
/// use probity::agent::policy::Belief;
/// use probity::game::{CatalogGame, Strategy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// assert_eq!(Belief::FairCoin.distribution(&game, None)?, [0.5, 0.5]);
/// let kind = Belief::Strategy(Strategy::find("always-cooperate").unwrap());
/// assert_eq!(kind.distribution(&game, None)?, [1.0, 0.0]);
/// assert!(Belief::Probabilities(vec![0.5, 0.6]).distribution(&game, None).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Belief {
    /// Every action equally likely.
    #[default]
    FairCoin,
    /// The other player follows a scripted strategy.
    Strategy(Strategy),
    /// Given probabilities, in order of action id.
    Probabilities(Vec<f64>),
}

impl Belief {
    /// The distribution over the column player's actions in a state.
    ///
    /// # Errors
    /// [`Error::Game`] if the belief is not a distribution over the other player's actions.
    pub fn distribution(&self, game: &MatrixGame, state: State) -> Result<Vec<f64>> {
        let belief = match self {
            Self::FairCoin => fair_coin(game),
            Self::Strategy(strategy) => strategy.policy(game, state)?,
            Self::Probabilities(p) => p.clone(),
        };
        check_belief(game, &belief)?;
        Ok(belief)
    }
}

/// A pull towards a reward: `pi(a) ~ pi(a) exp(R(a) / beta)`.
///
/// It is the exact optimum of expected reward minus `beta KL(. | pi)`, which fine-tuning on the reward approaches. It
/// needs no training.
///
/// ```
/// use probity::agent::policy::{PolicyOptions, Tilt};
/// use probity::game::CatalogGame;
/// use probity::moral::Framework;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let tilt = Tilt { reward: Framework::find("utilitarian")?.into(), beta: 1.0 };
/// let options = PolicyOptions::default().with(|o| o.tilt = Some(tilt));
/// // Both actions are equally likely for the model; cooperation brings both of them together a point more.
/// let p = options.probabilities(&game, None, &[-0.7, -0.7])?;
/// assert!((p[0] / p[1] - f64::exp(2.0)).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tilt {
    /// The reward.
    pub reward: Reward,
    /// How much divergence a unit of reward may cost: above 0, smaller pulls harder.
    pub beta: f64,
}

/// Actions that are never taken, whatever the model says.
///
/// ```
/// use probity::agent::policy::{Mask, PolicyOptions};
/// use probity::game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let options = PolicyOptions::default().with(|o| o.mask = Some(Mask::Betrayal));
/// let both_cooperated = Some(Profile { own: 0, other: 0 });
/// assert_eq!(options.probabilities(&game, both_cooperated, &[-5.0, -0.1])?, [1.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// Defecting on a player who cooperated last.
    Betrayal,
    /// These actions, by id.
    Actions(Vec<ActionId>),
    /// Actions whose expected reward is worse than the best one's by more than this.
    Worse {
        /// The reward.
        reward: Reward,
        /// How much worse an action may be, in the reward's units: 0 or more.
        by: f64,
    },
}

/// From scores to probabilities.
///
/// ```
/// use probity::agent::policy::PolicyOptions;
/// use probity::game::CatalogGame;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let hot = PolicyOptions::default().with(|o| o.temperature = 1e9);
/// let p = hot.probabilities(&game, None, &[-5.0, -0.1])?;
/// assert!((p[0] - 0.5).abs() < 1e-6);
/// assert!(PolicyOptions::default().with(|o| o.temperature = 0.0).check(&game).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyOptions {
    /// Divides the scores: 1 is the model's own policy, below it sharper; above 0.
    pub temperature: f64,
    /// Actions that are never taken.
    pub mask: Option<Mask>,
    /// Pull towards a reward.
    pub tilt: Option<Tilt>,
    /// What is believed about the other player.
    pub belief: Belief,
    /// Rewards that the account of every action lists.
    pub rewards: Vec<Reward>,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self { temperature: 1.0, mask: None, tilt: None, belief: Belief::default(), rewards: Framework::all_rewards() }
    }
}

impl PolicyOptions {
    /// Changes some options.
    ///
    /// `PolicyOptions::default().with(|o| o.temperature = 0.5)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every option against a game.
    ///
    /// # Errors
    /// [`EngineError::Option`], [`Error::Reward`] or [`Error::Game`] naming what is out of range.
    pub fn check(&self, game: &MatrixGame) -> Result<()> {
        let above_zero = |name, v: f64| {
            if v.is_finite() && v > 0.0 {
                Ok::<_, Error>(())
            } else {
                Err(EngineError::Option { name, given: v.to_string(), expected: "a finite number above 0".into() }
                    .into())
            }
        };
        above_zero("temperature", self.temperature)?;
        if let Some(tilt) = &self.tilt {
            above_zero("tilt beta", tilt.beta)?;
            tilt.reward.check_for(game)?;
        }
        if let Some(Mask::Actions(actions)) = &self.mask {
            for &a in actions {
                game.check_action(Player::Row, a)?;
            }
            if (0..game.count(Player::Row)).all(|a| actions.contains(&a)) {
                let expected = "at least one action left".into();
                return Err(EngineError::Option { name: "mask", given: "every action".into(), expected }.into());
            }
        }
        if let Some(Mask::Worse { reward, by }) = &self.mask {
            reward.check_for(game)?;
            if by.is_nan() || *by < 0.0 {
                let expected = "a number of at least 0".into();
                return Err(EngineError::Option { name: "mask", given: by.to_string(), expected }.into());
            }
        }
        self.rewards.iter().try_for_each(|reward| reward.check_for(game))?;
        self.belief.distribution(game, None)?;
        Ok(())
    }

    /// Which actions are never taken.
    fn masked(&self, game: &MatrixGame, state: State) -> Result<Vec<bool>> {
        let actions = 0..game.count(Player::Row);
        Ok(match &self.mask {
            None => vec![false; actions.len()],
            Some(Mask::Actions(masked)) => actions.map(|action| masked.contains(&action)).collect(),
            Some(Mask::Betrayal) => actions.map(|action| betrays(game, action, state)).collect(),
            Some(Mask::Worse { reward, by }) => {
                let rewards = reward.expected(game, state, &self.belief.distribution(game, state)?)?;
                let best = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                rewards.iter().map(|reward| best - reward > *by).collect()
            }
        })
    }

    /// The probability of every action.
    ///
    /// `softmax(scores / temperature + R / beta)` over the actions that the mask leaves. `scores` are log-probabilities
    /// in order of action id.
    ///
    /// # Errors
    /// [`Error::Game`] from the belief; [`EngineError::Llama`] when a score is NaN; [`EngineError::Option`] when
    /// temperature or tilt are so small that the sums overflow.
    pub fn probabilities(&self, game: &MatrixGame, state: State, scores: &[f64]) -> Result<Vec<f64>> {
        if scores.iter().any(|s| s.is_nan()) || scores.iter().all(|s| *s == f64::NEG_INFINITY) {
            let reason = format!("the options' log-probabilities are {scores:?}; the model or adapter is damaged");
            return Err(EngineError::Llama { action: "score the options", reason }.into());
        }
        let pull = match &self.tilt {
            Some(t) => {
                let belief = self.belief.distribution(game, state)?;
                t.reward.expected(game, state, &belief)?.iter().map(|r| r / t.beta).collect()
            }
            None => vec![0.0; scores.len()],
        };
        let masked = self.masked(game, state)?;
        let logits: Vec<f64> = scores
            .iter()
            .zip(&pull)
            .zip(masked)
            .map(|((s, r), masked)| if masked { f64::NEG_INFINITY } else { s / self.temperature + r })
            .collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !most.is_finite() || logits.iter().any(|l| l.is_nan()) {
            return Err(EngineError::Option {
                name: "temperature and tilt",
                given: format!("the sums {logits:?}"),
                expected: "a temperature and a beta under which they stay finite".into(),
            }
            .into());
        }
        Ok(softmax(&logits))
    }
}
