//! Pretraining of the default model on the corpus of game literacy.

mod config;
mod run;
mod start;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use probity_engine::Model;

use super::adam::{Adam, clip};
use super::checkpoint::{Checkpoint, Steering};
use super::course::{Accuracy, Course, Exam, Learned, LessonReport, learn};
use super::decoder::Decoder;
use super::games::Reading;
use super::init::init;
use super::muon::{self, MatrixSpan};
use super::shards::Shards;
use crate::{Error, Result};

pub use config::PretrainConfig;
pub use run::PretrainRun;

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
        let state = Checkpoint { theta, adam, tokens: 0, steering: Steering::default(), kept: None };
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
    pub fn step(&mut self, vocabulary: &Model) -> Result<LessonReport> {
        let c = &self.config;
        let step = self.state.adam.step;
        let progress = c.progress(step);
        let reading = if progress < c.reading_until { c.reading } else { 0.0 };
        let batches = c.course.batches(vocabulary, c.seed, step, c.course.mixture_at(progress), reading)?;
        let Learned { loss, tokens } =
            learn(&batches, &mut self.shards, &self.decoder, &self.state.theta, &mut self.grads);
        if !loss.is_finite() {
            return Err(Error::Training {
                problem: format!("the loss is {loss} at step {step}; a lower rate may help"),
            });
        }
        self.state.tokens += tokens;
        let norm = clip(&mut self.grads, 1.0);
        let rate = c.rate_at(step);
        muon::step(&self.matrices, &mut self.state.theta, &self.grads, &mut self.state.adam.m, rate, c.decay);
        self.state.adam.step_within(&mut self.state.theta, &self.grads, rate, self.rest.iter().cloned());
        Ok(LessonReport { step: step + 1, loss, norm, rate, tokens: self.state.tokens, seconds: 0.0 })
    }
}

impl Pretraining {
    /// Accuracy on unseen labels and games of the run's own mixture at this step.
    ///
    /// # Errors
    /// As [`Exam::accuracy`].
    pub fn evaluate(&mut self, vocabulary: &Model, lessons: u64) -> Result<Accuracy> {
        let c = &self.config;
        let mixture = c.course.exam_at(c.progress(self.state.adam.step));
        let (exam, shards) = self.exam(vocabulary);
        exam.accuracy(shards, lessons, mixture)
    }

    /// Accuracy on unseen labels and games of each kind.
    ///
    /// `each` hears a kind before it is measured.
    ///
    /// # Errors
    /// As [`Exam::accuracy`].
    pub fn reading(
        &mut self,
        vocabulary: &Model,
        lessons: u64,
        each: impl FnMut(Reading),
    ) -> Result<BTreeMap<Reading, Accuracy>> {
        let (exam, shards) = self.exam(vocabulary);
        exam.reading(shards, lessons, each)
    }

    fn exam<'a>(&'a mut self, vocabulary: &'a Model) -> (Exam<'a>, &'a mut Shards) {
        let Course { chains, shards: at_a_time, .. } = self.config.course;
        let (seed, theta) = (self.config.seed, &self.state.theta);
        let exam = Exam { vocabulary, decoder: &self.decoder, theta, seed, chains, at_a_time };
        (exam, &mut self.shards)
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
