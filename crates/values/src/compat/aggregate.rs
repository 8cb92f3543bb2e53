//! From votes to edges.

use std::collections::{BTreeSet, HashMap};

use crate::{Answer, Ballots, Counts, Edge};

/// What an edge must reach to be kept.
///
/// ```
/// use probity_values::Counts;
/// use probity_values::compat::Thresholds;
///
/// let agreed = Counts { wiser: 9, not_wiser: 1, impressions: 10, ..Counts::default() };
/// assert!(Thresholds::default().keep(&agreed));
/// assert!(!Thresholds::default().with(|thresholds| thresholds.likelihood = 0.95).keep(&agreed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Thresholds {
    /// Least likelihood.
    pub likelihood: f64,
    /// Largest published entropy, bits.
    pub entropy: f64,
    /// The fewest votes for the second card; at least one is needed in any case.
    pub wiser: u32,
}

impl Thresholds {
    /// Changes some thresholds.
    ///
    /// `Thresholds::default().with(|o| o.wiser = 3)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { likelihood: 0.33, entropy: 1.69, wiser: 2 }
    }
}

impl Thresholds {
    /// Whether an edge of such counts is kept.
    #[must_use]
    pub fn keep(&self, counts: &Counts) -> bool {
        counts.wiser >= self.wiser.max(1)
            && counts.likelihood() >= self.likelihood
            && counts.published_entropy() <= self.entropy
    }
}

/// Sums of the votes on every ordered pair of cards, with their contexts.
///
/// In one context, or pooled over all. A pair is present in both directions. An imported sum over several contexts
/// counts in each.
#[must_use]
pub fn count(ballots: &Ballots, within: Option<u32>) -> HashMap<(u32, u32), (Counts, BTreeSet<u32>)> {
    let mut pooled: HashMap<(u32, u32), (Counts, BTreeSet<u32>)> = HashMap::new();
    for row in ballots.rows.iter().filter(|row| within.is_none_or(|context| context == row.context)) {
        let (counts, contexts) = pooled.entry((row.from, row.to)).or_default();
        counts.impressions += 1;
        match row.answer {
            Answer::Yes => counts.wiser += 1,
            Answer::No => counts.not_wiser += 1,
            Answer::Unsure => counts.unsure += 1,
        }
        contexts.insert(row.context);
        let (counts, contexts) = pooled.entry((row.to, row.from)).or_default();
        counts.impressions += 1;
        counts.less_wise += u32::from(row.answer == Answer::Yes);
        contexts.insert(row.context);
    }
    for tally in ballots.tallies.iter().filter(|tally| within.is_none_or(|context| tally.contexts.contains(&context))) {
        let (counts, contexts) = pooled.entry((tally.from, tally.to)).or_default();
        *counts += tally.counts;
        contexts.extend(&tally.contexts);
        let (counts, contexts) = pooled.entry((tally.to, tally.from)).or_default();
        if !tally.reverse_known {
            // The votes behind it, as far as they are known.
            let Counts { wiser, less_wise, impressions, .. } = tally.counts;
            *counts += Counts { wiser: less_wise, less_wise: wiser, impressions, ..Counts::default() };
            contexts.extend(&tally.contexts);
        }
    }
    pooled
}

/// The edges within the thresholds, in one context or pooled over all.
///
/// They are in the order of their cards.
#[must_use]
pub fn edges(ballots: &Ballots, within: Option<u32>, thresholds: Thresholds) -> Vec<Edge> {
    let pooled = count(ballots, within);
    let mut kept: Vec<_> = pooled.into_iter().filter(|(_, (counts, _))| thresholds.keep(counts)).collect();
    kept.sort_unstable_by_key(|&(pair, _)| pair);
    let edge = |((from, to), (counts, contexts)): ((u32, u32), (Counts, BTreeSet<u32>))| {
        let [from, to] = [from, to].map(|card| ballots.cards[card as usize].clone());
        let mut contexts: Vec<String> = contexts.into_iter().map(|c| ballots.contexts[c as usize].clone()).collect();
        // By name: the order in which contexts first appear must not matter.
        contexts.sort_unstable();
        Edge { from, to, contexts, counts, extra: Default::default(), summary: Default::default() }
    };
    kept.into_iter().map(edge).collect()
}
