//! From edges to ranks.

use std::collections::HashMap;

use crate::{CardId, Edge};

/// The share of a card's rank that goes along its edges.
pub const DAMPING: f64 = 0.85;
/// How often ranks are passed on. The published code looks at no tolerance.
pub const ITERATIONS: usize = 100;

/// Weighted PageRank of `nodes` nodes over `(from, to, weight)`.
///
/// As published: `PR'(v) = (1 - d)/N + d sum_{u -> v} PR(u) L(u, v) / sum_x L(u, x)`, from `1/N`. The rank of a node
/// without outgoing edges is lost, so ranks add up to less than 1. Edges need a weight above 0.
#[must_use]
pub fn page_rank(nodes: usize, edges: &[(u32, u32, f64)]) -> Vec<f64> {
    let mut leaving = vec![0.0; nodes];
    let mut edges: Vec<(u32, u32, f64)> = edges.iter().filter(|(_, _, weight)| *weight > 0.0).copied().collect();
    // In an order of their own, so that sums do not depend on the order of the edges. Sorted by source: consecutive
    // writes then go to different ranks and need not wait for each other.
    edges.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    edges.iter().for_each(|&(from, _, weight)| leaving[from as usize] += weight);
    edges.iter_mut().for_each(|(from, _, weight)| *weight *= DAMPING / leaving[*from as usize]);
    let teleport = (1.0 - DAMPING) / nodes as f64;
    let mut rank = vec![1.0 / nodes as f64; nodes];
    let mut next = vec![0.0; nodes];
    for _ in 0..ITERATIONS {
        next.fill(teleport);
        edges.iter().for_each(|&(from, to, share)| next[to as usize] += share * rank[from as usize]);
        std::mem::swap(&mut rank, &mut next);
    }
    rank
}

/// Ranks of the cards that touch an edge, the wisest first, then by id.
#[must_use]
pub fn rank(edges: &[Edge]) -> Vec<(CardId, f64)> {
    let mut cards: Vec<&CardId> = edges.iter().flat_map(|edge| [&edge.from, &edge.to]).collect();
    cards.sort_unstable();
    cards.dedup();
    let number: HashMap<&CardId, u32> = cards.iter().enumerate().map(|(i, &card)| (card, i as u32)).collect();
    let weighted: Vec<(u32, u32, f64)> =
        edges.iter().map(|edge| (number[&edge.from], number[&edge.to], edge.counts.likelihood())).collect();
    let mut ranked: Vec<(CardId, f64)> = cards.into_iter().cloned().zip(page_rank(number.len(), &weighted)).collect();
    ranked.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    ranked
}
