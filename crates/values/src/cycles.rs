//! Cycles of upgrades: each value was found wiser than its predecessor.

use std::collections::HashMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

/// The strongly connected component, by number, of every card that an edge touches.
pub(super) fn components(edges: impl IntoIterator<Item = (u32, u32)>) -> HashMap<u32, usize> {
    let numbered = connected(edges).into_iter().enumerate();
    numbered.flat_map(|(i, cards)| cards.into_iter().map(move |card| (card, i))).collect()
}

/// Strongly connected groups of two or more cards; cards in ascending order.
#[must_use]
pub fn cycles(edges: impl IntoIterator<Item = (u32, u32)>) -> Vec<Vec<u32>> {
    let mut cycles: Vec<Vec<u32>> = connected(edges).into_iter().filter(|cards| cards.len() > 1).collect();
    cycles.iter_mut().for_each(|cards| cards.sort_unstable());
    cycles.sort_unstable();
    cycles
}

fn connected(edges: impl IntoIterator<Item = (u32, u32)>) -> Vec<Vec<u32>> {
    kosaraju_scc(&edges.into_iter().collect::<DiGraphMap<u32, ()>>())
}
