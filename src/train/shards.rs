//! Data parallelism with one answer: a batch is cut into shards whose number does not depend on the machine, each shard
//! runs on one thread with its own buffers, and gradients are added in shard order. The thread count changes the time a
//! step takes, never a bit of its result.

use rayon::prelude::*;

use super::decoder::Pack;
use super::decoder::{Decoder, Tape};

/// One shard's buffers, kept from step to step.
#[derive(Debug, Default)]
struct Shard {
    tape: Tape,
    grads: Vec<f32>,
}

/// The buffers of all shards.
#[derive(Debug, Default)]
pub struct Shards {
    shards: Vec<Shard>,
}

impl Shards {
    /// Forward, loss and backward of every pack. `loss` gets a pack's index and its logits (a row of `n_vocab` an
    /// output), replaces them by the gradient of the loss, and returns what it wants summed up. `grads` is overwritten.
    pub fn gradient<T: Send>(
        &mut self,
        decoder: &Decoder,
        theta: &[f32],
        packs: &[Pack],
        grads: &mut [f32],
        loss: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Vec<T> {
        self.shards.resize_with(packs.len().max(self.shards.len()), Shard::default);
        let results = self.shards[..packs.len()]
            .par_iter_mut()
            .enumerate()
            .map(|(i, shard)| {
                shard.grads.clear();
                shard.grads.resize(decoder.n_params(), 0.0);
                decoder.forward(theta, &packs[i], &mut shard.tape, 1);
                let result = loss(i, &mut shard.tape.logits);
                decoder.backward(theta, &packs[i], &mut shard.tape, &mut shard.grads, 1);
                result
            })
            .collect();
        grads.fill(0.0);
        for shard in &self.shards[..packs.len()] {
            super::decoder::kernels::add(grads, &shard.grads);
        }
        results
    }

    /// Forward only: `read` gets a pack's index and its logits.
    pub fn logits<T: Send>(
        &mut self,
        decoder: &Decoder,
        theta: &[f32],
        packs: &[Pack],
        read: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Vec<T> {
        self.shards.resize_with(packs.len().max(self.shards.len()), Shard::default);
        self.shards[..packs.len()]
            .par_iter_mut()
            .enumerate()
            .map(|(i, shard)| {
                decoder.forward(theta, &packs[i], &mut shard.tape, 1);
                read(i, &mut shard.tape.logits)
            })
            .collect()
    }
}
