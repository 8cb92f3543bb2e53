//! What an adapter is known to read, by the adapter that it started from.

use std::collections::BTreeSet;

use probity::agent::manifest::Manifest;

use crate::corpus::Kind;
use crate::course::{NamedAccuracy, reads};
use crate::curriculum::Phase;
use crate::games::Reading;

/// What a model is known to read under an adapter that started from another one.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The kinds of games.
    ///
    /// `None` where nobody examined the adapter that training started from.
    pub reading: Option<Vec<Reading>>,
    /// The exam that tells them.
    pub accuracy: NamedAccuracy,
}

impl Known {
    /// What is known of an adapter of these phases that starts from another one.
    ///
    /// Every phase leaves something in the policy. It reads the games whose exam has what all of their rewards ask, and
    /// whose start reads them for its own rewards.
    pub(super) fn after(start: Manifest, phases: &[Phase]) -> Self {
        let asked: BTreeSet<Kind> = phases.iter().flat_map(|phase| Kind::needed_by(&phase.reward)).collect();
        let read = |before: Vec<Reading>| {
            let of_start = |games: &Reading| start.rewards.is_empty() || before.contains(games);
            reads(&start.accuracy, &asked).into_iter().filter(of_start).collect()
        };
        Self { reading: start.reading.map(read), accuracy: start.accuracy }
    }
}
