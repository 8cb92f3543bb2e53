//! Moral fine-tuning of a LoRA adapter, exactly or on sampled answers.

use probity::agent::Scenario;
use probity::agent::prompt::options;
use probity_engine::{Error as EngineError, Model};
use probity_game::{Player, State};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::adam::{Adam, clip};
use super::checkpoint::{Checkpoint, Steering};
use super::curriculum::{Algorithm, Reference, Task, TrainConfig};
use super::decoder::Decoder;
use super::lora::{AdapterWeights, start_pairs};
use super::objective::ObjectiveParts;
use super::rollout::Played;
use super::shards::{Schedule, Shards};
use crate::{Error, Result};

mod batch;
mod dataset;
mod exact;
mod known;
mod plan;
mod reference;
mod rollouts;
mod start;

use batch::Seat;
pub use batch::{Batch, Origin};
pub use dataset::{TrainedElsewhere, WrittenRun};
pub use known::Known;
pub use plan::plan;
pub use reference::References;

impl Trained {
    /// The adapter's weights.
    #[must_use]
    pub fn weights(&self) -> AdapterWeights {
        AdapterWeights::of(&self.decoder, &self.theta)
    }
}

/// What a step reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Steps done.
    pub step: u64,
    /// Phase it belonged to.
    pub phase: usize,
    /// The policy before the step; sampled runs have it at measured steps.
    #[serde(flatten)]
    pub parts: Option<ObjectiveParts>,
    /// The same by game and state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<StateParts>,
    /// The parts of the second learner, where two train against each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<ObjectiveParts>,
    /// The same by game and state, as the second learner sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_states: Vec<StateParts>,
    /// What play brought, where answers are sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played: Option<Played>,
    /// The same of the second learner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_played: Option<Played>,
    /// The policy after a validated step, under labels that no step trains on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ObjectiveParts>,
    /// Norm of the gradient before clipping.
    pub norm: f32,
    /// Learning rate used.
    pub rate: f32,
    /// Weight of the divergence used.
    pub beta: f64,
    /// Trie nodes of training so far, without measurements and references.
    pub tokens: u64,
}

/// The parts of one state of a game, summed over the presentations it was asked in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateParts {
    /// The game's name, or `random`.
    pub game: String,
    /// The last round, own action first.
    ///
    /// `C` is a cooperative action, `D` another; `start` is the first round. Games of more than two actions have
    /// numbers.
    pub state: String,
    /// The parts.
    #[serde(flatten)]
    pub parts: ObjectiveParts,
}

/// A run in progress.
///
/// Adapters, optimiser and counters are its whole state. The parameters of two learners follow each other in one
/// vector, each with its value head, if any, at its end.
pub struct Finetuning {
    /// The config.
    pub config: TrainConfig,
    model: Model,
    base: Decoder,
    decoder: Decoder,
    state: Checkpoint,
    grads: Vec<f32>,
    shards: Shards,
    references: References,
    /// The parameters of the adapter whose policy is the reference.
    ///
    /// `None` where it is the bare model's.
    origin: Option<Vec<f32>>,
    /// Whether [`Finetuning::start_from`] was called.
    started: bool,
    /// What the model is known to read under the adapter.
    known: Known,
}

/// A trained adapter in memory.
#[derive(Debug)]
pub struct Trained {
    /// The config.
    pub config: TrainConfig,
    /// The adapter's layout in the parameter vector, without base weights.
    pub decoder: Decoder,
    /// The parameters.
    pub theta: Vec<f32>,
    /// Steps taken.
    pub steps: u64,
    /// Trie nodes of training.
    pub tokens: u64,
    /// Which learner it is, from 1.
    pub learner: u32,
    /// The weight of the divergence after the last step.
    pub beta: f64,
    /// What the model is known to read under the adapter.
    pub known: Known,
    /// What took the steps in place of this trainer.
    pub engine: Option<String>,
}

