//! Moral fine-tuning of a LoRA adapter, exactly.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::adam::{Adam, clip};
use super::checkpoint::Checkpoint;
use super::curriculum::TrainConfig;
use super::decoder::{Decoder, Pack};
use super::init::normal;
use super::objective::{Group, Parts, Terms, all_scores, objective, softmax};
use super::plan::Plan;
use super::shards::{Schedule, Shards};
use crate::agent::prompt::{Style, options};
use crate::engine::Model;
use crate::game::MatrixGame;
use crate::game::play::Policy;
use crate::{Error, Result};

mod batch;
mod reference;

pub use batch::Batch;
pub use reference::References;

/// What a step reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps done.
    pub step: u64,
    /// Phase it belonged to.
    pub phase: usize,
    /// Objective, expected reward, divergence, distance to the optimum, legality mass.
    #[serde(flatten)]
    pub parts: Parts,
    /// The same of the second learner, where two train against each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Parts>,
    /// Norm of the gradient before clipping.
    pub norm: f32,
    /// Learning rate used.
    pub rate: f32,
    /// Trie nodes pushed through the model so far, reference passes not counted.
    pub tokens: u64,
}

/// A run in progress. Adapters, optimiser and token count are its whole state; of two learners the parameters follow each
/// other in one vector.
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
}

/// A trained adapter in memory.
#[derive(Debug)]
pub struct Trained {
    /// The config.
    pub config: TrainConfig,
    /// Where the adapter's parts lie in the parameter vector; without the base's weights.
    pub decoder: Decoder,
    /// The parameters.
    pub theta: Vec<f32>,
    /// Steps taken.
    pub steps: u64,
}

