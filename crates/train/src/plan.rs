//! The plan of a run: memory by purpose, and the time of a step.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Instant;

use probity_engine::numeric::{Matrix, MatrixMut, Panels, product, product_in_bfloat};
use serde::Serialize;

use super::decoder::{Compute, Decoder, Keep, Pack};
use super::shards::Schedule;

/// Memory and time of a run's steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// How the batch goes through the machine.
    pub schedule: Schedule,
    /// Threads.
    pub threads: usize,
    /// Trie nodes of a step; the mean of a run's.
    pub nodes: usize,
    /// Bytes of the base model's weights, as in the file.
    pub weights: usize,
    /// Bytes of the adapter, its gradient and the optimiser's state.
    pub adapter: usize,
    /// Bytes of what the way back needs, and of the room to work in.
    pub activations: usize,
    /// Bytes of the logits.
    pub logits: usize,
    /// The sum, beyond the process and its vocabulary.
    pub bytes: usize,
    /// Seconds of one way forth.
    #[serde(skip)]
    pub forth: f64,
    /// Seconds of a step, by its multiplications and a speed measured now.
    pub seconds: f64,
}

impl Plan {
    /// The plan of a step over these packs, which each of the learners goes through.
    ///
    /// Without learners it is supervised: nothing refers to the base model's answers.
    #[must_use]
    pub fn of(decoder: &Decoder, packs: &[&Pack], schedule: Schedule, learners: usize) -> Self {
        let threads = rayon::current_num_threads();
        let side_by_side = schedule.at_a_time(packs.len());
        let keep = schedule.keep();
        // Buffers are kept, so the largest shards count.
        let largest = |bytes: &dyn Fn(&Pack) -> usize| -> usize {
            let mut all: Vec<usize> = packs.iter().copied().map(bytes).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.iter().take(side_by_side).sum()
        };
        let own_gradients = if packs.len() == 1 { 0 } else { side_by_side };
        let weights = decoder.stored_bytes();
        let adapter = 4 * decoder.n_params() * (4 * learners.max(1) + own_gradients);
        let activations = largest(&|pack| decoder.tape_bytes(pack, keep));
        let logits = largest(&|pack| decoder.logits_bytes(pack));
        // One forward pass and one backward pass through the inputs; a forward pass of the base model; where blocks are
        // recomputed, another forward pass.
        let passes = if keep == Keep::All { 3.0 } else { 4.0 };
        let passes = match learners {
            0 => passes - 1.0,
            1 => passes,
            // They first compute each other's policy.
            more => (passes + 1.0) * more as f64,
        };
        let products: f64 = packs.iter().map(|pack| decoder.products(pack)).sum();
        let forth = products / products_a_second(decoder, threads);
        Self {
            schedule,
            threads,
            nodes: packs.iter().map(|p| p.len()).sum(),
            weights,
            adapter,
            activations,
            logits,
            bytes: weights + adapter + activations + logits,
            forth,
            seconds: passes * forth,
        }
    }

    /// The same of steps that hold such a share of the nodes on average.
    ///
    /// Memory stays that of the largest step.
    #[must_use]
    pub fn scaled(self, share: f64) -> Self {
        let nodes = (self.nodes as f64 * share).round() as usize;
        Self { nodes, forth: self.forth * share, seconds: self.seconds * share, ..self }
    }

    /// The fastest plan within a number of bytes, or the most frugal plan.
    ///
    /// Shards side by side may take a quarter of the bytes: on two processors they were seen to be no faster.
    #[must_use]
    pub fn within(bytes: u64, decoder: &Decoder, packs: &[&Pack], learners: usize) -> Self {
        let of = |schedule| Self::of(decoder, packs, schedule, learners);
        let room = |plan: &Plan| if plan.schedule == Schedule::Wide { bytes / 4 } else { bytes };
        let fits = Schedule::ALL.into_iter().map(of).find(|plan| plan.bytes as u64 <= room(plan));
        fits.unwrap_or_else(|| of(Schedule::Narrow))
    }
}

/// How large one shard of a step may be, by the weights of its texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub step: u64,
    pub shard: usize,
    /// What grows with the tokens.
    pub text: usize,
    /// What grows with the tokens that each token looks back at.
    pub attention: usize,
}

impl Length {
    /// The steps that hold the longest texts or the widest attention of a shard.
    pub fn longest_steps(lengths: &[Self]) -> BTreeSet<u64> {
        /// Steps by each measure, and of each shard.
        const STEPS: usize = 4;
        let mut longest = BTreeSet::new();
        let shards: BTreeSet<usize> = lengths.iter().map(|length| length.shard).collect();
        for shard in shards {
            let mut lengths: Vec<&Self> = lengths.iter().filter(|length| length.shard == shard).collect();
            for by in [|length: &Self| length.text, |length: &Self| length.attention] {
                lengths.sort_by_key(|length| Reverse(by(length)));
                longest.extend(lengths.iter().take(STEPS).map(|length| length.step));
            }
        }
        longest
    }
}

/// The largest pack that each shard has in a run.
///
/// Buffers are kept from step to step, so the largest packs of different steps take memory together.
#[derive(Default)]
pub(crate) struct Largest {
    packs: Vec<Pack>,
}

impl Largest {
    /// Takes in a step's packs, a shard each.
    pub fn see(&mut self, decoder: &Decoder, packs: impl IntoIterator<Item = Pack>) {
        let bytes = |pack: &Pack| decoder.tape_bytes(pack, Keep::All);
        for (i, pack) in packs.into_iter().enumerate() {
            match self.packs.get_mut(i) {
                None => self.packs.push(pack),
                Some(largest) if bytes(largest) < bytes(&pack) => *largest = pack,
                Some(_) => {}
            }
        }
    }

    /// The plan of a run within some bytes, with so many nodes a step on average.
    pub fn plan(&self, bytes: u64, decoder: &Decoder, learners: usize, nodes: f64) -> Plan {
        let packs: Vec<&Pack> = self.packs.iter().collect();
        let largest: usize = packs.iter().map(|pack| pack.len()).sum();
        Plan::within(bytes, decoder, &packs, learners).scaled(nodes / largest as f64)
    }
}

/// Multiplications a second of a matrix product of the decoder's own widths.
fn products_a_second(decoder: &Decoder, threads: usize) -> f64 {
    const ROWS: usize = 256;
    let (d, ff) = (decoder.shape().n_embd, decoder.shape().n_ff);
    let (x, w) = (vec![0.5_f32; ROWS * d], vec![0.5_f32; ff * d]);
    let (mut y, mut panels) = (vec![0.0; ROWS * ff], Panels::default());
    let mut best = f64::INFINITY;
    let start = Instant::now();
    while best.is_infinite() || start.elapsed().as_secs_f64() < 0.2 {
        let begin = Instant::now();
        let (y, x, w) = (MatrixMut::new(&mut y, ROWS, ff), Matrix::new(&x, ROWS, d), Matrix::new(&w, ff, d));
        match decoder.compute() {
            Compute::F32 => product(y, x, w.t(), 1.0, false, threads),
            Compute::Bf16 => {
                panels.take(w.t(), threads);
                product_in_bfloat(y, x, &mut panels, false, threads);
            }
        }
        best = best.min(begin.elapsed().as_secs_f64());
    }
    (ROWS * d * ff) as f64 / best.max(1e-9)
}