/// What the gradient of a step found, by the learners' seats.
struct Gradient {
    parts: Vec<ObjectiveParts>,
    states: Vec<Vec<StateParts>>,
    played: Vec<Played>,
    /// Largest norm before clipping.
    norm: f32,
    /// Divergence that a target is compared with: the learners' mean.
    divergence: f64,
    tokens: u64,
}

/// Checks a config, and that it has the adapter to start from that it refers to.
fn check_start(config: &TrainConfig) -> Result<()> {
    config.check()?;
    if config.reference == Reference::Start && config.start.is_none() {
        let given = "start, without an adapter to start from".into();
        let expected = "--from ADAPTER, or bare".into();
        return Err(EngineError::Option { name: "reference", given, expected }.into());
    }
    Ok(())
}

impl Finetuning {
    /// A new run on a model; a vocabulary-only model is enough.
    ///
    /// The trainer reads the weights itself.
    ///
    /// # Errors
    /// The errors of [`TrainConfig::check`]; [`Error::Untrainable`] for a model that the trainer does not support;
    /// [`probity_engine::Error::Option`] for fixed labels that an answer cannot tell apart.
    pub fn new(model: &Model, config: TrainConfig, schedule: Schedule) -> Result<Self> {
        Self::on(model, config, schedule, Decoder::frozen)
    }

    /// The same without the base's weights: a run to write, which takes no step.
    ///
    /// # Errors
    /// As [`Finetuning::new`].
    pub fn unread(model: &Model, config: TrainConfig) -> Result<Self> {
        Self::on(model, config, Schedule::Narrow, Decoder::described)
    }

