//! A literacy run's config.

use probity_engine::Error as EngineError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Result;
use crate::course::{Course, rate_at};
use crate::decoder::Compute;

/// Everything a literacy run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LiteracyConfig {
    /// Seed of the adapter's first weights and of the lessons.
    pub seed: u64,
    /// BLAKE3 of the model file that learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Optimiser steps.
    pub steps: u64,
    /// LoRA rank.
    pub rank: usize,
    /// LoRA alpha; the update is scaled by `alpha / rank`.
    pub alpha: f32,
    /// What products with the model's matrices are computed in.
    pub compute: Compute,
    /// Peak learning rate of Adam.
    pub rate: f32,
    /// Share of the steps over which the rate rises.
    pub warmup: f64,
    /// Lessons of each kind of games in the exam after the last step.
    pub exam: u64,
    /// Its lessons; what a file does not give is literacy's own, and not pretraining's.
    #[serde(deserialize_with = "over_own")]
    pub course: Course,
}

/// Reads the fields that are given over literacy's own course.
fn over_own<'de, D: Deserializer<'de>>(given: D) -> std::result::Result<Course, D::Error> {
    let given = toml::Table::deserialize(given)?;
    let mut whole = toml::Table::try_from(LiteracyConfig::default().course).map_err(D::Error::custom)?;
    whole.extend(given);
    whole.try_into().map_err(D::Error::custom)
}

impl Default for LiteracyConfig {
    fn default() -> Self {
        let course = Course {
            lessons: 8,
            chains: 3,
            turns: 5,
            easy: [0.02, 0.1],
            lists: [0.05, 0.2],
            plain: [0.1, 0.4],
            shards: 4,
            ..Course::default()
        };
        Self {
            seed: 1,
            base: None,
            steps: 1000,
            rank: 8,
            alpha: 16.0,
            compute: Compute::Bf16,
            rate: 1e-3,
            warmup: 0.03,
            exam: 512,
            course,
        }
    }
}

impl LiteracyConfig {
    /// Changes some fields.
    ///
    /// `LiteracyConfig::default().with(|o| o.steps = 200)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: String, expected: &str| {
            if ok { Result::Ok(()) } else { Err(EngineError::Option { name, given, expected: expected.into() }.into()) }
        };
        need((1..=1 << 40).contains(&self.steps), "steps", self.steps.to_string(), "1 to 2^40")?;
        need((1..=512).contains(&self.rank), "rank", self.rank.to_string(), "1 to 512")?;
        let alpha = self.alpha.is_finite() && self.alpha > 0.0;
        need(alpha, "alpha", self.alpha.to_string(), "a number above 0")?;
        need(self.rate.is_finite() && self.rate > 0.0, "rate", self.rate.to_string(), "a number above 0")?;
        let warmup = self.warmup > 0.0 && self.warmup < 1.0;
        need(warmup, "warmup", self.warmup.to_string(), "a share between 0 and 1")?;
        need((1..=1 << 20).contains(&self.exam), "exam", self.exam.to_string(), "1 to 2^20")?;
        self.course.check()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_in_part_is_literacys_own_in_the_rest() {
        let config: LiteracyConfig = toml::from_str("steps = 3\n[course]\nchains = 2\neasy = [0, 0.5]\n").unwrap();
        let own = LiteracyConfig::default().course;
        assert_eq!(config.course, Course { chains: 2, easy: [0.0, 0.5], ..own });
        assert_ne!(own.lessons, Course::default().lessons);
        let unknown = toml::from_str::<LiteracyConfig>("[course]\nchain = 2\n").unwrap_err();
        assert!(unknown.to_string().contains("unknown field `chain`"), "{unknown}");
        let whole = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<LiteracyConfig>(&whole).unwrap(), config);
    }
}
