//! The training config: games, labels, layouts, rewards and phases.

mod algorithm;
mod check;
mod game;
mod phases;
mod telling;

pub use algorithm::{Algorithm, Grpo, Ppo, Reinforce};
pub use game::GivenGame;
pub use phases::{Annealing, EarlyStop, KlTarget, Phase, Reference, Validation};
pub use probity_game::Opponent;
pub use telling::{Labels, Norms, Seats, Styles};

use std::collections::BTreeMap;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use phases::ten;
use probity::agent::prompt::{Norm, Style};
use probity_engine::Error as EngineError;
use probity_game::moral::Mixture;
use probity_game::{MatrixGame, Player};
use telling::asks_norm;

use super::decoder::{Compute, LINEARS};
use super::games::{RANDOM, Reach, random_game};
use super::labels::Split;
use crate::Result;

/// Where the games of a step come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Games {
    /// Games, each as likely as the others: by name, or as documents of any shape.
    #[serde(default)]
    pub catalogue: Vec<GivenGame>,
    /// Share of games with random payoffs instead.
    #[serde(default)]
    pub random: f64,
    /// What random games are drawn from, each as likely as the others.
    #[serde(default = "digits", skip_serializing_if = "is_digits")]
    pub reach: Vec<Reach>,
    /// What one of these games counts for in the objective; 1 where it is not named.
    ///
    /// The frequency of its draws stays the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
}

fn digits() -> Vec<Reach> {
    vec![Reach::Digits]
}

fn is_digits(reach: &[Reach]) -> bool {
    reach == [Reach::Digits]
}

/// A game as a step tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The game's name, or `random`.
    pub name: String,
    /// The game.
    pub game: MatrixGame,
    /// How it is told.
    pub style: Style,
    /// What it counts for.
    pub weight: f64,
}

/// Repeated play.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Play {
    /// Weight of a round beside the one before it, above 0 and below 1.
    pub discount: f64,
    /// Where play starts.
    #[serde(default)]
    pub start: Start,
}

/// Where repeated play starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// In every state as often, so that none goes untrained.
    #[default]
    Anywhere,
    /// In the first round: states that play never leads to are not trained.
    FirstRound,
}

impl Start {
    /// As a distribution over so many states.
    #[must_use]
    pub fn distribution(self, states: usize) -> Vec<f64> {
        match self {
            Self::Anywhere => vec![1.0 / states as f64; states],
            Self::FirstRound => (0..states).map(|s| f64::from(u8::from(s == 0))).collect(),
        }
    }
}

/// Element type of a written adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As trained.
    #[default]
    F32,
    /// Half the size.
    F16,
    /// About a quarter.
    #[serde(rename = "q8_0")]
    Q8_0,
}

fn whole() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_whole(share: &f64) -> bool {
    *share >= 1.0
}

fn tenth() -> f64 {
    0.1
}

fn every_linear() -> Vec<String> {
    LINEARS.map(String::from).to_vec()
}

fn default_max_norm() -> f32 {
    1.0
}

/// Everything a training run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Short name, written into the adapter.
    pub name: String,
    /// Seed of the adapter's first weights and of the curriculum.
    pub seed: u64,
    /// How the gradient is found.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// BLAKE3 of the adapter file that training starts from.
    ///
    /// Without one it starts at the bare model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Whose policy the divergence is measured from.
    #[serde(default, skip_serializing_if = "Reference::is_bare")]
    pub reference: Reference,
    /// Phases in order; more than one switches the reward on the way ("unlearning").
    pub phases: Vec<Phase>,
    /// Share of the steps that each reward before the last takes.
    ///
    /// It is used where [`TrainConfig::in_turn`] gives several.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub earlier_steps: f64,
    /// Games.
    pub games: Games,
    /// Labels.
    pub labels: Labels,
    /// Layouts and orders.
    pub styles: Styles,
    /// Seats.
    #[serde(default)]
    pub seats: Seats,
    /// Norms.
    #[serde(default)]
    pub norms: Norms,
    /// Whose next action the rewards are expected over.
    pub opponent: Opponent,
    /// Repeated play; without it each round stands alone, as in the paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play: Option<Play>,
    /// Games in a step; each is told in one style, in all its states.
    ///
    /// 0 is the full batch: every catalogue game in every style, each step.
    pub games_per_step: usize,
    /// Shards a step is cut into; part of the result, unlike the thread count.
    pub shards: usize,
    /// LoRA rank.
    pub rank: usize,
    /// LoRA alpha; the update is scaled by `alpha / rank`.
    pub alpha: f32,
    /// The linear layers that get a pair, by GGUF names [default: all].
    #[serde(default = "every_linear")]
    pub targets: Vec<String>,
    /// What products with the base model's matrices are computed in.
    #[serde(default, skip_serializing_if = "Compute::is_default")]
    pub compute: Compute,
    /// Peak learning rate of Adam.
    pub rate: f32,
    /// Decay of Adam's second moment.
    ///
    /// Without it 0.98, and 0.999 where answers are sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f32>,
    /// How the learning rate falls.
    #[serde(default)]
    pub annealing: Annealing,
    /// A gradient with a larger norm is scaled down to it.
    #[serde(default = "default_max_norm")]
    pub max_norm: f32,
    /// Weight of the divergence, 0 for none; its start value with a target.
    pub beta: f64,
    /// The divergence to be held; the weight stays what it is where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_target: Option<KlTarget>,
    /// Weight of the log legality mass; 0 for sampling algorithms.
    ///
    /// Their reward has a penalty for illegal answers.
    pub legality: f64,
    /// Steps between two exact measurements, where answers are sampled.
    #[serde(default = "ten")]
    pub measure_every: u64,
    /// When the run may end early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<EarlyStop>,
    /// Which step's parameters are kept, by labels that no step trains on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Distance to the optimum (total variation) within which a run has arrived.
    ///
    /// A run that ends farther away fails; 1 accepts any distance.
    #[serde(default = "tenth")]
    pub arrival: f64,
    /// Element type of the written adapter.
    #[serde(default)]
    pub precision: Precision,
}

