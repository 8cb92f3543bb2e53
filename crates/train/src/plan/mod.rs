//! The plan of a run: memory by purpose, and the time of a step.

mod pace;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use self::pace::Pace;
use crate::Result;
use crate::decoder::{Decoder, Keep, Pack};
use crate::shards::Schedule;

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
    /// Seconds of one way forth, measured now on some of the model's blocks.
    ///
    /// NaN, as are the other times, where the plan does not fit.
    #[serde(skip)]
    pub forth: f64,
    /// Seconds of one way back.
    #[serde(skip)]
    pub back: f64,
    /// Seconds of a step.
    pub seconds: f64,
}

impl Plan {
    /// The plan of a step over these packs, which each of the learners goes through.
    ///
    /// Without learners it is supervised: nothing refers to the base model's answers.
    #[must_use]
    pub fn of(decoder: &Decoder, packs: &[&Pack], schedule: Schedule, learners: usize) -> Self {
        let smallest = packs.iter().min_by_key(|pack| pack.len()).expect("a step has a pack");
        let nodes = packs.iter().map(|pack| pack.len()).sum();
        Self::sized(decoder, packs, schedule, learners).timed(decoder, learners, nodes, smallest)
    }

    /// Its memory; the time is NaN.
    fn sized(decoder: &Decoder, packs: &[&Pack], schedule: Schedule, learners: usize) -> Self {
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
        Self {
            schedule,
            threads: rayon::current_num_threads(),
            nodes: packs.iter().map(|pack| pack.len()).sum(),
            weights,
            adapter,
            activations,
            logits,
            bytes: weights + adapter + activations + logits,
            forth: f64::NAN,
            back: f64::NAN,
            seconds: f64::NAN,
        }
    }

    /// The same with the time of steps of so many nodes, measured now on a usual pack.
    fn timed(self, decoder: &Decoder, learners: usize, nodes: usize, usual: &Pack) -> Self {
        let pace = Pace::of(decoder, usual, self.schedule);
        let [forth, back] = [pace.forth, pace.back].map(|seconds| seconds * nodes as f64);
        // The base model's answers and those of the other learners are a way forth each.
        let ways = [true, learners > 0, learners > 1].into_iter().filter(|way| *way).count() as f64;
        Self { nodes, forth, back, seconds: learners.max(1) as f64 * (ways * forth + back), ..self }
    }

    /// The fastest plan within a number of bytes, or the most frugal plan.
    ///
    /// `nodes` are those of a step. Shards side by side may take a quarter of the bytes: on two processors they were
    /// seen to be no faster. A plan that does not fit has no time: measuring it might take more memory than there is.
    pub(crate) fn within(
        bytes: u64,
        decoder: &Decoder,
        packs: &[&Pack],
        learners: usize,
        nodes: usize,
        usual: &Pack,
    ) -> Self {
        let sized = |schedule| Self::sized(decoder, packs, schedule, learners);
        let room = |plan: &Plan| if plan.schedule == Schedule::Wide { bytes / 4 } else { bytes };
        match Schedule::ALL.into_iter().map(sized).find(|plan| plan.bytes as u64 <= room(plan)) {
            Some(plan) => plan.timed(decoder, learners, nodes, usual),
            None => Self { nodes, ..sized(Schedule::Narrow) },
        }
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
    /// Steps all over the run, whose tokens tell those of a text.
    pub fn usual_steps(lengths: &[Self]) -> BTreeSet<u64> {
        const STEPS: usize = 8;
        let steps: BTreeSet<u64> = lengths.iter().map(|length| length.step).collect();
        let every = steps.len().div_ceil(STEPS).max(1);
        steps.into_iter().step_by(every).collect()
    }

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

/// The packs of some of a run's steps, by which all of it is planned.
pub(crate) struct Survey {
    /// The largest pack that each shard has.
    ///
    /// Buffers are kept from step to step, so the largest packs of different steps take memory together.
    largest: Vec<Pack>,
    /// The pack nearest to the usual size.
    usual: Pack,
    /// Nodes of the mean step.
    nodes: usize,
}

impl Survey {
    /// Builds the packs of the steps that tell most about some lengths of all steps.
    ///
    /// `packs_of` gives a step's packs, a shard each, of every learner.
    ///
    /// # Errors
    /// Those of `packs_of`.
    pub fn of(
        decoder: &Decoder,
        lengths: &[Length],
        mut packs_of: impl FnMut(u64) -> Result<Vec<Vec<Pack>>>,
    ) -> Result<Self> {
        let text = |step: u64| lengths.iter().filter(|length| length.step == step).map(|l| l.text).sum::<usize>();
        let bytes = |pack: &Pack| decoder.tape_bytes(pack, Keep::All);
        let usual_steps = Length::usual_steps(lengths);
        let (mut largest, mut usual): (Vec<Pack>, Vec<Pack>) = (Vec::new(), Vec::new());
        let mut usual_text = 0;
        for step in &usual_steps | &Length::longest_steps(lengths) {
            for packs in packs_of(step)? {
                if usual_steps.contains(&step) {
                    usual_text += text(step);
                    usual.extend(packs.iter().cloned());
                }
                for (i, pack) in packs.into_iter().enumerate() {
                    match largest.get_mut(i) {
                        None => largest.push(pack),
                        Some(largest) if bytes(largest) < bytes(&pack) => *largest = pack,
                        Some(_) => {}
                    }
                }
            }
        }
        let steps: BTreeSet<u64> = lengths.iter().map(|length| length.step).collect();
        let mean_text = lengths.iter().map(|length| length.text as f64).sum::<f64>() / steps.len() as f64;
        let nodes: usize = usual.iter().map(Pack::len).sum();
        let mean = nodes / usual.len();
        let usual = usual.into_iter().min_by_key(|pack| pack.len().abs_diff(mean)).expect("a step has a pack");
        Ok(Self { largest, usual, nodes: (mean_text * nodes as f64 / usual_text as f64).round() as usize })
    }

    /// The plan of the run within some bytes.
    pub fn plan(&self, bytes: u64, decoder: &Decoder, learners: usize) -> Plan {
        let packs: Vec<&Pack> = self.largest.iter().collect();
        Plan::within(bytes, decoder, &packs, learners, self.nodes, &self.usual)
    }
}
