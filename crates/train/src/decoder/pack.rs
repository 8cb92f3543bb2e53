//! A batch as a forest of token tries.
//!
//! Sequences that share a prefix share its nodes; a node sees itself and its ancestors, nothing else. In depth-first
//! order the ancestors of node `i` are the nodes `j <= i` whose subtree has not ended yet. So one number a node, the
//! end of its subtree, is the whole attention mask.

use std::ops::Range;

use probity_engine::Token;

/// Tokens in depth-first order, with the mask and the rows whose logits are wanted.
#[derive(Debug, Clone, Default)]
pub struct Pack {
    /// Token of each node.
    pub tokens: Vec<Token>,
    /// Depth of each node: its position in the sequence.
    pub positions: Vec<u32>,
    /// First node after each node's subtree.
    pub ends: Vec<u32>,
    /// The tries: ranges of nodes that see nothing of each other.
    pub trees: Vec<Range<usize>>,
    /// Nodes whose next-token logits are wanted, ascending.
    pub outputs: Vec<u32>,
}

impl Pack {
    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds one trie of `sequences`; returns the node of each token.
    ///
    /// # Panics
    /// For an empty sequence, and for sequences with different first tokens: a caller's mistake.
    pub fn push(&mut self, sequences: &[Vec<Token>]) -> Vec<Vec<u32>> {
        let start = self.len();
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by(|&a, &b| sequences[a].cmp(&sequences[b]));
        let mut nodes = vec![Vec::new(); sequences.len()];
        let mut previous: Option<usize> = None;
        for i in order {
            let sequence = &sequences[i];
            // In sorted order the longest shared prefix is always with the neighbour.
            let shared = previous.map_or(0, |p| common_prefix(&sequences[p], sequence));
            assert!(!sequence.is_empty() && (previous.is_none() || shared > 0), "sequences of one trie share a start");
            let mut path: Vec<u32> = previous.map_or_else(Vec::new, |p| nodes[p][..shared].to_vec());
            for &token in &sequence[shared..] {
                path.push(self.len() as u32);
                self.positions.push(path.len() as u32 - 1);
                self.tokens.push(token);
                self.ends.push(0);
            }
            // In depth-first order a node's subtree ends with the newest path through it.
            let end = self.len() as u32;
            for &node in &path {
                self.ends[node as usize] = end;
            }
            nodes[i] = path;
            previous = Some(i);
        }
        self.trees.push(start..self.len());
        nodes
    }

    /// Asks for the logits of nodes; the outputs stay sorted and distinct.
    pub fn request(&mut self, nodes: impl IntoIterator<Item = u32>) {
        self.outputs.extend(nodes);
        self.outputs.sort_unstable();
        self.outputs.dedup();
    }

    /// Row of a node among the outputs.
    ///
    /// # Panics
    /// For a node without requested logits: a caller's mistake.
    #[must_use]
    pub fn output_row(&self, node: u32) -> usize {
        self.outputs.binary_search(&node).expect("the node's logits were requested")
    }

    /// The outputs that belong to a trie, as a range of output rows.
    #[must_use]
    pub fn outputs_of(&self, tree: &Range<usize>) -> Range<usize> {
        let at = |node: usize| self.outputs.partition_point(|&o| (o as usize) < node);
        at(tree.start)..at(tree.end)
    }
}

fn common_prefix(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
