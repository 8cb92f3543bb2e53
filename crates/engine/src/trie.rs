//! Options as a token trie: shared beginnings are decoded once.

use std::ops::Range;

use super::Token;
use super::continuation::Continuation;

/// A node whose next-token distribution some option needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Token that leads here from the parent.
    pub token: Token,
    /// Tokens from the root.
    pub depth: usize,
    /// Options below it, as a range of [`Trie::order`].
    pub options: Range<usize>,
}

/// The inner nodes of the trie of some options, without the root.
///
/// An option's last token is read off its parent's logits. So leaves are never decoded, and an option of one token
/// costs nothing beyond the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trie {
    /// Options in token order; `order[i]` is the caller's index of the `i`-th.
    pub order: Vec<usize>,
    /// Inner nodes in depth-first order: a parent before its children.
    pub nodes: Vec<Node>,
    /// For each option and token the node with its logits; `None` is the root.
    pub sources: Vec<Vec<Option<usize>>>,
}

impl Trie {
    /// Builds the trie.
    #[must_use]
    pub fn new(options: &[&Continuation]) -> Self {
        let mut order: Vec<usize> = (0..options.len()).collect();
        order.sort_by(|&a, &b| options[a].cmp(options[b]));
        let mut nodes: Vec<Node> = Vec::new();
        let mut sources = vec![Vec::new(); options.len()];
        let mut path: Vec<usize> = Vec::new();
        for (i, &option) in order.iter().enumerate() {
            let tokens = options[option].tokens();
            let previous = i.checked_sub(1).map(|p| options[order[p]].tokens()).unwrap_or_default();
            path.truncate(previous.iter().zip(tokens).take_while(|(a, b)| a == b).count());
            for &node in &path {
                nodes[node].options.end = i + 1;
            }
            for (depth, &token) in tokens.iter().enumerate().skip(path.len()) {
                path.push(nodes.len());
                nodes.push(Node { token, depth: depth + 1, options: i..i + 1 });
            }
            sources[option] = std::iter::once(None).chain(path.iter().copied().map(Some)).collect();
        }
        Self { order, nodes, sources }
    }
}
