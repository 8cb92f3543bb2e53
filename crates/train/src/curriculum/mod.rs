//! The training config: games, labels, layouts, rewards and phases.

mod algorithm;
mod game;

pub use algorithm::{Algorithm, Grpo, Ppo, Reinforce};
pub use game::GivenGame;
pub use probity_game::Opponent;

use probity_engine::Error as EngineError;
use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::games::{Reach, random_game};
use super::decoder::LINEARS;
use super::labels::{Split, draw_labels, everyday};
use crate::Result;
use probity::agent::prompt::{Layout, Style};
use probity_game::moral::{ILLEGAL, Mixture};
use probity_game::{CatalogGame, MatrixGame, Player};

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
    /// What one of these games counts for in the objective; 1 where it is not named.
    ///
    /// The frequency of its draws stays the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
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

/// Which labels the actions get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Drawn anew for every game from the training split of the pool.
    ///
    /// Players of as many actions share them.
    Pool,
    /// The labels that a game's document has.
    Own,
    /// These, in order of action id, for both players.
    Fixed(Vec<String>),
}

impl Labels {
    /// A game with these labels; those of the pool are drawn from a split.
    ///
    /// # Errors
    /// [`probity::Error::Game`] for fixed labels that are unfit.
    pub fn apply(&self, game: MatrixGame, split: Split, rng: &mut ChaCha8Rng) -> Result<MatrixGame> {
        let [own, other] = [Player::Row, Player::Column].map(|player| game.count(player));
        Ok(match self {
            Self::Pool if own == other => {
                let labels = draw_labels(rng, own, split, everyday);
                game.with_labels(&labels, &labels)?
            }
            Self::Pool => {
                let labels = draw_labels(rng, own + other, split, everyday);
                game.with_labels(&labels[..own], &labels[own..])?
            }
            Self::Own => game,
            Self::Fixed(labels) => game.with_labels(labels, labels)?,
        })
    }
}

/// How the prompt presents the games.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Styles {
    /// Every layout and order of mention.
    All,
    /// The original layout, every order of mention: what the paper trains on.
    OriginalLayout,
}

impl Styles {
    /// All of them.
    fn all(self) -> impl Iterator<Item = Style> {
        Style::all().filter(move |style| self.of(*style) == *style)
    }

    /// One of them.
    pub(super) fn draw(self, rng: &mut impl Rng) -> Style {
        let styles: Vec<Style> = Style::all().collect();
        self.of(styles[rng.random_range(0..styles.len())])
    }

