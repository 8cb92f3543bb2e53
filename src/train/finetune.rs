//! Moral fine-tuning of a LoRA adapter, exactly.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::adam::{Adam, clip};
use super::checkpoint::Checkpoint;
use super::curriculum::TrainConfig;
use super::decoder::Decoder;
use super::decoder::Pack;
use super::init::normal;
use super::objective::{Decision, Parts, Question, Terms, all_scores, objective, push, softmax};
use super::shards::Shards;
use crate::agent::prompt::{encode, options, prompt};
use crate::engine::Model;
use crate::game::{History, MatrixGame};
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

/// One shard's decisions over one pack.
struct Batch {
    pack: Pack,
    decisions: Vec<Decision>,
}

impl Finetuning {
    /// A fresh run on a loaded model (the vocabulary alone is enough: the trainer reads the weights itself).
    ///
    /// # Errors
    /// What [`TrainConfig::check`] finds; [`Error::Untrainable`] for a model the trainer does not have;
    /// [`Error::LabelPrefix`] and [`Error::Template`] for fixed labels that an answer cannot tell apart.
    pub fn new(model: &Model, config: TrainConfig) -> Result<Self> {
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
            shards: Shards::default(),
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
        let per_shard = c.games_per_step / c.shards;
        let batches = (0..c.shards)
            .map(|s| {
                let first = step * c.games_per_step as u64 + (s * per_shard) as u64;
                let games = (0..per_shard as u64).map(|i| c.draw(first + i));
                let mut batch = Batch { pack: Pack::default(), decisions: Vec::new() };
                for game in games {
                    let (game, style) = game?;
                    self.push(&mut batch, &game, style, phase)?;
                }
                Ok(batch)
            })
            .collect::<Result<Vec<Batch>>>()?;
        let (packs, decisions): (Vec<Pack>, Vec<Vec<Decision>>) =
            batches.into_iter().map(|b| (b.pack, b.decisions)).unzip();
        let references: Vec<Vec<Vec<f64>>> = self.shards.logits(&self.base, &[], &packs, |i, logits| {
            all_scores(&decisions[i], logits, &packs[i]).iter().map(|s| softmax(s)).collect()
        });
        let terms = Terms { beta: c.beta, legality: c.legality };
        let weight: f64 = decisions.iter().flatten().map(|d| d.weight).sum();
        let parts = self.shards.gradient(&self.decoder, &self.state.theta, &packs, &mut self.grads, |i, logits| {
            objective(&decisions[i], &references[i], terms, 1.0 / weight, &packs[i], logits)
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

    /// Adds every state of a game to a batch, as one trie.
    fn push(
        &self,
        batch: &mut Batch,
        game: &MatrixGame,
        style: crate::agent::prompt::Style,
        phase: usize,
    ) -> Result<()> {
        let c = &self.config;
        let options = options(&self.model, game)?;
        let states: Vec<_> = std::iter::once(None).chain(History::states(game).map(Some)).collect();
        let weight = 1.0 / states.len() as f64;
        let mut questions = Vec::new();
        for state in states {
            let prompt = encode(&self.model, &prompt(game, state, style))?.tokens;
            let longest = prompt.len() + options.iter().map(Vec::len).max().unwrap_or(0);
            let context = self.model.shape().context;
            if longest > context {
                return Err(Error::PromptTooLong { tokens: longest, context });
            }
            let belief = c.opponent.policy(game, state)?;
            let rewards = c.phases[phase].reward.expected(game, state, &belief)?;
            questions.push(Question { prompt, rewards, weight });
        }
        batch.decisions.extend(push(&mut batch.pack, questions, &options));
        Ok(())
    }
}