    fn on(
        model: &Model,
        config: TrainConfig,
        schedule: Schedule,
        read: impl FnOnce(&Model) -> Result<Decoder>,
    ) -> Result<Self> {
        check_start(&config)?;
        // Labels that no answer can tell apart fail now, not after the training.
        for task in config.tasks_at(0)?.into_iter().chain(config.validation_tasks()?) {
            options(model, &task.game)?;
            Scenario::new(task.game).check()?;
        }
        let base = read(model)?.computed_in(config.compute);
        let decoder = base.clone().with_lora(config.rank, config.alpha, &config.targets);
        let width = width(&config, &decoder);
        let mut theta = vec![0.0; config.learners() * width];
        for (i, theta) in theta.chunks_exact_mut(width).enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            // The streams in between belong to the curriculum.
            rng.set_stream(0_u64.wrapping_sub(i as u64));
            start_pairs(&decoder, theta, &mut rng);
            // PyTorch's initialisation of a linear layer, which TRL keeps.
            let most = 1.0 / (decoder.shape().n_embd as f32).sqrt();
            theta[decoder.n_params()..].iter_mut().for_each(|w| *w = rng.random_range(-most..most));
        }
        let adam = Adam::new(theta.len(), config.beta2(), 0.0);
        let grads = vec![0.0; theta.len()];
        let steering = Steering { beta: config.beta, ..Steering::default() };
        Ok(Self {
            config,
            model: model.clone(),
            base,
            decoder,
            state: Checkpoint { theta, adam, tokens: 0, steering, kept: None },
            grads,
            shards: Shards::new(schedule),
            references: References::default(),
            origin: None,
            started: false,
            known: Known::default(),
        })
    }

    /// Takes the bare model's answers from here, and keeps new ones there.
    pub fn keep_references(&mut self, references: References) {
        self.references = references;
    }

    /// The decoder with the adapter.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The model it trains on.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What training has changed, to be kept as a checkpoint.
    #[must_use]
    pub fn state(&self) -> &Checkpoint {
        &self.state
    }

    /// Goes on from the state of an earlier run of this config, bit for bit.
    pub fn resume(&mut self, saved: Checkpoint) {
        self.state = saved;
    }

    /// Steps taken, and steps that were skipped at the end of a phase.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.taken() + self.state.steering.skipped
    }

    /// Steps taken. The optimiser may take several a step of the run.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.state.adam.step / self.config.algorithm.epochs()
    }

    /// Whether the run is over, by its steps or by early stopping.
    #[must_use]
    pub fn finished(&self) -> bool {
        let near = self.config.early_stop.is_some_and(|stop| self.state.steering.near >= stop.patience);
        let validation = self.config.validation.as_ref();
        let far = validation.is_some_and(|validation| self.state.steering.since >= validation.patience);
        near || far || self.done() >= self.config.steps()
    }

    /// Steps behind the parameters that are the result so far.
    ///
    /// They are the nearest by validation, or the last.
    #[must_use]
    pub fn kept_steps(&self) -> u64 {
        self.state.kept.as_ref().map_or_else(|| self.taken(), |kept| kept.at.steps)
    }

    /// Whether the last step was worse than no training: no state to keep.
    #[must_use]
    pub fn astray(&self) -> bool {
        self.state.steering.astray > 0
    }

    /// The adapters of a finished run; base weights and buffers are freed.
    ///
    /// # Errors
    /// [`probity_engine::Error::Io`] if the base's header cannot be read again.
    pub fn finish(self) -> Result<Vec<Trained>> {
        let decoder =
            Decoder::described(&self.model)?.with_lora(self.config.rank, self.config.alpha, &self.config.targets);
        let one = |(learner, theta): (u32, &[f32])| Trained {
            learner,
            config: self.config.clone(),
            decoder: decoder.clone(),
            theta: theta[..decoder.n_params()].to_vec(),
            steps: self.kept_steps(),
            tokens: self.state.kept.as_ref().map_or(self.state.tokens, |kept| kept.at.tokens),
            beta: self.state.steering.beta,
            known: self.known.clone(),
            engine: None,
        };
        let theta = self.state.kept.as_ref().map_or(&self.state.theta, |kept| &kept.theta);
        Ok((1..).zip(theta.chunks_exact(width(&self.config, &decoder))).map(one).collect())
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`probity_engine::Error::PromptTooLong`] for a model with too short a context; [`Error::Training`] after the
    /// last phase, for an objective that is NaN or infinite, and for a policy worse than the bare model's for too long.
    /// The parameters are then those before the step.
    pub fn step(&mut self) -> Result<StepReport> {
        self.check_started()?;
        let step = self.done();
        let Some((phase, _)) = self.config.phase_at(step) else {
            return Err(Error::Training { problem: format!("step {step} is past the last phase") });
        };
        let rate = self.config.rate_at(step);
        let beta = self.state.steering.beta;
        // Of several optimiser steps the last may fail.
        let before = (self.config.algorithm.epochs() > 1).then(|| self.state.clone());
        let steering = self.state.steering;
        let found = match self.config.algorithm {
            Algorithm::Exact {} | Algorithm::Optimum {} | Algorithm::Supervised {} => self.exact(phase, rate),
            Algorithm::Reinforce(_) | Algorithm::Grpo(_) | Algorithm::Ppo(_) => self.sampled(phase, rate),
        };
        let gradient = found.inspect_err(|_| {
            if let Some(before) = before {
                self.state = before;
            }
            self.state.steering = steering;
        })?;
        self.state.tokens += gradient.tokens;
        let mut played = gradient.played.iter().copied();
        self.steer(phase, &gradient);
        let validation = self.validate(step, phase)?;
        let mut states = gradient.states.into_iter();
        Ok(StepReport {
            step: step + 1,
            phase,
            parts: gradient.parts.first().copied(),
            states: states.next().unwrap_or_default(),
            other: gradient.parts.get(1).copied(),
            other_states: states.next().unwrap_or_default(),
            played: played.next(),
            other_played: played.next(),
            validation,
            norm: gradient.norm,
            rate,
            beta,
            tokens: self.state.tokens,
        })
    }

    /// Updates the divergence weight and the count of near steps.
    fn steer(&mut self, phase: usize, gradient: &Gradient) {
        let steering = &mut self.state.steering;
        if let Some(kl) = self.config.kl_target {
            let error = (gradient.divergence / kl.target - 1.0).clamp(-0.2, 0.2);
            // An unreachable target would drive the weight to 0 or infinity.
            let most = 1e3 * self.config.beta;
            steering.beta = (steering.beta * (1.0 + error / kl.horizon)).clamp(1e-6 * most, most);
        }
        if let Some(stop) = self.config.early_stop
            && !gradient.parts.is_empty()
        {
            let last = phase + 1 == self.config.phases.len();
            let near = last && gradient.parts.iter().all(|p| p.distance <= stop.distance);
            steering.near = if near { steering.near + 1 } else { 0 };
        }
    }

    /// Clips the gradient's norm, and refuses NaN and infinity.
    ///
    /// It covers the parameters of `learner`, and returns the norm before clipping.
    fn checked(&mut self, learner: usize, objective: f64) -> Result<f32> {
        let width = width(&self.config, &self.decoder);
        let norm = clip(&mut self.grads[learner * width..][..width], self.config.max_norm);
        if !objective.is_finite() {
            return Err(self.no_number("objective", objective));
        }
        if !norm.is_finite() {
            return Err(self.no_number("gradient's norm", f64::from(norm)));
        }
        Ok(norm)
    }

    fn check_started(&self) -> Result<()> {
        if self.config.start.is_none() || self.started {
            return Ok(());
        }
        let given = "an adapter that training did not start from".into();
        let expected = "the adapter that the config names, or a config without one".into();
        Err(EngineError::Option { name: "start", given, expected }.into())
    }

    fn no_number(&self, what: &str, value: f64) -> Error {
        let step = self.done() + 1;
        Error::Training { problem: format!("the {what} is {value} at step {step}; a lower rate may help") }
    }
}

