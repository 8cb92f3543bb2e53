//! Pretraining of the default model on the corpus of game literacy.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::Path;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adam::{Adam, clip};
use super::corpus::{self, Ease, Kind, Lesson};
use super::decoder::Decoder;
use super::kernels::{exp, log_softmax};
use super::labels::Split;
use super::muon::{self, Place};
use super::pack::Pack;
use super::shards::Shards;
use crate::engine::chat::{Speaker, Turn};
use crate::engine::preflight::{Architecture, ModelShape};
use crate::engine::{Model, Token};
use crate::{Error, Result};

/// Everything a pretraining run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of weights, vocabulary and corpus.
    pub seed: u64,
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
    /// Weight of a question's own tokens beside an answer's in the early steps, where predicting repeated labels
    /// teaches copying.
    pub reading: f32,
    /// Share of the steps in which `reading` counts; afterwards only answers do.
    pub reading_until: f64,
    /// Shares of the steps between which questions go from easy ones only to the full mixture.
    pub easy: [f64; 2],
    /// Shares of the steps between which lessons go from lists only to games only.
    pub lists: [f64; 2],
    /// Shares of the steps between which labels go from plain ones only to the full mixture.
    pub plain: [f64; 2],
    /// Shards a step is cut into; part of the result, unlike the thread count.
    pub shards: usize,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            layers: 6,
            width: 128,
            heads: 4,
            feed_forward: 384,
            vocabulary: 640,
            context: 1024,
            rope_base: 1000.0,
            steps: 8000,
            lessons: 48,
            chains: 3,
            turns: 5,
            rate: 1.5e-3,
            warmup: 0.02,
            decay: 0.05,
            reading: 1.0,
            reading_until: 0.08,
            easy: [0.06, 0.12],
            lists: [0.06, 0.15],
            plain: [0.15, 0.4],
            shards: 4,
        }
    }
}

impl PretrainConfig {
    /// Checks what the shapes and the corpus need.
    ///
    /// # Errors
    /// [`Error::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: &dyn std::fmt::Display, expected: &str| {
            if ok { Ok(()) } else { Err(Error::Option { name, given: given.to_string(), expected: expected.into() }) }
        };
        need((1..=64).contains(&self.layers), "layers", &self.layers, "1 to 64")?;
        let even = self.heads > 0 && self.width.is_multiple_of(2 * self.heads);
        need(even, "heads", &self.heads, "a number whose double divides the width")?;
        need(self.width > 0 && self.width.is_multiple_of(32), "width", &self.width, "a multiple of 32, for Q8_0")?;
        let ff = self.feed_forward > 0 && self.feed_forward.is_multiple_of(32);
        need(ff, "feed_forward", &self.feed_forward, "a multiple of 32, for Q8_0")?;
        need((300..=65_536).contains(&self.vocabulary), "vocabulary", &self.vocabulary, "300 to 65536")?;
        need((512..=8192).contains(&self.context), "context", &self.context, "512 to 8192")?;
        need(self.steps > 0, "steps", &self.steps, "at least 1")?;
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
            architecture: Architecture::Llama,
            n_layer: self.layers,
            n_embd: self.width,
            n_ff: self.feed_forward,
            n_head: self.heads,
            n_head_kv: self.heads,
            head_dim: self.width / self.heads,
            rms_eps: 1e-5,
            rope_base: self.rope_base,
            context: self.context,
            n_vocab: self.vocabulary,
            tied: true,
        }
    }

    /// How much easier than the full mixture the lessons of a step are.
    #[must_use]
    pub fn ease_at(&self, step: u64) -> Ease {
        let progress = step as f64 / self.steps as f64;
        let left = |[from, to]: [f64; 2]| ((to - progress) / (to - from)).clamp(0.0, 1.0);
        Ease { labels: left(self.plain), questions: left(self.easy), lists: left(self.lists) }
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

/// Random weights: normal, with the layers that write to the residual stream scaled down by its depth.
#[must_use]
pub fn init(decoder: &Decoder, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut theta = vec![1.0; decoder.n_params()];
    let depth = (2.0 * decoder.shape().n_layer as f32).sqrt();
    for (name, dims, range) in decoder.base_tensors() {
        if dims.len() == 1 {
            continue;
        }
        let fan_in = (dims[0] as f32).sqrt();
        let std = if name == "token_embd.weight" {
            0.04
        } else if name.contains("attn_output") || name.contains("ffn_down") {
            0.8 / (fan_in * depth)
        } else {
            0.8 / fan_in
        };
        theta[range.clone()].iter_mut().for_each(|w| *w = normal(&mut rng) * std);
        if name == "token_embd.weight" {
            // A direction that all tokens share lets heads attend by position alone from the first step on; without it
            // previous-token heads, and with them copying, took more than ten times as long to appear.
            let shared: Vec<f32> = (0..dims[0]).map(|_| normal(&mut rng) * std).collect();
            for row in theta[range].chunks_exact_mut(shared.len()) {
                super::kernels::add(row, &shared);
            }
        }
    }
    theta
}

/// A standard normal draw (Box and Muller 1958).
pub fn normal(rng: &mut impl Rng) -> f32 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}

