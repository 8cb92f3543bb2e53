//! Literacy: an adapter that reads games, before any reward.
//!
//! A model that was trained on other texts answers the decision prompt and does not read its payoffs. This phase is
//! supervised learning on the lessons that the built-in model is made of. It has no morals. Every moral adapter of the
//! same model may start from its adapter.

mod config;
mod run;

use std::collections::BTreeMap;

use probity_engine::Model;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub use config::LiteracyConfig;
pub use run::{LiteracyRun, Literate};

use crate::adam::{Adam, clip};
use crate::checkpoint::{Checkpoint, Steering};
use crate::course::{Accuracy, Course, Exam, Learned, LessonReport, learn};
use crate::decoder::{Decoder, LINEARS};
use crate::games::Reading;
use crate::lora::start_pairs;
use crate::plan::{Length, Plan, Survey};
use crate::shards::{Schedule, Shards};
use crate::{Error, Result};

/// The plan of a run: the fastest schedule that fits, or the most frugal.
///
/// Memory is that of each shard's largest step, time and nodes are those of the mean step.
///
/// # Errors
/// The errors of [`Literacy::new`] and [`Literacy::step`].
pub fn plan(model: &Model, config: &LiteracyConfig, memory: u64) -> Result<Plan> {
    /// Steps whose texts are measured, evenly over the run: lessons grow with it.
    const STEPS: u64 = 1024;
    config.check()?;
    let decoder = Decoder::described(model)?.computed_in(config.compute).with_lora(config.rank, config.alpha, &LINEARS);
    let Course { shards, .. } = config.course;
    let every = config.steps.div_ceil(STEPS);
    let lessons = |step, shard| {
        let mixture = config.course.mixture_at(config.progress(step));
        config.course.lessons(config.seed, step, shard, mixture)
    };
    let mut lengths = Vec::new();
    for step in (0..config.steps).step_by(every as usize) {
        lengths.extend((0..shards).map(|shard| {
            let of_lessons: Vec<[usize; 2]> = lessons(step, shard).map(|lesson| lesson.length()).collect();
            let [text, attention] = [0, 1].map(|i| of_lessons.iter().map(|length| length[i]).sum());
            Length { step, shard, text, attention }
        }));
    }
    let survey = Survey::of(&decoder, &lengths, |step| {
        let mixture = config.course.mixture_at(config.progress(step));
        let batches = config.course.batches(model, config.seed, step, mixture, 0.0)?;
        Ok(vec![batches.into_iter().map(|batch| batch.pack).collect()])
    })?;
    Ok(survey.plan(memory, &decoder, 0))
}

/// A run in progress; everything in it but the buffers is a checkpoint.
pub struct Literacy {
    /// The config.
    pub config: LiteracyConfig,
    model: Model,
    decoder: Decoder,
    state: Checkpoint,
    grads: Vec<f32>,
    shards: Shards,
}

impl Literacy {
    /// A fresh run on a model; a vocabulary-only model is enough.
    ///
    /// # Errors
    /// The errors of [`LiteracyConfig::check`]; [`Error::Untrainable`] for a model that the trainer does not support.
    pub fn new(model: &Model, config: LiteracyConfig, schedule: Schedule) -> Result<Self> {
        config.check()?;
        let decoder =
            Decoder::frozen(model)?.computed_in(config.compute).with_lora(config.rank, config.alpha, &LINEARS);
        let mut theta = vec![0.0; decoder.n_params()];
        start_pairs(&decoder, &mut theta, &mut ChaCha8Rng::seed_from_u64(config.seed));
        let adam = Adam::new(theta.len(), 0.98, 0.0);
        let grads = vec![0.0; theta.len()];
        let state = Checkpoint { theta, adam, tokens: 0, steering: Steering::default(), kept: None };
        Ok(Self { config, model: model.clone(), decoder, state, grads, shards: Shards::new(schedule) })
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
    /// [`Error::Training`] when the loss is NaN or infinite; [`probity_engine::Error::PromptTooLong`] for a lesson that
    /// is longer than the context.
    pub fn step(&mut self) -> Result<LessonReport> {
        let (c, step) = (&self.config, self.state.step());
        // The streams of the lessons; that of the first weights is 0.
        let mixture = c.course.mixture_at(c.progress(step));
        let batches = c.course.batches(&self.model, c.seed, step, mixture, 0.0)?;
        let Learned { loss, tokens } =
            learn(&batches, &mut self.shards, &self.decoder, &self.state.theta, &mut self.grads);
        let norm = clip(&mut self.grads, 1.0);
        if !loss.is_finite() || !norm.is_finite() {
            let problem = format!("the loss is {loss} at step {}; a lower rate may help", step + 1);
            return Err(Error::Training { problem });
        }
        let rate = c.rate_at(step);
        self.state.adam.step(&mut self.state.theta, &self.grads, rate);
        self.state.tokens += tokens;
        Ok(LessonReport { step: step + 1, loss, norm, rate, tokens: self.state.tokens, seconds: 0.0 })
    }

    /// Accuracy on unseen labels and games of the run's own mixture at this step.
    ///
    /// # Errors
    /// As [`Exam::accuracy`].
    pub fn evaluate(&mut self, lessons: u64) -> Result<Accuracy> {
        let c = &self.config;
        let mixture = c.course.exam_at(c.progress(self.state.step()));
        let (exam, shards) = self.exam();
        exam.accuracy(shards, lessons, mixture)
    }

    /// Accuracy on unseen labels and games of each kind.
    ///
    /// `each` hears a kind before it is measured.
    ///
    /// # Errors
    /// As [`Exam::accuracy`].
    pub fn reading(&mut self, lessons: u64, each: impl FnMut(Reading)) -> Result<BTreeMap<Reading, Accuracy>> {
        let (exam, shards) = self.exam();
        exam.reading(shards, lessons, each)
    }

    fn exam(&mut self) -> (Exam<'_>, &mut Shards) {
        let Course { chains, shards: at_a_time, .. } = self.config.course;
        let (seed, vocabulary, theta) = (self.config.seed, &self.model, &self.state.theta);
        let exam = Exam { vocabulary, decoder: &self.decoder, theta, seed, chains, at_a_time };
        (exam, &mut self.shards)
    }
}