impl TrainConfig {
    /// Changes some fields.
    ///
    /// `config.with(|o| o.beta = 0.3)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same training on one reward, in one phase of single rounds.
    ///
    /// An early stop and validation are left out.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a config with two learners; the errors of [`TrainConfig::check`].
    pub fn single_phase(mut self, reward: Mixture, steps: u64) -> Result<Self> {
        if self.learners() > 1 {
            let (given, expected) = ("learner".into(), "an opponent that does not learn".into());
            return Err(EngineError::Option { name: "opponent", given, expected }.into());
        }
        self.phases.truncate(1);
        self.phases[0].reward = reward;
        self.phases[0].steps = steps;
        self.play = None;
        self.early_stop = None;
        self.validation = None;
        self.check()?;
        Ok(self)
    }

    /// The same training under other rewards, one after the other.
    ///
    /// The last one takes the steps of the config's one phase, each before it the share `earlier_steps` of them.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a config of several phases, and without a reward; the errors of
    /// [`TrainConfig::check`].
    pub fn in_turn(mut self, rewards: Vec<Mixture>) -> Result<Self> {
        let bad = |name, given: String, expected: &str| EngineError::Option { name, given, expected: expected.into() };
        let [only] = self.phases.as_slice() else {
            return Err(bad("reward", format!("with {} phases", self.phases.len()), "a config with one").into());
        };
        let Some(last) = rewards.len().checked_sub(1) else {
            return Err(bad("reward", "none".into(), "at least one").into());
        };
        let earlier = (only.steps as f64 * self.earlier_steps).ceil() as u64;
        let steps = |i: usize| if i == last { only.steps } else { earlier };
        let phase = |(i, reward)| Phase { reward, steps: steps(i), ..only.clone() };
        self.phases = rewards.into_iter().enumerate().map(phase).collect();
        self.check()?;
        Ok(self)
    }