/// What a step reports.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StepReport {
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
    /// The weights.
    pub theta: Vec<f32>,
    /// The optimiser.
    pub adam: Adam,
    /// Tokens seen so far.
    pub tokens: u64,
    /// The hidden layers' matrices, which Muon steps.
    matrices: Vec<Place>,
    /// Embedding and gains, which Adam steps.
    rest: Vec<Range<usize>>,
    grads: Vec<f32>,
    shards: Shards,
}

/// A token to predict.
#[derive(Debug, Clone, Copy)]
struct Target {
    /// Output row whose logits predict it.
    row: usize,
    token: Token,
    /// Weight in the loss; the answers of one question share 1.
    weight: f32,
    /// Whether it belongs to an answer.
    answer: bool,
}

/// One shard's pack with what it has to predict.
struct Batch {
    pack: Pack,
    targets: Vec<Target>,
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
            match dims[..] {
                [columns, rows] if name != "token_embd.weight" => {
                    matrices.push(Place { range, rows: rows as usize, columns: columns as usize });
                }
                _ => rest.push(range),
            }
        }
        Self { config, decoder, theta, adam, tokens: 0, matrices, rest, grads, shards: Shards::default() }
    }

    /// The decoder that `theta` belongs to.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Takes one step; `vocabulary` is the model opened for its tokenizer.
    ///
    /// # Errors
    /// [`Error::Training`] when the loss is no number any more.
    pub fn step(&mut self, vocabulary: &Model) -> Result<StepReport> {
        let c = &self.config;
        let step = self.adam.step;
        let per_shard = c.lessons / c.shards;
        let reading = if (step as f64) < c.reading_until * c.steps as f64 { c.reading } else { 0.0 };
        let ease = c.ease_at(step);
        let batches = (0..c.shards)
            .into_par_iter()
            .map(|s| {
                let first = step * c.lessons as u64 + (s * per_shard) as u64;
                let lessons = (0..per_shard as u64)
                    .map(|i| corpus::lesson(c.seed, first + i, Split::Train, [c.chains, c.turns], ease));
                batch(vocabulary, lessons, reading)
            })
            .collect::<Result<Vec<Batch>>>()?;
        let (packs, targets): (Vec<Pack>, Vec<_>) = batches.into_iter().map(|b| (b.pack, b.targets)).unzip();
        let weight = |of: &dyn Fn(&&Target) -> bool| targets.iter().flatten().filter(of).map(|t| t.weight).sum::<f32>();
        let (n, all) = (weight(&|t| t.answer), weight(&|_| true));
        let width = c.vocabulary;
        let losses = self.shards.gradient(&self.decoder, &self.theta, &packs, &mut self.grads, |i, logits| {
            cross_entropy(logits, width, &targets[i], 1.0 / all)
        });
        let loss = losses.iter().sum::<f64>() / f64::from(n);
        if !loss.is_finite() {
            return Err(Error::Training {
                problem: format!("the loss is {loss} at step {step}; a lower rate may help"),
            });
        }
        self.tokens += packs.iter().map(|p| p.len() as u64).sum::<u64>();
        let norm = clip(&mut self.grads, 1.0);
        let rate = c.rate_at(step);
        muon::step(&self.matrices, &mut self.theta, &self.grads, &mut self.adam.m, rate, c.decay);
        self.adam.step_within(&mut self.theta, &self.grads, rate, self.rest.iter().cloned());
        Ok(StepReport { step: step + 1, loss, norm, rate, tokens: self.tokens })
    }

    /// Share of right answers on unseen labels and games, by kind of question, ties left out; for [`Kind::Decide`] the
    /// legality mass: the probability that the answer is one of the labels and nothing else. Labels are of the mixture
    /// that training has come to, questions of the full one.
    ///
    /// # Errors
    /// [`Error::Template`].
    pub fn evaluate(&mut self, vocabulary: &Model, lessons: u64) -> Result<BTreeMap<Kind, f64>> {
        let width = self.config.vocabulary;
        let seed = self.config.seed ^ 0x7e57;
        let now = self.config.ease_at(self.adam.step);
        let ease = Ease { questions: 0.0, lists: if now.lists < 1.0 { 0.0 } else { 1.0 }, ..now };
        let mut right: BTreeMap<Kind, (f64, f64)> = BTreeMap::new();
        for first in (0..lessons).step_by(32) {
            let lessons: Vec<Lesson> = (first..lessons.min(first + 32))
                .map(|i| corpus::lesson(seed, i, Split::Test, [self.config.chains, 1], ease))
                .collect();
            let mut packs = Vec::new();
            let mut paths = Vec::new();
            for lesson in &lessons {
                let all = tokenise(vocabulary, lesson)?;
                let mut pack = Pack::default();
                let nodes = pack.push(&all.iter().map(|t| t.sequence.clone()).collect::<Vec<_>>());
                pack.request(all.iter().zip(&nodes).flat_map(|(t, n)| n[t.answer - 1..n.len() - 1].to_vec()));
                packs.push(pack);
                paths.push(all.into_iter().zip(nodes).collect::<Vec<_>>());
            }
            let judged = self.shards.logits(&self.decoder, &self.theta, &packs, |i, logits| {
                logits.chunks_exact_mut(width).for_each(log_softmax);
                let judge = |(t, nodes): &(Tokenised, Vec<u32>)| {
                    let (mut log_p, mut greedy) = (0.0, true);
                    for at in t.answer..t.sequence.len() {
                        let row = packs[i].output_row(nodes[at - 1]) * width;
                        let row = &logits[row..row + width];
                        let p = row[t.sequence[at] as usize];
                        log_p += f64::from(p);
                        greedy &= row.iter().all(|&other| other <= p);
                    }
                    (t.chain, log_p.exp(), greedy)
                };
                paths[i].iter().map(judge).collect::<Vec<_>>()
            });
            for (lesson, judged) in lessons.iter().zip(judged) {
                for (q, p, greedy) in judged {
                    let question = &lesson.chains[q][0];
                    if question.kind == Kind::Decide {
                        let (mass, of) = right.entry(Kind::Decide).or_default();
                        *mass += p;
                        *of += 1.0 / question.answers.len() as f64;
                    } else if question.answers.len() == 1 {
                        let (ok, of) = right.entry(question.kind).or_default();
                        *ok += f64::from(u8::from(greedy));
                        *of += 1.0;
                    }
                }
            }
        }
        Ok(right.into_iter().map(|(kind, (ok, of))| (kind, ok / of)).collect())
    }
}

