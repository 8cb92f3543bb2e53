//! Pretraining of the default model on the corpus of game literacy.

mod config;
mod evaluate;
mod lessons;
mod run;
mod start;

use std::ops::Range;
use std::path::Path;

use probity_engine::Model;
use rayon::prelude::*;
use serde::Serialize;

use self::lessons::{LessonBatch, Target, batch, cross_entropy};
use super::adam::{Adam, clip};
use super::checkpoint::{Checkpoint, Steering};
use super::corpus;
use super::decoder::Decoder;
use super::decoder::Pack;
use super::init::init;
use super::labels::Split;
use super::muon::{self, MatrixSpan};
use super::shards::Shards;
use crate::{Error, Result};

pub use config::PretrainConfig;
pub use evaluate::Accuracy;
pub use run::{PretrainEvent, PretrainMeasurement, PretrainRun, READ};

/// What a step reports.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PretrainReport {
    /// Steps done.
    pub step: u64,
    /// Mean cross-entropy of the answers' tokens, nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub norm: f32,
    /// Learning rate used.
    pub rate: f32,
    /// Tokens seen so far.
    pub tokens: u64,
}

/// A run in progress; everything in it but the buffers is a checkpoint.
pub struct Pretraining {
    /// The config.
    pub config: PretrainConfig,
    decoder: Decoder,
    state: Checkpoint,
    /// The hidden layers' matrices, which Muon steps.
    matrices: Vec<MatrixSpan>,
    /// Embedding and gains, which Adam steps.
    rest: Vec<Range<usize>>,
    grads: Vec<f32>,
    shards: Shards,
}

impl Pretraining {
    /// A fresh run.
    #[must_use]
    pub fn new(config: PretrainConfig) -> Self {
        let decoder = Decoder::trained(&config.shape());
        let theta = init(&decoder, config.seed);
        let adam = Adam::new(theta.len(), 0.98, config.decay);
        let grads = vec![0.0; theta.len()];
        let (mut matrices, mut rest) = (Vec::new(), Vec::new());
        for (name, dims, range) in decoder.base_tensors() {
            let range = range.clone();
            match dims[..] {
                [columns, rows] if name != "token_embd.weight" => {
                    matrices.push(MatrixSpan { range, rows: rows as usize, columns: columns as usize });
                }
                _ => rest.push(range),
            }
        }
        let state = Checkpoint { theta, adam, tokens: 0, steering: Steering::default() };
        Self { config, decoder, state, matrices, rest, grads, shards: Shards::default() }
    }

    /// Begins with the weights of an earlier model.
    ///
    /// Blocks that the earlier model does not have begin as the identity.
    ///
    /// # Errors
    /// [`Error::Training`] for a model of another width or vocabulary; [`probity_engine::Error::Io`].
    pub fn start_from(&mut self, model: &Model) -> Result<()> {
        start::grow(&self.decoder, &mut self.state.theta, model)
    }

    /// The decoder that the weights belong to.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
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

    /// Takes one step; `vocabulary` is the model opened for its tokenizer.
    ///
    /// # Errors
    /// [`Error::Training`] when the loss is NaN or infinite; [`probity_engine::Error::PromptTooLong`] for a lesson that
    /// is longer than the context.
    pub fn step(&mut self, vocabulary: &Model) -> Result<PretrainReport> {
        let c = &self.config;
        let step = self.state.adam.step;
        let per_shard = c.lessons / c.shards;
        let reading = if (step as f64) < c.reading_until * c.steps as f64 { c.reading } else { 0.0 };
        let mixture = c.mixture_at(step);
        let batches = (0..c.shards)
            .into_par_iter()
            .map(|s| {
                let first = step * c.lessons as u64 + (s * per_shard) as u64;
                let lessons = (0..per_shard as u64)
                    .map(|i| corpus::lesson(c.seed, first + i, Split::Train, [c.chains, c.turns], mixture));
                batch(vocabulary, lessons, reading)
            })
            .collect::<Result<Vec<LessonBatch>>>()?;
        let (packs, targets): (Vec<Pack>, Vec<_>) = batches.into_iter().map(|b| (b.pack, b.targets)).unzip();
        let weight = |of: &dyn Fn(&&Target) -> bool| targets.iter().flatten().filter(of).map(|t| t.weight).sum::<f32>();
        let (n, all) = (weight(&|t| t.answer), weight(&|_| true));
        let width = c.vocabulary;
        let asked: Vec<&Pack> = packs.iter().collect();
        let losses = self.shards.gradient(&self.decoder, &self.state.theta, &asked, &mut self.grads, |i, tape| {
            cross_entropy(&mut tape.logits, width, &targets[i], 1.0 / all)
        });
        let loss = losses.iter().sum::<f64>() / f64::from(n);
        if !loss.is_finite() {
            return Err(Error::Training {
                problem: format!("the loss is {loss} at step {step}; a lower rate may help"),
            });
        }
        self.state.tokens += packs.iter().map(|p| p.len() as u64).sum::<u64>();
        let norm = clip(&mut self.grads, 1.0);
        let rate = c.rate_at(step);
        muon::step(&self.matrices, &mut self.state.theta, &self.grads, &mut self.state.adam.m, rate, c.decay);
        self.state.adam.step_within(&mut self.state.theta, &self.grads, rate, self.rest.iter().cloned());
        Ok(PretrainReport { step: step + 1, loss, norm, rate, tokens: self.state.tokens })
    }
}

/// Loads the vocabulary of a model file.
///
/// # Errors
/// As [`Model::open`].
pub fn open_vocabulary(path: &Path) -> Result<Model> {
    let options = probity_engine::ModelOptions::default().with(|o| {
        o.vocab_only = true;
        o.mmap = false;
    });
    Ok(Model::open(path, options, |_| true)?)
}
