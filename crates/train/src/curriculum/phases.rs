//! How a run goes: its phases, the divergence, the rate, and when it ends.

use probity_game::Opponent;
use probity_game::moral::Mixture;
use serde::{Deserialize, Serialize};

/// A stretch of training under one reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Phase {
    /// The reward, or a list of several with weights.
    pub reward: Mixture,
    /// Optimiser steps.
    pub steps: u64,
    /// Whom it plays against in this phase; the config's opponent where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opponent: Option<Opponent>,
}

/// Whose policy the divergence is measured from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// The bare model's.
    #[default]
    Bare,
    /// That of the adapter that training starts from.
    ///
    /// A later stage stays near the stage before it.
    Start,
}

impl Reference {
    pub(super) fn is_bare(&self) -> bool {
        *self == Self::Bare
    }
}

/// A target divergence, held by its weight.
///
/// `beta *= 1 + clip(kl / target - 1, -0.2, 0.2) / horizon` after every step (Ziegler et al. 2019, section 2.2, as TRL
/// does it).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KlTarget {
    /// The divergence, nats.
    pub target: f64,
    /// Steps in which the weight may change by about a fifth.
    pub horizon: f64,
}

/// How the learning rate falls over a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Annealing {
    /// A linear rise over a twentieth, then half a cosine to 1/20 of the peak.
    #[default]
    Cosine,
    /// It does not.
    None,
}

/// When a run may end before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EarlyStop {
    /// Distance to the optimum (total variation) that is near enough.
    pub distance: f64,
    /// Measurements in a row, all of them in the last phase, that must be as near.
    #[serde(default = "ten")]
    pub patience: u64,
}

/// Validation under labels that no step trains on.
///
/// A phase ends with the parameters whose free answers come nearest to the optimum there, and once they have been the
/// nearest for some time. More training on few labels makes a model repeat them under any others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Validation {
    /// Games that are told, the same ones each time.
    pub games: usize,
    /// Labels for both players, in order of action id.
    ///
    /// The games have the lists in turns. Without any, labels are drawn from the pool's training split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Vec<String>>,
    /// Steps between two validations.
    #[serde(default = "one")]
    pub every: u64,
    /// Validations in a row without a nearer one that end the phase.
    #[serde(default = "ten")]
    pub patience: u64,
}

fn one() -> u64 {
    1
}

pub(super) fn ten() -> u64 {
    10
}