/// A lesson's questions as token sequences: every question with every answer.
struct Tokenised {
    /// Rules, questions and answers before this one, question, answer, end.
    sequence: Vec<Token>,
    /// Where the answer begins.
    answer: usize,
    /// In which conversation it is, and how many answers it has.
    chain: usize,
    answers: usize,
}

fn tokenise(vocabulary: &Model, lesson: &Lesson) -> Result<Vec<Tokenised>> {
    // The template is the same for every question; the rules are tokenised once, as at a decision.
    let turn = |speaker| Turn { speaker, text: String::new() };
    let frame = vocabulary.template().encode(vocabulary, &[turn(Speaker::User), turn(Speaker::Assistant)], false)?;
    let rules = vocabulary.tokenize(&lesson.rules, false);
    let mut out = Vec::new();
    for (i, chain) in lesson.chains.iter().enumerate() {
        let mut before: Vec<Token> = Vec::new();
        for (k, question) in chain.iter().enumerate() {
            let mut asked = vocabulary.tokenize(&question.asked, false);
            if k == 0 {
                asked.splice(0..0, rules.iter().copied());
            }
            let first = out.len();
            for text in &question.answers {
                let mut t =
                    Tokenised { sequence: before.clone(), answer: 0, chain: i, answers: question.answers.len() };
                for piece in &frame {
                    match piece.turn {
                        None => t.sequence.extend(&piece.tokens),
                        Some(0) => t.sequence.extend(&asked),
                        Some(_) => {
                            t.answer = t.sequence.len();
                            t.sequence.extend(vocabulary.tokenize(text, false));
                        }
                    }
                }
                out.push(t);
            }
            // Where several answers are right, the conversation goes on from any of them.
            before = out[first + k % question.answers.len()].sequence.clone();
        }
    }
    Ok(out)
}

