//! Data parallelism with equal results on every machine.
//!
//! A batch is cut into a fixed number of shards, and gradients are added in shard order. Threads and kept activations
//! change the time and the memory of a step, and no bit of its result.

use rayon::prelude::*;
use serde::Serialize;

use super::decoder::kernels::add_all;
use super::decoder::{Decoder, Keep, Pack, Tape};

/// How a batch goes through the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Shards side by side, everything kept on the way.
    ///
    /// It is meant for small models on many processors.
    #[default]
    Wide,
    /// One shard after the other, on all threads, everything kept on the way.
    ///
    /// Memory holds the largest shard alone.
    Serial,
    /// As `Serial`, and blocks are computed twice: memory holds their inputs.
    Narrow,
}

impl Schedule {
    /// From the fastest to the most frugal.
    pub const ALL: [Self; 3] = [Self::Wide, Self::Serial, Self::Narrow];

    /// What of a forward pass is kept for the way back.
    #[must_use]
    pub fn keep(self) -> Keep {
        match self {
            Self::Wide | Self::Serial => Keep::All,
            Self::Narrow => Keep::Inputs,
        }
    }

    /// How many of some shards are under way at a time.
    #[must_use]
    pub fn at_a_time(self, shards: usize) -> usize {
        match self {
            Self::Wide => shards,
            Self::Serial | Self::Narrow => 1,
        }
    }
}

/// One shard's buffers, kept from step to step.
#[derive(Debug, Default)]
struct Shard {
    tape: Tape,
    grads: Vec<f32>,
}

/// The buffers of all shards that are under way at a time.
#[derive(Debug, Default)]
pub struct Shards {
    schedule: Schedule,
    shards: Vec<Shard>,
}

impl Shards {
    /// Empty buffers.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, shards: Vec::new() }
    }

    /// Forward, loss and backward of every pack.
    ///
    /// `loss` gets a pack's index and its tape, replaces the logits there by the gradient of the loss, and returns its
    /// own result; it runs on rayon's threads. `grads` is overwritten.
    pub fn gradient<T: Send>(
        &mut self,
        decoder: &Decoder,
        theta: &[f32],
        packs: &[&Pack],
        grads: &mut [f32],
        loss: impl Fn(usize, &mut Tape) -> T + Sync,
    ) -> Vec<T> {
        grads.fill(0.0);
        let keep = self.schedule.keep();
        let pass = |i: usize, tape: &mut Tape, grads: &mut [f32], threads: usize| {
            tape.keep = keep;
            decoder.forward(theta, packs[i], tape, threads);
            let result = loss(i, tape);
            decoder.backward(theta, packs[i], tape, grads, threads);
            result
        };
        let fresh = |shard: &mut Shard| {
            shard.grads.clear();
            shard.grads.resize(decoder.n_params(), 0.0);
        };
        let threads = self.prepare(packs.len());
        if self.schedule != Schedule::Wide || packs.len() == 1 {
            let shard = &mut self.shards[0];
            let mut one_by_one = || {
                // The first shard writes into `grads` directly and needs no gradient of its own.
                let mut results = vec![pass(0, &mut shard.tape, grads, threads)];
                for i in 1..packs.len() {
                    fresh(shard);
                    results.push(pass(i, &mut shard.tape, &mut shard.grads, threads));
                    add_all(grads, &shard.grads, threads);
                }
                results
            };
            // It runs on one of the pool's own threads: from outside, every product would wake the pool and wait for
            // it.
            return rayon::scope(|_| one_by_one());
        }
        let shards = self.shards[..packs.len()].par_iter_mut().enumerate();
        let results = shards
            .map(|(i, shard)| {
                fresh(shard);
                pass(i, &mut shard.tape, &mut shard.grads, threads)
            })
            .collect();
        self.shards[..packs.len()].iter().for_each(|shard| add_all(grads, &shard.grads, rayon::current_num_threads()));
        results
    }

    /// Forward only: `read` gets a pack's index and its tape, on rayon's threads.
    pub fn forward<T: Send>(
        &mut self,
        decoder: &Decoder,
        theta: &[f32],
        packs: &[&Pack],
        read: impl Fn(usize, &mut Tape) -> T + Sync,
    ) -> Vec<T> {
        let threads = self.prepare(packs.len());
        let pass = |i: usize, tape: &mut Tape| {
            tape.keep = Keep::Nothing;
            decoder.forward(theta, packs[i], tape, threads);
            read(i, tape)
        };
        match self.schedule {
            Schedule::Serial | Schedule::Narrow => {
                let tape = &mut self.shards[0].tape;
                rayon::scope(|_| (0..packs.len()).map(|i| pass(i, tape)).collect())
            }
            Schedule::Wide => self.shards[..packs.len()]
                .par_iter_mut()
                .enumerate()
                .map(|(i, shard)| pass(i, &mut shard.tape))
                .collect(),
        }
    }

    /// Makes room for so many packs and returns how many threads each gets.
    fn prepare(&mut self, packs: usize) -> usize {
        let at_a_time = self.schedule.at_a_time(packs);
        self.shards.resize_with(at_a_time.max(self.shards.len()), Shard::default);
        (rayon::current_num_threads() / at_a_time.max(1)).max(1)
    }
}