    /// A style, brought in line.
    fn of(self, style: Style) -> Style {
        match self {
            Self::All => style,
            Self::OriginalLayout => style.with(|o| o.layout = Layout::Original),
        }
    }
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

fn ten() -> u64 {
    10
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
    /// Phases in order; more than one switches the reward on the way ("unlearning").
    pub phases: Vec<Phase>,
    /// Games.
    pub games: Games,
    /// Labels.
    pub labels: Labels,
    /// Layouts and orders.
    pub styles: Styles,
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
    /// Peak learning rate of Adam.
    pub rate: f32,
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
    /// An early stop is left out.
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

    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: String, expected: &str| {
            if ok { Ok(()) } else { Err(EngineError::Option { name, given, expected: expected.into() }.into()) }
        };
        need(!self.phases.is_empty(), "phases", "none".into(), "at least one")?;
        let steps = self.phases.iter().try_fold(0_u64, |sum, phase| sum.checked_add(phase.steps));
        need(steps.is_some_and(|s| s <= 1 << 40), "phase steps", "too many".into(), "at most 2^40 in all")?;
        need(self.games_per_step <= 1 << 16, "games_per_step", self.games_per_step.to_string(), "at most 65536")?;
        for phase in &self.phases {
            phase.reward.check()?;
            need(phase.steps > 0, "phase steps", "0".into(), "at least 1")?;
            if self.algorithm.rounds().is_none() {
                let illegal = phase.reward.shares().iter().map(|share| share.reward.illegal).find(|&i| i != ILLEGAL);
                let expected = "none: exact training has no illegal answers, and weighs legality instead";
                need(illegal.is_none(), "reward illegal", illegal.unwrap_or_default().to_string(), expected)?;
            }
            let learner = self.learners() > 1 || phase.opponent == Some(Opponent::Learner);
            let alone = phase.opponent.is_none() || !learner;
            need(alone, "phase opponent", "one beside a learner".into(), "the learner in the config and every phase")?;
        }
        self.algorithm.check()?;
        for (i, given) in self.games.catalogue.iter().enumerate() {
            let once = self.games.catalogue[..i].iter().all(|other| other.name() != given.name());
            let twice = format!("{:?} twice", given.name());
            need(once, "games.catalogue", twice, "each game once; games.weights weighs them")?;
            self.phases.iter().try_for_each(|phase| phase.reward.check_for(&given.0))?;
            if let Labels::Fixed(labels) = &self.labels {
                given.0.clone().with_labels(labels, labels)?;
            }
        }
        if self.games.random > 0.0 {
            // Random games have the shape of the catalogue's games.
            let any = CatalogGame { name: RANDOM, ..*CatalogGame::find("ipd")? }.game();
            self.phases.iter().try_for_each(|phase| phase.reward.check_for(&any))?;
        }
        for (name, weight) in &self.games.weights {
            let known = self.games.catalogue.iter().any(|given| given.name() == name);
            need(known, "games.weights", name.clone(), "games of this config")?;
            let above = *weight > 0.0 && *weight <= 1e6;
            need(above, "games.weights", weight.to_string(), "numbers above 0, at most 1e6")?;
        }
        let share = self.games.random;
        need((0.0..=1.0).contains(&share), "games.random", share.to_string(), "a share from 0 to 1")?;
        let some = share >= 1.0 || !self.games.catalogue.is_empty();
        need(some, "games.catalogue", "empty".into(), "a game, or games.random = 1")?;
        need((1..=512).contains(&self.rank), "rank", self.rank.to_string(), "1 to 512")?;
        let known = |t: &String| LINEARS.contains(&t.as_str());
        let distinct = (1..self.targets.len()).all(|i| !self.targets[..i].contains(&self.targets[i]));
        let targets = !self.targets.is_empty() && distinct && self.targets.iter().all(known);
        need(targets, "targets", format!("{:?}", self.targets), &format!("some of {}, each once", LINEARS.join(", ")))?;
        let alpha = self.alpha.is_finite() && self.alpha > 0.0;
        need(alpha, "alpha", self.alpha.to_string(), "a number above 0")?;
        need(self.rate.is_finite() && self.rate > 0.0, "rate", self.rate.to_string(), "a number above 0")?;
        let beta = self.beta == 0.0 || (1e-6..=1e6).contains(&self.beta);
        need(beta, "beta", self.beta.to_string(), "0, or a number from 1e-6 to 1e6")?;
        need(self.max_norm > 0.0, "max_norm", self.max_norm.to_string(), "a number above 0")?;
        if let Some(t) = self.kl_target {
            need(self.beta > 0.0, "beta", "0 with a kl_target".into(), "a number above 0 to start from")?;
            need(t.target.is_finite() && t.target > 0.0, "kl_target.target", t.target.to_string(), "nats above 0")?;
            let horizon = t.horizon.is_finite() && t.horizon >= 1.0;
            need(horizon, "kl_target.horizon", t.horizon.to_string(), "at least 1 step")?;
        }
        let legality = self.legality.is_finite() && self.legality >= 0.0;
        need(legality, "legality", self.legality.to_string(), "a number of at least 0")?;
        need(self.measure_every > 0, "measure_every", "0".into(), "at least 1")?;
        if let Some(stop) = self.early_stop {
            let distance = (0.0..1.0).contains(&stop.distance);
            need(distance, "early_stop.distance", stop.distance.to_string(), "at least 0 and below 1")?;
            need(stop.patience > 0, "early_stop.patience", "0".into(), "at least 1")?;
        }
        need((0.0..=1.0).contains(&self.arrival), "arrival", self.arrival.to_string(), "a distance from 0 to 1")?;
        if self.algorithm.rounds().is_some() {
            let expected = "0 for a sampling algorithm, whose reward has a penalty for illegal answers";
            need(self.legality == 0.0, "legality", self.legality.to_string(), expected)?;
            need(self.games_per_step > 0, "games_per_step", "0".into(), "how many episodes or groups a step plays")?;
            let baseline = !matches!(self.algorithm, Algorithm::Reinforce(_)) || self.games_per_step > 1;
            let expected = "at least 2: the baseline of an episode is the mean of the other episodes";
            need(baseline, "games_per_step", self.games_per_step.to_string(), expected)?;
            let expected = "no weights for a sampling algorithm, which weighs a game by its share of the episodes";
            need(self.games.weights.is_empty(), "games.weights", format!("{:?}", self.games.weights), expected)?;
        }
        if let Some(play) = self.play {
            let exact = self.algorithm == Algorithm::Exact {};
            need(exact, "play", "repeated play without exact gradients".into(), "algorithm.name = \"exact\"")?;
            // Nearer to 1 the linear systems lose the digits that tell actions apart.
            let discount = play.discount > 0.0 && play.discount <= 0.9999;
            need(discount, "play.discount", play.discount.to_string(), "a number above 0, at most 0.9999")?;
        }
        need(self.shards > 0, "shards", "0".into(), "at least 1")?;
        need(
            self.games_per_step.is_multiple_of(self.shards),
            "games_per_step",
            self.games_per_step.to_string(),
            "a multiple of shards, or 0 for every game in every style",
        )?;
        let full = self.games_per_step > 0 || (!self.games.catalogue.is_empty() && self.games.random == 0.0);
        need(full, "games_per_step", "0 with random games".into(), "catalogue games only, for a full batch")?;
        match &self.labels {
            Labels::Fixed(labels) if share > 0.0 => {
                let [c, d] = labels.as_slice() else {
                    return need(false, "labels.fixed", format!("{labels:?}"), "two labels for random games");
                };
                CatalogGame::find("ipd")?.labelled([c, d])?;
            }
            Labels::Own => need(share == 0.0, "labels", "own, with random games".into(), "pool or fixed labels")?,
            Labels::Fixed(_) | Labels::Pool => {}
        }
        Ok(())
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

    /// Every catalogue game in every style.
    fn full_batch(&self, step: u64) -> Result<Vec<Task>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step + 1);
        let mut all = Vec::new();
        for given in &self.games.catalogue {
            let game = self.labels.apply(given.0.clone(), Split::Train, &mut rng)?;
            all.extend(self.styles.all().map(|style| self.task(given.name(), game.clone(), style)));
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
        let (name, game) = if random {
            let game = random_game(&mut rng, Split::Train, Reach::Digits);
            // A random game comes with drawn labels.
            let game = if let Labels::Fixed(labels) = &self.labels { game.with_labels(labels, labels)? } else { game };
            (RANDOM, game)
        } else {
            let given = &self.games.catalogue[rng.random_range(0..self.games.catalogue.len())];
            (given.name(), self.labels.apply(given.0.clone(), Split::Train, &mut rng)?)
        };
        let style = self.styles.draw(&mut rng);
        Ok(self.task(name, game, style))
    }

    fn task(&self, name: &str, game: MatrixGame, style: Style) -> Task {
        let weight = self.games.weights.get(name).copied().unwrap_or(1.0);
        Task { name: name.into(), game, style, weight }
    }
}

/// The name of games that are in no catalogue.
const RANDOM: &str = "random";
