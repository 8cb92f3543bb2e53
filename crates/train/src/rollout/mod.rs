//! Training on sampled answers, as in arXiv 2410.01639.
//!
//! It serves comparison with the exact objective.
//!
//! A model answers in free text. An answer that is no label before a quotation mark is illegal: it earns the reward's
//! `illegal`, keeps the player's part of the state, and is learned from like any other answer.

pub mod episode;
pub mod grpo;
pub mod ppo;
pub mod reinforce;

pub use episode::{Course, Sample, play};

use serde::{Deserialize, Serialize};

use super::decoder::Pack;
use super::objective::Read;
use probity_engine::Token;

/// A sampled answer as the optimiser sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Where its tokens are predicted.
    pub reads: Vec<Read>,
    /// Their log-probabilities when they were sampled.
    pub old: Vec<f64>,
    /// The bare model's.
    pub reference: Vec<f64>,
    /// What the value head said before each of them, where there is one.
    pub values: Vec<f64>,
    /// What it earned.
    pub reward: f64,
}

impl Rollout {
    /// Sampled divergence from the bare model (k1): `log p - log p_ref`, nats.
    #[must_use]
    pub fn divergence(&self) -> f64 {
        self.old.iter().zip(&self.reference).map(|(p, q)| p - q).sum()
    }
}

/// What play brought in a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// Mean reward of an answer.
    pub reward: f64,
    /// Share of illegal answers.
    pub illegal: f64,
    /// Mean sampled divergence from the bare model, nats.
    pub divergence: f64,
    /// Tokens of all sampled sequences, prompts included, each counted once.
    pub tokens: u64,
}

/// The pack of samples, and the rows that predict each answer's tokens.
#[must_use]
pub fn pack(samples: &[Sample]) -> (Pack, Vec<Vec<Read>>) {
    let mut pack = Pack::default();
    let sequences: Vec<Vec<Token>> = samples.iter().map(Sample::sequence).collect();
    let nodes = pack.push(&sequences);
    let sources: Vec<&[u32]> = nodes.iter().zip(samples).map(|(n, s)| &n[s.prompt.len() - 1..]).collect();
    pack.request(sources.iter().copied().flatten().copied());
    let reads = |(nodes, sample): (&&[u32], &Sample)| {
        nodes.iter().zip(&sample.answer).map(|(&node, &token)| (pack.output_row(node), token)).collect()
    };
    let reads = sources.iter().zip(samples).map(reads).collect();
    (pack, reads)
}
