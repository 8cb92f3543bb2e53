//! A pretraining run's config, and the schedules of lessons and rate.

use probity_engine::Error as EngineError;
use probity_engine::preflight::{Architecture, ModelShape, Rotation};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::course::{Course, rate_at};

/// Everything a pretraining run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PretrainConfig {
    /// Seed of weights, vocabulary and corpus.
    pub seed: u64,
    /// BLAKE3 of the model file that weights and vocabulary come from.
    ///
    /// Without one they come from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Context length written into the model, tokens.
    pub context: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Optimiser steps.
    pub steps: u64,
    /// Peak learning rate.
    pub rate: f32,
    /// Share of the steps over which the rate rises.
    pub warmup: f64,
    /// Weight decay.
    pub decay: f32,
    /// Early weight of a question's tokens beside an answer's.
    ///
    /// Predicting repeated labels teaches copying.
    pub reading: f32,
    /// Share of the steps in which `reading` counts; afterwards only answers do.
    pub reading_until: f64,
    /// Its lessons.
    pub course: Course,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            start: None,
            layers: 6,
            width: 128,
            heads: 4,
            feed_forward: 384,
            vocabulary: 640,
            context: 2048,
            rope_base: 1000.0,
            steps: 5000,
            rate: 1.5e-3,
            warmup: 0.03,
            decay: 0.05,
            reading: 1.0,
            reading_until: 0.12,
            course: Course::default(),
        }
    }
}

impl PretrainConfig {
    /// Changes some fields.
    ///
    /// `PretrainConfig::default().with(|o| o.layers = 2)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks what the shapes and the corpus need.
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: &dyn std::fmt::Display, expected: &str| {
            if ok {
                crate::Result::Ok(())
            } else {
                Err(EngineError::Option { name, given: given.to_string(), expected: expected.into() }.into())
            }
        };
        need((1..=64).contains(&self.layers), "layers", &self.layers, "1 to 64")?;
        let even = self.heads > 0 && self.width.is_multiple_of(2 * self.heads);
        need(even, "heads", &self.heads, "a number of heads with an even width each")?;
        need(self.width > 0 && self.width.is_multiple_of(32), "width", &self.width, "a multiple of 32, for Q8_0")?;
        let ff = self.feed_forward > 0 && self.feed_forward.is_multiple_of(32);
        need(ff, "feed_forward", &self.feed_forward, "a multiple of 32, for Q8_0")?;
        need((300..=65_536).contains(&self.vocabulary), "vocabulary", &self.vocabulary, "300 to 65536")?;
        need((512..=8192).contains(&self.context), "context", &self.context, "512 to 8192")?;
        need(self.steps > 0, "steps", &self.steps, "at least 1")?;
        need(
            self.decay.is_finite() && self.decay >= 0.0 && self.reading.is_finite() && self.reading >= 0.0,
            "decay",
            &format!("{} with reading {}", self.decay, self.reading),
            "two numbers of at least 0",
        )?;
        let until = (0.0..=1.0).contains(&self.reading_until);
        need(until, "reading_until", &self.reading_until, "a share from 0 to 1")?;
        let base = self.rope_base.is_finite() && self.rope_base > 0.0;
        need(base, "rope_base", &self.rope_base, "a number above 0")?;
        let rate = self.rate.is_finite() && self.rate > 0.0 && self.warmup > 0.0 && self.warmup < 1.0;
        need(
            rate,
            "rate",
            &format!("{} with warmup {}", self.rate, self.warmup),
            "a rate above 0 and a warmup between 0 and 1",
        )?;
        self.course.check()
    }

    /// The shape of the model it makes.
    #[must_use]
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            architecture: Architecture::llama(),
            n_layer: self.layers,
            n_embd: self.width,
            n_ff: self.feed_forward,
            n_head: self.heads,
            n_head_kv: self.heads,
            head_dim: self.width / self.heads,
            rms_eps: 1e-5,
            rotation: Rotation { base: self.rope_base, scale: 1.0 },
            window: None,
            attention_scale: ((self.width / self.heads) as f32).sqrt().recip(),
            attention_cap: None,
            logit_cap: None,
            context: self.context,
            n_vocab: self.vocabulary,
            tied: true,
        }
    }

    /// Learning rate of a step: linear rise, then half a cosine down to a hundredth.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f32 {
        rate_at(self.rate, self.warmup, self.progress(step))
    }

    /// The share of the steps before this one.
    #[must_use]
    pub fn progress(&self, step: u64) -> f64 {
        step as f64 / self.steps as f64
    }
}
