//! Cycles of upgrades: values of which each was found wiser than the next, and the last than the first.

use std::collections::HashMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

/// The strongly connected component, by number, of every card that an edge touches.
pub(super) fn components(edges: impl IntoIterator<Item = (u32, u32)>) -> HashMap<u32, usize> {
    let graph: DiGraphMap<u32, ()> = edges.into_iter().collect();
    let components = kosaraju_scc(&graph);
    components.iter().enumerate().flat_map(|(i, cards)| cards.iter().map(move |&card| (card, i))).collect()
}

/// Groups of cards that lead to each other along edges, the cards of each ascending: two at least.
#[must_use]
pub fn cycles(edges: impl IntoIterator<Item = (u32, u32)>) -> Vec<Vec<u32>> {
    let graph: DiGraphMap<u32, ()> = edges.into_iter().collect();
    let mut cycles: Vec<Vec<u32>> = kosaraju_scc(&graph).into_iter().filter(|cards| cards.len() > 1).collect();
    cycles.iter_mut().for_each(|cards| cards.sort_unstable());
    cycles.sort_unstable();
    cycles
}
