//! A decision: the action taken, and the account of every legal action.

use std::sync::Arc;

use probity_game::moral::Account;
use probity_game::{ActionId, State};
use serde::{Deserialize, Serialize};

use super::legality::Unreliable;

/// One legal action of a decision.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{Agent, Scenario};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
/// let decision = agent.decide()?;
/// let share = &decision.considered.actions[0];
/// assert_eq!(share.label, "share");
/// assert!(share.log_prob <= 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its label.
    pub label: String,
    /// Probability that the agent takes it.
    pub probability: f64,
    /// The model's log-probability of the label, before temperature, mask or tilt.
    ///
    /// Natural logarithm.
    pub log_prob: f64,
    /// What it is worth.
    #[serde(flatten)]
    pub account: Account,
}

/// Every legal action in a state, with its probability and its account.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{Agent, Scenario};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let agent = Agent::new(&model, scenario, ContextOptions::default())?;
/// let considered = agent.consider(None)?;
/// assert!((considered.policy().iter().sum::<f64>() - 1.0).abs() < 1e-12);
/// assert!(considered.legality_mass <= 1.0);
/// // Nothing was drawn, so nothing was decided.
/// assert!(agent.record().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consideration {
    /// Every legal action, in order of id.
    pub actions: Vec<Choice>,
    /// Probability that the model answers with any legal action at all.
    ///
    /// The rest, up to 1, is the probability that the model answers with anything else.
    pub legality_mass: f64,
    /// Why the probabilities are not to be relied on.
    ///
    /// `None` where the legality mass reaches the scenario's floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreliable: Option<Unreliable>,
    /// The state it was taken in.
    pub state: State,
    /// Believed distribution over the other player's action.
    pub belief: Vec<f64>,
}

/// An action drawn, with the consideration it was drawn from.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{Agent, Scenario};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
/// let decision = agent.decide()?;
/// assert_eq!(decision.label(), decision.considered.actions[decision.action].label);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The action taken.
    pub action: ActionId,
    /// Every action that could have been taken.
    #[serde(flatten)]
    pub considered: Arc<Consideration>,
}

impl Decision {
    /// The label of the action taken.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.considered.actions[self.action].label
    }

    /// The probabilities in order of action id.
    #[must_use]
    pub fn policy(&self) -> Vec<f64> {
        self.considered.policy()
    }
}

impl Consideration {
    /// The most probable action; of equals the one with the smaller id.
    #[must_use]
    pub fn most_probable(&self) -> ActionId {
        let probabilities = self.policy();
        let best = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        probabilities.iter().position(|&p| p == best).unwrap_or(0)
    }

    /// The probabilities in order of action id.
    #[must_use]
    pub fn policy(&self) -> Vec<f64> {
        self.actions.iter().map(|a| a.probability).collect()
    }
}
