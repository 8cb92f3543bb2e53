//! The algorithms that compute a step's gradient.

use probity_engine::Error as EngineError;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::objective::Aim;

/// How the gradient of a step is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "name",
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "an algorithm such as { name = \"ppo\", rounds = 5 }"
)]
pub enum Algorithm {
    /// The objective's own gradient, over all states and actions.
    ///
    /// It is flat where a policy is certain of a wrong action: with a small beta it may end far from the optimum.
    /// Repeated play needs it.
    Exact {},
    /// Cross-entropy to the known optimum, plus the legality term.
    ///
    /// It trains single rounds, not repeated play.
    Optimum {},
    /// Cross-entropy to the best actions: supervised fine-tuning.
    ///
    /// Divergence and legality are reported, not trained.
    Supervised {},
    /// REINFORCE on sampled answers; the baseline is the mean of other episodes.
    ///
    /// Williams 1992; Kool et al. 2019.
    Reinforce(Reinforce),
    /// GRPO on groups of sampled answers, as TRL defines it.
    ///
    /// Shao et al. 2024.
    Grpo(Grpo),
    /// PPO on sampled answers, as arXiv 2410.01639 ran it.
    ///
    /// Schulman et al. 2017.
    Ppo(Ppo),
}

/// What REINFORCE needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Reinforce {
    /// Rounds in an episode; a step plays `games_per_step` episodes.
    pub rounds: usize,
}

/// The options of GRPO; the defaults are those of TRL 1.16.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Grpo {
    /// Answers to one prompt; a step asks `games_per_step` prompts.
    pub group: usize,
    /// Optimiser steps on the same samples.
    pub epochs: usize,
    /// How far the ratio of new to old probability may move before it stops counting.
    pub clip: f64,
}

impl Default for Grpo {
    fn default() -> Self {
        Self { group: 8, epochs: 1, clip: 0.2 }
    }
}

/// The options of PPO; the defaults are the published ones.
///
/// TRL 0.9 at commit 78f8228, as the paper's code set it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Ppo {
    /// Rounds in an episode; a step plays `games_per_step` episodes.
    pub rounds: usize,
    /// Optimiser steps on the same samples.
    ///
    /// The paper's text says 4; its code accumulates four passes over the same gradient into one step, which is 1.
    pub epochs: usize,
    /// How far the ratio of new to old probability may move before it stops counting.
    pub clip: f64,
    /// The same of the value's change.
    pub value_clip: f64,
    /// Weight of the value's error.
    pub value_weight: f64,
    /// Weight of a token's reward beside the one before it.
    pub discount: f64,
    /// Decay of the generalised advantage estimate (Schulman et al. 2016).
    pub lambda: f64,
    /// The largest mean ratio of a sample that is learned from.
    ///
    /// With a larger ratio the optimiser follows its momentum alone.
    pub ratio_threshold: f64,
}

impl Ppo {
    /// Changes some settings.
    ///
    /// `Ppo::default().with(|o| o.clip = 0.1)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for Ppo {
    fn default() -> Self {
        Self {
            rounds: 5,
            epochs: 1,
            clip: 0.2,
            value_clip: 0.2,
            value_weight: 0.1,
            discount: 1.0,
            lambda: 0.95,
            ratio_threshold: 10.0,
        }
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Optimum {}
    }
}

impl Algorithm {
    /// Its name, as a config has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exact {} => "exact",
            Self::Optimum {} => "optimum",
            Self::Supervised {} => "supervised",
            Self::Reinforce(_) => "reinforce",
            Self::Grpo(_) => "grpo",
            Self::Ppo(_) => "ppo",
        }
    }

    /// What the gradient is of, where nothing is sampled.
    pub(crate) fn aim(&self) -> Aim {
        match self {
            Self::Optimum {} => Aim::Optimum,
            Self::Supervised {} => Aim::Labels,
            Self::Exact {} | Self::Reinforce(_) | Self::Grpo(_) | Self::Ppo(_) => Aim::Objective,
        }
    }

    /// Rounds of an episode, or answers of a group, where answers are sampled.
    #[must_use]
    pub fn rounds(&self) -> Option<usize> {
        match self {
            Self::Exact {} | Self::Optimum {} | Self::Supervised {} => None,
            Self::Reinforce(r) => Some(r.rounds),
            Self::Grpo(g) => Some(g.group),
            Self::Ppo(p) => Some(p.rounds),
        }
    }

    /// Optimiser steps in a step of the run.
    #[must_use]
    pub fn epochs(&self) -> u64 {
        match self {
            Self::Ppo(p) => p.epochs as u64,
            Self::Grpo(g) => g.epochs as u64,
            Self::Exact {} | Self::Optimum {} | Self::Supervised {} | Self::Reinforce(_) => 1,
        }
    }

    /// Decay of the second moment: short for exact gradients, usual for noise.
    #[must_use]
    pub fn beta2(&self) -> f32 {
        if self.rounds().is_some() { 0.999 } else { 0.98 }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the field.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: String, expected: &str| {
            if ok { Ok(()) } else { Err(EngineError::Option { name, given, expected: expected.into() }.into()) }
        };
        if let Some(rounds) = self.rounds() {
            let name = if matches!(self, Self::Grpo(_)) { "algorithm.group" } else { "algorithm.rounds" };
            need((2..=1024).contains(&rounds), name, rounds.to_string(), "2 to 1024")?;
        }
        let epochs = self.epochs();
        need((1..=64).contains(&epochs), "algorithm.epochs", epochs.to_string(), "1 to 64")?;
        let above = |name, v: f64| need(v.is_finite() && v > 0.0, name, v.to_string(), "a number above 0");
        if let Self::Grpo(g) = self {
            above("algorithm.clip", g.clip)?;
        }
        let Self::Ppo(p) = self else { return Ok(()) };
        above("algorithm.clip", p.clip)?;
        above("algorithm.value_clip", p.value_clip)?;
        above("algorithm.ratio_threshold", p.ratio_threshold)?;
        let least = p.value_weight.is_finite() && p.value_weight >= 0.0;
        need(least, "algorithm.value_weight", p.value_weight.to_string(), "a number of at least 0")?;
        let share = |name, v: f64| need((0.0..=1.0).contains(&v), name, v.to_string(), "a number from 0 to 1");
        share("algorithm.discount", p.discount)?;
        share("algorithm.lambda", p.lambda)
    }
}