impl Finetuning {
    /// A fresh run on a loaded model (the vocabulary alone is enough: the trainer reads the weights itself).
    ///
    /// # Errors
    /// What [`TrainConfig::check`] finds; [`Error::Untrainable`] for a model the trainer does not have;
    /// [`Error::LabelPrefix`] and [`Error::Template`] for fixed labels that an answer cannot tell apart.
    pub fn new(model: &Model, config: TrainConfig, schedule: Schedule) -> Result<Self> {
        config.check()?;
        // Labels that no answer can tell apart are found now rather than after the training.
        for (game, _) in config.games_at(0)? {
            options(model, &game)?;
        }
        let base = Decoder::frozen(model)?;
        let decoder = base.clone().with_lora(config.rank, config.alpha);
        let learners = config.learners();
        let mut theta = vec![0.0; learners * decoder.n_params()];
        for (i, theta) in theta.chunks_exact_mut(decoder.n_params()).enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            // The streams in between belong to the curriculum.
            rng.set_stream(0_u64.wrapping_sub(i as u64));
            // A is random and B zero, so that training starts at the bare model (Hu et al. 2021).
            for (_, linear) in decoder.blocks().iter().flat_map(|b| b.linears()) {
                let lora = linear.lora.as_ref().expect("every linear layer has one");
                let std = 1.0 / (linear.n_in as f32).sqrt();
                theta[lora.a.clone()].iter_mut().for_each(|w| *w = std * normal(&mut rng));
            }
        }
        let adam = Adam::new(theta.len(), 0.98, 0.0);
        let grads = vec![0.0; theta.len()];
        Ok(Self {
            config,
            model: model.clone(),
            base,
            decoder,
            state: Checkpoint { theta, adam, tokens: 0 },
            grads,
            shards: Shards::new(schedule),
            references: References::default(),
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

    /// What is left of a run whose steps are done, an adapter a learner: base weights and buffers are given back.
    ///
    /// # Errors
    /// [`Error::Io`] when the base's header cannot be read again.
    pub fn finish(self) -> Result<Vec<Trained>> {
        let decoder = Decoder::described(&self.model)?.with_lora(self.config.rank, self.config.alpha);
        let one = |theta: &[f32]| Trained {
            config: self.config.clone(),
            decoder: decoder.clone(),
            theta: theta.to_vec(),
            steps: self.state.adam.step,
        };
        Ok(self.state.theta.chunks_exact(decoder.n_params()).map(one).collect())
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] for a model with too short a context; [`Error::Training`] after the last phase or when
    /// the objective is no number any more. The parameters are then those before the step.
    pub fn step(&mut self) -> Result<StepReport> {
        let step = self.state.adam.step;
        let Some((phase, _)) = self.config.phase_at(step) else {
            return Err(Error::Training { problem: format!("step {step} is past the last phase") });
        };
        let seats = seats(&self.model, &self.config, step)?;
        let groups = self.groups(&seats, phase)?;
        let n = self.decoder.n_params();
        let mut reports = Vec::new();
        for (i, (batches, groups)) in seats.iter().zip(&groups).enumerate() {
            let references = self.references(batches)?;
            let packs = packs(batches);
            let c = &self.config;
            let terms = Terms { beta: c.beta, legality: c.legality };
            let weight: f64 = batches.iter().flat_map(Batch::decisions).map(|d| d.weight).sum();
            let (theta, grads) = (&self.state.theta[i * n..][..n], &mut self.grads[i * n..][..n]);
            let parts = self.shards.gradient(&self.decoder, theta, &packs, grads, |i, logits| {
                objective(&groups[i], &references[i], terms, 1.0 / weight, packs[i], logits)
            });
            let parts = Parts::mean(&parts);
            let norm = clip(grads, 1.0);
            if !parts.objective.is_finite() || !norm.is_finite() {
                let problem = format!("the objective is {} at step {step}; a lower rate may help", parts.objective);
                return Err(Error::Training { problem });
            }
            reports.push((parts, norm));
        }
        self.state.tokens += seats.iter().flatten().map(|b| b.pack.len() as u64).sum::<u64>();
        let rate = self.config.rate_at(step);
        self.state.adam.step(&mut self.state.theta, &self.grads, rate);
        let ((parts, norm), other) = (reports[0], reports.get(1).map(|(parts, _)| *parts));
        Ok(StepReport { step: step + 1, phase, parts, other, norm, rate, tokens: self.state.tokens })
    }

    /// What every seat's decisions are worth: against scripted others, or against what the other learner does now.
    fn groups(&mut self, seats: &[Vec<Batch>], phase: usize) -> Result<Vec<Vec<Vec<Group>>>> {
        let c = &self.config;
        let (n, phase) = (self.decoder.n_params(), &c.phases[phase]);
        let mut policies: Vec<Vec<Vec<Policy>>> = Vec::new();
        if seats.len() > 1 {
            for (batches, theta) in seats.iter().zip(self.state.theta.chunks_exact(n)) {
                policies.push(self.shards.logits(&self.decoder, theta, &packs(batches), |i, logits| {
                    let scores = all_scores(batches[i].decisions(), logits, &batches[i].pack);
                    batches[i].by_game(scores.iter().map(|s| softmax(s)).collect())
                }));
            }
            // Whoever sits in one seat plays against whoever sits in the other.
            policies.reverse();
        }
        let mut theirs = policies.into_iter();
        let mut of_seat = |batches: &Vec<Batch>| -> Result<Vec<Vec<Group>>> {
            let mut theirs = theirs.next().into_iter().flatten();
            let of = |batch: &Batch| {
                let others = match theirs.next() {
                    Some(policies) => batch.across(policies),
                    None => batch.scripted(phase.opponent.as_ref().unwrap_or(&c.opponent))?,
                };
                batch.groups(phase, c.play, others)
            };
            batches.iter().map(of).collect()
        };
        seats.iter().map(&mut of_seat).collect()
    }

    /// The bare model's policies of a seat's decisions, shard by shard; computed where they are not known.
    fn references(&mut self, batches: &[Batch]) -> Result<Vec<Vec<Vec<f64>>>> {
        let unknown = |b: &Batch| b.names.iter().any(|name| self.references.get(name).is_none());
        let missing: Vec<usize> = (0..batches.len()).filter(|&i| unknown(&batches[i])).collect();
        let asked: Vec<&Pack> = missing.iter().map(|&i| &batches[i].pack).collect();
        let answers = self.shards.logits(&self.base, &[], &asked, |i, logits| {
            let scores = all_scores(batches[missing[i]].decisions(), logits, asked[i]);
            scores.iter().map(|s| softmax(s)).collect::<Policy>()
        });
        for (&i, answers) in missing.iter().zip(answers) {
            for (name, policy) in batches[i].names.iter().zip(answers) {
                if self.references.get(name).is_none() {
                    self.references.put(*name, policy)?;
                }
            }
        }
        let known = |name| self.references.get(name).expect("asked above").clone();
        Ok(batches.iter().map(|b| b.names.iter().map(known).collect()).collect())
    }
}

/// What a run of a config on a model needs: the fastest way through a step that fits the memory, or the most frugal.
///
/// # Errors
/// What [`Finetuning::new`] finds.
pub fn plan(model: &Model, config: &TrainConfig, memory: u64) -> Result<Plan> {
    /// Labels are drawn anew for every step, so that one step says little of the largest.
    const STEPS: u64 = 8;
    config.check()?;
    let decoder = Decoder::described(model)?.with_lora(config.rank, config.alpha);
    let nodes = |batches: &[Batch]| batches.iter().map(|b| b.pack.len()).sum::<usize>();
    let mut largest = Vec::new();
    for step in 0..STEPS.min(config.steps()) {
        for batches in seats(model, config, step)? {
            if nodes(&largest) < nodes(&batches) {
                largest = batches;
            }
        }
    }
    Ok(Plan::within(memory, &decoder, &packs(&largest), config.learners()))
}

/// What each learner is asked in a step, a batch a shard: the games, and for a second learner the same games from the
/// other side.
fn seats(model: &Model, c: &TrainConfig, step: u64) -> Result<Vec<Vec<Batch>>> {
    let games = c.games_at(step)?;
    let turned = || games.iter().map(|(game, style)| (game.transposed(), *style)).collect();
    let seats: Vec<Vec<(MatrixGame, Style)>> =
        if c.learners() > 1 { vec![games.clone(), turned()] } else { vec![games] };
    let shards = |games: &Vec<(MatrixGame, Style)>| {
        let shards = games.chunks(games.len().div_ceil(c.shards));
        shards.map(|games| Batch::new(model, games.to_vec())).collect()
    };
    seats.iter().map(shards).collect()
}

fn packs(batches: &[Batch]) -> Vec<&Pack> {
    batches.iter().map(|b| &b.pack).collect()
}
