//! One decision: the action taken, and the account of every action that could have been.

use probity_game::moral::Account;
use probity_game::{ActionId, State};
use serde::{Deserialize, Serialize};

/// One legal action of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its label.
    pub label: String,
    /// Probability that the agent takes it.
    pub probability: f64,
    /// The model's own log-probability of answering with it, natural log, before any temperature, mask or tilt.
    pub log_prob: f64,
    /// What it is worth.
    #[serde(flatten)]
    pub account: Account,
}

/// What an agent makes of a state before it decides: every legal action, with its probability and its account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consideration {
    /// Every legal action, in order of id.
    pub actions: Vec<Choice>,
    /// Probability that the model answers with any legal action at all. Constraining the choice hides nothing: what is
    /// missing to 1 is what it would rather have said.
    pub legality_mass: f64,
    /// The state it was taken in.
    pub state: State,
    /// Believed distribution over the other player's action.
    pub belief: Vec<f64>,
}

/// An action drawn, with the consideration it was drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The action taken.
    pub action: ActionId,
    /// Every action that could have been taken.
    #[serde(flatten)]
    pub considered: Consideration,
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
