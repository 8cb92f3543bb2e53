//! Moral fine-tuning of a LoRA adapter, exactly.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::adam::{Adam, clip};
use super::checkpoint::Checkpoint;
use super::curriculum::TrainConfig;
use super::decoder::Pack;
use super::decoder::{Decoder, MAX_POSITIONS};
use super::init::normal;
use super::objective::repeated::Repeated;
use super::objective::{Group, Parts, Question, Terms, all_scores, objective, push_all, softmax};
use super::plan::Plan;
use super::shards::{Schedule, Shards};
use crate::agent::prompt::{Style, encode, options, prompt};
use crate::engine::Model;
use crate::game::{MatrixGame, play};
use crate::{Error, Result};

/// What a step reports.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StepReport {
    /// Steps done.
    pub step: u64,
    /// Phase it belonged to.
    pub phase: usize,
    /// Objective, expected reward, divergence, distance to the optimum, legality mass.
    #[serde(flatten)]
    pub parts: Parts,
    /// Norm of the gradient before clipping.
    pub norm: f32,
    /// Learning rate used.
    pub rate: f32,
    /// Trie nodes pushed through the model so far, reference passes not counted.
    pub tokens: u64,
}

/// A run in progress. Adapter, optimiser and token count are its whole state.
pub struct Finetuning {
    /// The config.
    pub config: TrainConfig,
    model: Model,
    base: Decoder,
    decoder: Decoder,
    state: Checkpoint,
    grads: Vec<f32>,
    shards: Shards,
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

/// One shard's games over one pack.
struct Batch {
    pack: Pack,
    groups: Vec<Group>,
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
        options(model, &config.draw(0)?.0)?;
        let base = Decoder::frozen(model)?;
        let decoder = base.clone().with_lora(config.rank, config.alpha);
        let mut theta = vec![0.0; decoder.n_params()];
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        // A is random and B zero, so that training starts at the bare model (Hu et al. 2021).
        for block in decoder.blocks() {
            for (_, linear) in block.linears() {
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
        })
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

    /// What is left of a run whose steps are done: base weights and buffers are given back.
    ///
    /// # Errors
    /// [`Error::Io`] when the base's header cannot be read again.
    pub fn finish(self) -> Result<Trained> {
        let decoder = Decoder::described(&self.model)?.with_lora(self.config.rank, self.config.alpha);
        Ok(Trained { config: self.config, decoder, theta: self.state.theta, steps: self.state.adam.step })
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] for a model with too short a context; [`Error::Training`] after the last phase or when
    /// the objective is no number any more. The parameters are then those before the step.
    pub fn step(&mut self) -> Result<StepReport> {
        let c = &self.config;
        let step = self.state.adam.step;
        let Some((phase, _)) = c.phase_at(step) else {
            return Err(Error::Training { problem: format!("step {step} is past the last phase") });
        };
        let batches = batches(&self.model, c, step)?;
        let (packs, groups): (Vec<Pack>, Vec<Vec<Group>>) = batches.into_iter().map(|b| (b.pack, b.groups)).unzip();
        let decisions = |i: usize| groups[i].iter().flat_map(|g: &Group| &g.decisions);
        let references: Vec<Vec<Vec<f64>>> = self.shards.logits(&self.base, &[], &packs, |i, logits| {
            all_scores(decisions(i), logits, &packs[i]).iter().map(|s| softmax(s)).collect()
        });
        let terms = Terms { beta: c.beta, legality: c.legality };
        let weight: f64 = (0..packs.len()).flat_map(decisions).map(|d| d.weight).sum();
        let parts = self.shards.gradient(&self.decoder, &self.state.theta, &packs, &mut self.grads, |i, logits| {
            objective(&groups[i], &references[i], terms, 1.0 / weight, &packs[i], logits)
        });
        let parts = Parts::mean(&parts);
        let norm = clip(&mut self.grads, 1.0);
        if !parts.objective.is_finite() || !norm.is_finite() {
            let problem = format!("the objective is {} at step {step}; a lower rate may help", parts.objective);
            return Err(Error::Training { problem });
        }
        self.state.tokens += packs.iter().map(|p| p.len() as u64).sum::<u64>();
        let rate = c.rate_at(step);
        self.state.adam.step(&mut self.state.theta, &self.grads, rate);
        Ok(StepReport { step: step + 1, phase, parts, norm, rate, tokens: self.state.tokens })
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
    let mut packs: Vec<Pack> = Vec::new();
    for step in 0..STEPS.min(config.steps()) {
        let drawn: Vec<Pack> = batches(model, config, step)?.into_iter().map(|b| b.pack).collect();
        if packs.iter().map(Pack::len).sum::<usize>() < drawn.iter().map(Pack::len).sum() {
            packs = drawn;
        }
    }
    Ok(Plan::within(memory, &decoder, &packs))
}

/// The batches of a step, a shard each.
fn batches(model: &Model, c: &TrainConfig, step: u64) -> Result<Vec<Batch>> {
    let phase = c.phase_at(step).map_or(0, |(phase, _)| phase);
    let games = c.games_at(step)?;
    games.chunks(games.len().div_ceil(c.shards)).map(|games| batch(model, c, games, phase)).collect()
}

/// Every state of some games, as one trie.
fn batch(model: &Model, c: &TrainConfig, games: &[(MatrixGame, Style)], phase: usize) -> Result<Batch> {
    let mut asked = Vec::new();
    let mut plays = Vec::new();
    for (game, style) in games {
        let options = options(model, game)?;
        let states = play::states(game);
        let weight = 1.0 / states.len() as f64;
        let mut questions = Vec::new();
        let mut other = Vec::new();
        for &state in &states {
            let prompt = encode(model, &prompt(game, state, *style))?.tokens;
            let longest = prompt.len() + options.iter().map(Vec::len).max().unwrap_or(0);
            let context = model.shape().context.min(MAX_POSITIONS);
            if longest > context {
                return Err(Error::PromptTooLong { tokens: longest, context });
            }
            let belief = c.opponent.policy(game, state)?;
            let rewards = c.phases[phase].reward.expected(game, state, &belief)?;
            questions.push(Question { prompt, rewards, weight });
            other.push(belief);
        }
        asked.push((questions, options));
        plays.push(c.play.map(|p| Repeated {
            game: game.clone(),
            other,
            discount: p.discount,
            start: p.start.distribution(states.len()),
        }));
    }
    let mut pack = Pack::default();
    let decisions = push_all(&mut pack, asked);
    let groups = decisions.into_iter().zip(plays).map(|(decisions, repeated)| Group { decisions, repeated }).collect();
    Ok(Batch { pack, groups })
}
