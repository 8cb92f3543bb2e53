//! A pretraining run's config, and the schedules of lessons and rate.

use probity_engine::Error as EngineError;
use probity_engine::preflight::{Architecture, ModelShape, Rotation};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::corpus::Mixture;

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
    /// Lessons in a step.
    pub lessons: usize,
    /// Conversations in a lesson, all straight from the same rules.
    pub chains: usize,
    /// Questions in a conversation, one after the other.
    pub turns: usize,
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
    /// Shares of the steps between which questions reach the full mixture.
    pub easy: [f64; 2],
    /// Shares of the steps between which lessons go from lists only to games only.
    pub lists: [f64; 2],
    /// Shares of the steps between which labels reach the full mixture.
    pub plain: [f64; 2],
    /// Share of games with payoffs beyond digits, plain labels aside.
    pub numbers: f64,
    /// Share of games with up to four actions, plain labels aside.
    pub actions: f64,
    /// Shards a step is cut into; part of the result, unlike the thread count.
    pub shards: usize,
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
            lessons: 48,
            chains: 3,
            turns: 5,
            rate: 1.5e-3,
            warmup: 0.03,
            decay: 0.05,
            reading: 1.0,
            reading_until: 0.12,
            easy: [0.09, 0.18],
            lists: [0.09, 0.22],
            plain: [0.2, 0.45],
            numbers: 0.1,
            actions: 0.2,
            shards: 4,
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
                Ok(())
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
        need((1..=24).contains(&self.chains), "chains", &self.chains, "1 to 24")?;
        need((1..=8).contains(&self.turns), "turns", &self.turns, "1 to 8")?;
        let shards = self.shards > 0 && self.lessons > 0 && self.lessons.is_multiple_of(self.shards);
        need(shards, "lessons", &self.lessons, "a multiple of the shards")?;
        for (name, [from, to]) in [("easy", self.easy), ("lists", self.lists), ("plain", self.plain)] {
            need(
                0.0 <= from && from < to && to <= 1.0,
                name,
                &format!("{from}, {to}"),
                "two rising shares from 0 to 1",
            )?;
        }
        for (name, share) in [("numbers", self.numbers), ("actions", self.actions)] {
            need((0.0..=1.0).contains(&share), name, &share, "a share from 0 to 1")?;
        }
        let both = self.numbers + self.actions;
        need(both <= 1.0, "actions", &format!("{both} with numbers"), "at most 1 with numbers")?;
        let rate = self.rate.is_finite() && self.rate > 0.0 && self.warmup > 0.0 && self.warmup < 1.0;
        need(
            rate,
            "rate",
            &format!("{} with warmup {}", self.rate, self.warmup),
            "a rate above 0 and a warmup between 0 and 1",
        )
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

    /// What the lessons of a step are drawn from.
    #[must_use]
    pub fn mixture_at(&self, step: u64) -> Mixture {
        let progress = step as f64 / self.steps as f64;
        let left = |[from, to]: [f64; 2]| ((to - progress) / (to - from)).clamp(0.0, 1.0);
        Mixture {
            plain: left(self.plain),
            lookups: left(self.easy),
            lists: left(self.lists),
            numbers: self.numbers,
            actions: self.actions,
            wording: None,
        }
    }

    /// Learning rate of a step: linear rise, then half a cosine down to a hundredth.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f32 {
        let progress = step as f64 / self.steps as f64;
        if progress < self.warmup {
            return self.rate * (progress / self.warmup) as f32;
        }
        let p = (progress - self.warmup) / (1.0 - self.warmup);
        self.rate * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())) as f32
    }
}
