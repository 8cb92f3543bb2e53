//! Courses: lessons step by step, as batches to learn from and as exams.

mod exam;
mod lessons;
mod run;

pub use exam::{Accuracy, Exam, NamedAccuracy, READ, named, reads};
pub use run::{CourseEvent, CourseMeasurement, LessonReport};
pub(crate) use run::{Folder, Student};

use probity_engine::{Error as EngineError, Model};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::lessons::{LessonBatch, Target, batch, cross_entropy};
use crate::Result;
use crate::corpus::{self, Lesson, Mixture};
use crate::decoder::{Decoder, Pack};
use crate::labels::Split;
use crate::shards::Shards;

/// What the lessons of a run are drawn from, and how many a step has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Course {
    /// Lessons in a step.
    pub lessons: usize,
    /// Conversations in a lesson, all straight from the same rules.
    pub chains: usize,
    /// Questions in a conversation, one after the other.
    pub turns: usize,
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

impl Default for Course {
    fn default() -> Self {
        Self {
            lessons: 48,
            chains: 3,
            turns: 5,
            easy: [0.09, 0.18],
            lists: [0.09, 0.22],
            plain: [0.2, 0.45],
            numbers: 0.1,
            actions: 0.2,
            shards: 4,
        }
    }
}

/// What a step found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learned {
    /// Mean cross-entropy of the answers, nats.
    pub loss: f64,
    /// Nodes of the tries.
    pub tokens: u64,
}

impl Course {
    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: String, expected: &str| {
            if ok { Ok(()) } else { Err(EngineError::Option { name, given, expected: expected.into() }.into()) }
        };
        need((1..=24).contains(&self.chains), "chains", self.chains.to_string(), "1 to 24")?;
        need((1..=8).contains(&self.turns), "turns", self.turns.to_string(), "1 to 8")?;
        let shards = self.shards > 0 && self.lessons > 0 && self.lessons.is_multiple_of(self.shards);
        need(shards, "lessons", self.lessons.to_string(), "a multiple of the shards")?;
        for (name, [from, to]) in [("easy", self.easy), ("lists", self.lists), ("plain", self.plain)] {
            let rising = 0.0 <= from && from < to && to <= 1.0;
            need(rising, name, format!("{from}, {to}"), "two rising shares from 0 to 1")?;
        }
        for (name, share) in [("numbers", self.numbers), ("actions", self.actions)] {
            need((0.0..=1.0).contains(&share), name, share.to_string(), "a share from 0 to 1")?;
        }
        let both = self.numbers + self.actions;
        need(both <= 1.0, "actions", format!("{both} with numbers"), "at most 1 with numbers")
    }

    /// What lessons are drawn from after such a share of the steps.
    #[must_use]
    pub fn mixture_at(&self, progress: f64) -> Mixture {
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

    /// What an exam during the run is drawn from.
    ///
    /// It has no lookups, and lists only before the games.
    #[must_use]
    pub fn exam_at(&self, progress: f64) -> Mixture {
        let now = self.mixture_at(progress);
        Mixture { lookups: 0.0, lists: if now.lists < 1.0 { 0.0 } else { 1.0 }, ..now }
    }

    /// The lessons of one shard of a step.
    pub(crate) fn lessons(&self, seed: u64, step: u64, shard: usize, mixture: Mixture) -> impl Iterator<Item = Lesson> {
        let per_shard = (self.lessons / self.shards) as u64;
        let first = step * self.lessons as u64 + shard as u64 * per_shard;
        let shape = [self.chains, self.turns];
        (first..first + per_shard).map(move |index| corpus::lesson(seed, index, Split::Train, shape, mixture))
    }

    /// The lessons of a step, a batch a shard.
    ///
    /// `reading` is the weight of the tokens before the answers.
    pub(crate) fn batches(
        &self,
        vocabulary: &Model,
        seed: u64,
        step: u64,
        mixture: Mixture,
        reading: f32,
    ) -> Result<Vec<LessonBatch>> {
        let of_shard = |shard| batch(vocabulary, self.lessons(seed, step, shard, mixture), reading);
        (0..self.shards).into_par_iter().map(of_shard).collect()
    }
}

/// The learning rate after such a share of the steps.
///
/// It rises linearly, then falls by half a cosine to a hundredth of the peak.
pub(crate) fn rate_at(peak: f32, warmup: f64, progress: f64) -> f32 {
    if progress < warmup {
        return peak * (progress / warmup) as f32;
    }
    let p = (progress - warmup) / (1.0 - warmup);
    peak * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())) as f32
}

/// The cross-entropy of some batches; its gradient goes to `grads`.
pub(crate) fn learn(
    batches: &[LessonBatch],
    shards: &mut Shards,
    decoder: &Decoder,
    theta: &[f32],
    grads: &mut [f32],
) -> Learned {
    let targets = || batches.iter().flat_map(|batch| &batch.targets);
    let weight = |of: &dyn Fn(&&Target) -> bool| targets().filter(of).map(|target| target.weight).sum::<f32>();
    let (answers, all) = (weight(&|target| target.answer), weight(&|_| true));
    let packs: Vec<&Pack> = batches.iter().map(|batch| &batch.pack).collect();
    let width = decoder.shape().n_vocab;
    let losses = shards.gradient(decoder, theta, &packs, grads, |i, tape| {
        cross_entropy(&mut tape.logits, width, &batches[i].targets, 1.0 / all)
    });
    Learned {
        loss: losses.iter().sum::<f64>() / f64::from(answers),
        tokens: packs.iter().map(|pack| pack.len() as u64).sum(),
    }
}