    /// Reads a TOML config.
    ///
    /// # Errors
    /// [`EngineError::Document`] naming the line and field, and what [`TrainConfig::check`] finds.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| EngineError::Document {
            what: "training config",
            problem: e.to_string().replace('\n', " "),
        })?;
        config.check()?;
        Ok(config)
    }

    /// The config as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is plain data")
    }

    /// Decay of Adam's second moment.
    #[must_use]
    pub fn beta2(&self) -> f32 {
        self.beta2.unwrap_or_else(|| self.algorithm.beta2())
    }

    /// How many adapters are trained.
    #[must_use]
    pub fn learners(&self) -> usize {
        if self.opponent == Opponent::Learner { 2 } else { 1 }
    }

    /// The same run with more steps under its last phase's reward.
    ///
    /// They are a phase of their own, with a learning rate that rises and falls anew.
    #[must_use]
    pub fn extended(mut self, steps: u64) -> Self {
        if let Some(last) = self.phases.last() {
            self.phases.push(Phase { steps, ..last.clone() });
        }
        self
    }

    /// Total steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.phases.iter().map(|p| p.steps).sum()
    }

    /// The phase a step belongs to, and its number within it.
    #[must_use]
    pub fn phase_at(&self, step: u64) -> Option<(usize, u64)> {
        let mut left = step;
        for (i, phase) in self.phases.iter().enumerate() {
            if left < phase.steps {
                return Some((i, left));
            }
            left -= phase.steps;
        }
        None
    }

    /// Learning rate of a step.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f32 {
        let Some((phase, within)) = self.phase_at(step) else { return 0.0 };
        if self.annealing == Annealing::None {
            return self.rate;
        }
        let p = (within as f64 + 0.5) / self.phases[phase].steps as f64;
        let rise = (p / 0.05).min(1.0);
        let fall = 0.05 + 0.95 * 0.5 * (1.0 + (std::f64::consts::PI * p).cos());
        self.rate * (rise * fall) as f32
    }

    /// What a step asks.
    ///
    /// # Errors
    /// As [`TrainConfig::draw`].
    pub fn tasks_at(&self, step: u64) -> Result<Vec<Task>> {
        if self.games_per_step > 0 {
            let n = self.games_per_step as u64;
            return (step * n..(step + 1) * n).map(|index| self.draw(index)).collect();
        }
        self.full_batch(step)
    }

    /// The batch that measures a sampled policy: the full batch, if there is one.
    ///
    /// # Errors
    /// As [`TrainConfig::draw`].
    pub fn measured_at(&self, step: u64) -> Result<Vec<Task>> {
        if self.games.catalogue.is_empty() { self.tasks_at(step) } else { self.full_batch(step) }
    }

    /// The games of a validation, under labels that no step trains on.
    ///
    /// They are games of the run, told in its styles.
    ///
    /// # Errors
    /// As [`TrainConfig::draw`].
    pub fn validation_tasks(&self) -> Result<Vec<Task>> {
        /// Beyond every step's tasks, before the streams of first weights.
        const FIRST: u64 = 1 << 62;
        let Some(Validation { games, labels, .. }) = &self.validation else { return Ok(Vec::new()) };
        let unseen = |number: usize| {
            let task = self.draw(FIRST + number as u64)?;
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(2 * FIRST + number as u64);
            let game = match labels.get(number % labels.len().max(1)) {
                Some(labels) => task.game.with_labels(labels, labels)?,
                None => self.labels.unseen(task.game, &mut rng),
            };
            Ok(Task { game, ..task })
        };
        (0..*games).map(unseen).collect()
    }

    /// Every catalogue game in every style, from every seat, with every norm.
    fn full_batch(&self, step: u64) -> Result<Vec<Task>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step + 1);
        let mut all = Vec::new();
        for given in &self.games.catalogue {
            let seats = self.seats.all();
            // Who sits where makes no difference in a symmetric game.
            let seats = if given.0.is_same_from_both_seats() { &seats[..1] } else { seats };
            for seat in seats {
                let game = self.labels.apply(given.0.clone().seen_from(*seat), Split::Train, &mut rng)?;
                for norm in self.norms_at(step) {
                    let told = self.styles.all().map(|style| style.with(|o| o.norm = *norm));
                    all.extend(told.map(|style| self.task(given.name(), game.clone(), style)));
                }
            }
        }
        Ok(all)
    }

    /// The `index`-th task of the run.
    ///
    /// # Errors
    /// [`probity::Error::Game`] for fixed labels that are unfit.
    pub fn draw(&self, index: u64) -> Result<Task> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Stream 0 belongs to the adapter's first weights.
        rng.set_stream(index + 1);
        let random = self.games.catalogue.is_empty() || rng.random_bool(self.games.random);
        let norms = self.norms_at(index / self.games_per_step.max(1) as u64);
        let mut norm = *norms.choose(&mut rng).expect("some norm");
        let (name, game) = if random {
            let reach = *self.games.reach.choose(&mut rng).expect("checked");
            let mut game = random_game(&mut rng, Split::Train, reach);
            if norm == Norm::Told && rng.random_bool(0.5) {
                // A norm that the payoffs do not tell, so that the line in the prompt has to be read.
                let any = [Player::Row, Player::Column].map(|player| rng.random_range(0..game.count(player)));
                game = game.with_cooperative(any).expect("actions of the game");
            }
            if [Player::Row, Player::Column].into_iter().any(|player| game.kindest(player).is_none()) {
                // Neither payoffs nor prompt would tell it.
                norm = norms[0];
            }
            (RANDOM, game)
        } else {
            let given = self.games.catalogue.choose(&mut rng).expect("checked");
            (given.name(), given.0.clone())
        };
        let seat = *self.seats.all().choose(&mut rng).expect("some seat");
        let game = self.labels.apply(game.seen_from(seat), Split::Train, &mut rng)?;
        let style = self.styles.draw(&mut rng).with(|o| o.norm = norm);
        Ok(self.task(name, game, style))
    }

    /// A style and a norm of a step.
    pub(crate) fn style(&self, step: u64, rng: &mut impl Rng) -> Style {
        let norm = *self.norms_at(step).choose(rng).expect("some norm");
        self.styles.draw(rng).with(|o| o.norm = norm)
    }

    /// Whether a reward asks for the norm, and every prompt of such a reward tells it.
    #[must_use]
    pub fn tells_norm(&self) -> bool {
        let mut asking = self.phases.iter().filter(|phase| asks_norm(&phase.reward)).peekable();
        asking.peek().is_some() && asking.all(|phase| self.norms.all(&phase.reward) == [Norm::Told])
    }

    /// The norms of a step; behind the last one, those of the last phase.
    fn norms_at(&self, step: u64) -> &'static [Norm] {
        let phase = self.phase_at(step).map_or(self.phases.len() - 1, |(phase, _)| phase);
        self.norms.all(&self.phases[phase].reward)
    }

    fn task(&self, name: &str, game: MatrixGame, style: Style) -> Task {
        let weight = self.games.weights.get(name).copied().unwrap_or(1.0);
        Task { name: name.into(), game, style, weight }
    }
}