/// Parameters of a learner: the adapter's, and its value head's.
fn width(config: &TrainConfig, decoder: &Decoder) -> usize {
    let head = matches!(config.algorithm, Algorithm::Ppo(_));
    decoder.n_params() + if head { decoder.shape().n_embd + 1 } else { 0 }
}

/// Batches that measure the end of a run.
fn end_batches(config: &TrainConfig) -> u64 {
    (config.steps() / 20).clamp(1, 10)
}

/// A step's seats: the tasks, and the mirrored tasks of a second learner.
fn seats(model: &Model, c: &TrainConfig, tasks: &[Task]) -> Result<Vec<Seat>> {
    let turned = || tasks.iter().map(|task| Task { game: task.game.transposed(), ..task.clone() }).collect();
    let tasks_of_seats: Vec<Vec<Task>> =
        if c.learners() > 1 { vec![tasks.to_vec(), turned()] } else { vec![tasks.to_vec()] };
    let seat = |tasks: &Vec<Task>| -> Result<Seat> {
        let batches = shards(c, tasks).map(|tasks| Batch::new(model, tasks.to_vec(), Origin::of(c)));
        let batches = batches.collect::<Result<_>>()?;
        Ok(Seat { batches })
    };
    tasks_of_seats.iter().map(seat).collect()
}

/// The tasks of each shard of a step.
fn shards<'a>(config: &TrainConfig, tasks: &'a [Task]) -> impl Iterator<Item = &'a [Task]> {
    tasks.chunks(tasks.len().div_ceil(config.shards))
}

/// The name of a state in a report.
fn state_name(task: &Task, state: State) -> String {
    let name = |player, action| match task.game.count(player) {
        2 if task.game.is_defection(player, action) => "D".to_owned(),
        2 => "C".to_owned(),
        _ => action.to_string(),
    };
    match state {
        None => "start".into(),
        Some(last) => name(Player::Row, last.own) + &name(Player::Column, last.other),
    }
}