/// Lessons as tries, one each: the rules once, a branch a question. Targets are the answers' tokens with their end,
/// equally right answers sharing a weight of 1, and with a weight of `reading` everything before them.
fn batch(vocabulary: &Model, lessons: impl Iterator<Item = Lesson>, reading: f32) -> Result<Batch> {
    let mut pack = Pack::default();
    let mut wanted = Vec::new();
    for lesson in lessons {
        let all = tokenise(vocabulary, &lesson)?;
        let sequences: Vec<Vec<Token>> = all.iter().map(|t| t.sequence.clone()).collect();
        let nodes = pack.push(&sequences);
        let mut read = HashSet::new();
        for (t, nodes) in all.iter().zip(&nodes) {
            for i in 1..t.sequence.len() {
                if i >= t.answer {
                    wanted.push((nodes[i - 1], t.sequence[i], 1.0 / t.answers as f32, true));
                } else if reading > 0.0 && read.insert(nodes[i]) {
                    wanted.push((nodes[i - 1], t.sequence[i], reading, false));
                }
            }
        }
    }
    pack.request(wanted.iter().map(|(node, ..)| *node));
    let target = |(node, token, weight, answer)| Target { row: pack.output_row(node), token, weight, answer };
    let targets = wanted.into_iter().map(target).collect();
    Ok(Batch { pack, targets })
}

/// Replaces logits by `scale` times the gradient of the weighted cross-entropy, and returns its sum over the answers.
/// A row may have several targets: the gradient of each is a multiple of the softmax less the token itself.
fn cross_entropy(logits: &mut [f32], width: usize, targets: &[Target], scale: f32) -> f64 {
    let mut weights = vec![0.0; logits.len() / width];
    targets.iter().for_each(|t| weights[t.row] += t.weight * scale);
    logits.chunks_exact_mut(width).for_each(log_softmax);
    let answers = targets.iter().filter(|t| t.answer);
    let total = answers.map(|t| -f64::from(t.weight) * f64::from(logits[t.row * width + t.token as usize])).sum();
    for (row, weight) in logits.chunks_exact_mut(width).zip(weights) {
        row.iter_mut().for_each(|x| *x = exp(*x) * weight);
    }
    targets.iter().for_each(|t| logits[t.row * width + t.token as usize] -= t.weight * scale);
    total
}

/// Loads the vocabulary of a model file.
///
/// # Errors
/// As [`Model::open`].
pub fn open_vocabulary(path: &Path) -> Result<Model> {
    let options = crate::engine::ModelOptions { vocab_only: true, mmap: false, ..Default::default() };
    Model::open(path, options, |_| true)
}
