//! How long a decoder takes on this machine, now.

use std::time::Instant;

use crate::decoder::{Decoder, Pack};
use crate::shards::{Schedule, Shards};

/// Seconds that a decoder takes for a node of a pack.
///
/// They are measured on few of the decoder's blocks, by the passes that training takes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds of the way forth.
    pub forth: f64,
    /// Seconds of the way back; recomputed blocks go forth on it.
    pub back: f64,
}

impl Pace {
    /// Measures a decoder on a pack, in the passes of a schedule.
    ///
    /// One block with the head, and some more blocks, tell what each block takes. They need less memory than all of
    /// the blocks in the same passes.
    pub fn of(decoder: &Decoder, pack: &Pack, schedule: Schedule) -> Self {
        /// Blocks of the larger measurement: few beside a step, many beside its noise.
        const BLOCKS: usize = 4;
        let (depth, more) = (decoder.blocks().len(), BLOCKS.min(decoder.blocks().len()));
        let ([forth, back], many) = (seconds(decoder, pack, schedule, 1), seconds(decoder, pack, schedule, more));
        let whole = |one: f64, many: f64| {
            let block = (many - one).max(0.0) / (more - 1).max(1) as f64;
            (one + block * (depth - 1) as f64) / pack.len() as f64
        };
        Self { forth: whole(forth, many[0]), back: whole(back, many[1]) }
    }
}

/// The least seconds forth and back of the first blocks and the head.
fn seconds(decoder: &Decoder, pack: &Pack, schedule: Schedule, blocks: usize) -> [f64; 2] {
    const PASSES: usize = 3;
    const SECONDS: f64 = 0.2;
    let decoder = decoder.first_blocks(blocks);
    let (theta, mut grads) = (vec![0.0; decoder.n_params()], vec![0.0; decoder.n_params()]);
    let mut shards = Shards::new(schedule);
    let mut best = [f64::INFINITY; 2];
    let start = Instant::now();
    // Fresh memory slows the first pass.
    let mut passes = 0;
    while passes < PASSES || start.elapsed().as_secs_f64() < SECONDS {
        let begin = Instant::now();
        let forth = shards.gradient(&decoder, &theta, &[pack], &mut grads, |_, tape| {
            let forth = begin.elapsed().as_secs_f64();
            tape.logits.fill(0.0);
            forth
        })[0];
        let back = begin.elapsed().as_secs_f64() - forth;
        best = [best[0].min(forth), best[1].min(back)];
        passes += 1;
    }
    best
}
