//! From votes to edges.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::values::{Answer, Ballots, CardId, Counts, Edge};

/// What an edge must reach to be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Least likelihood.
    pub likelihood: f64,
    /// Largest published entropy, bits.
    pub entropy: f64,
    /// Fewest votes that the second card is wiser; one at least is asked for in any case.
    pub wiser: u32,
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

/// The edges that votes add up to, together with those of imported graphs, whose votes are known by their sums only; kept by
/// the thresholds, in the order of the cards' ids.
#[must_use]
pub fn edges(ballots: &Ballots, imported: &[Edge], thresholds: Thresholds) -> Vec<Edge> {
    let mut pooled: HashMap<(u32, u32), (Counts, BTreeSet<u32>)> = HashMap::new();
    for row in &ballots.rows {
        let (counts, contexts) = pooled.entry((row.from, row.to)).or_default();
        counts.impressions += 1;
        match row.answer {
            Answer::Upgrade => counts.wiser += 1,
            Answer::NoUpgrade => counts.not_wiser += 1,
            Answer::NotSure => counts.unsure += 1,
        }
        contexts.insert(row.context);
        let (counts, contexts) = pooled.entry((row.to, row.from)).or_default();
        counts.impressions += 1;
        counts.less_wise += u32::from(row.answer == Answer::Upgrade);
        contexts.insert(row.context);
    }
    let mut all: BTreeMap<(&CardId, &CardId), Edge> =
        imported.iter().map(|edge| ((&edge.from, &edge.to), edge.clone())).collect();
    for ((from, to), (counts, contexts)) in pooled {
        let (from, to) = (&ballots.cards[from as usize], &ballots.cards[to as usize]);
        // By name: which context was voted in first must not matter.
        let contexts: BTreeSet<&String> = contexts.into_iter().map(|c| &ballots.contexts[c as usize]).collect();
        let contexts = contexts.into_iter().cloned();
        match all.get_mut(&(from, to)) {
            Some(edge) => {
                edge.counts += counts;
                let new: Vec<String> = contexts.filter(|c| !edge.contexts.contains(c)).collect();
                edge.contexts.extend(new);
            }
            // Most pairs are nobody's upgrade; an imported edge may yet be one.
            None if thresholds.keep(&counts) => {
                let (from_id, to_id) = (from.clone(), to.clone());
                let extra = Default::default();
                all.insert((from, to), Edge { from: from_id, to: to_id, contexts: contexts.collect(), counts, extra });
            }
            None => {}
        }
    }
    all.into_values().filter(|edge| thresholds.keep(&edge.counts)).collect()
}
