//! Grouped-query attention under the trie mask, forward and backward, one trie at a time.

use std::ops::Range;

use super::kernels::{dot, exp, max, soft_cap, soft_cap_back, sum};
use super::pack::Pack;
use crate::engine::numeric::{Matrix, MatrixMut, product};

/// The widths of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub n_head: usize,
    /// Key and value heads.
    pub n_head_kv: usize,
    /// Width of one head.
    pub dim: usize,
    /// What products of queries and keys are multiplied with.
    pub scale: f32,
    /// `c` where these become `c tanh(x / c)`.
    pub cap: Option<f32>,
}

impl Heads {
    /// Width of a row of queries.
    #[must_use]
    pub fn width(&self) -> usize {
        self.n_head * self.dim
    }

    /// Width of a row of keys or values.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.n_head_kv * self.dim
    }

    /// `(query head, columns of its queries, columns of its keys)`.
    fn each(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let group = self.n_head / self.n_head_kv;
        (0..self.n_head).map(move |h| (h, h * self.dim, h / group * self.dim))
    }
}

/// Queries of which node each row of `q` is: all of them, or the outputs only (in the last block).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Row `i` is node `i`.
    All,
    /// Row `i` is the `i`-th output.
    Outputs,
}

impl Rows {
    /// How many rows there are.
    #[must_use]
    pub fn count(self, pack: &Pack) -> usize {
        match self {
            Self::All => pack.len(),
            Self::Outputs => pack.outputs.len(),
        }
    }

    /// The node of a row.
    #[must_use]
    pub fn node(self, pack: &Pack, row: usize) -> usize {
        match self {
            Self::All => row,
            Self::Outputs => pack.outputs[row] as usize,
        }
    }

    fn of_tree(self, pack: &Pack, tree: &Range<usize>) -> Range<usize> {
        match self {
            Self::All => tree.clone(),
            Self::Outputs => pack.outputs_of(tree),
        }
    }
}

/// Query rows handled at a time. Rows of a block attend to no key beyond its last node, so that the upper half of the
/// score matrix is mostly never computed.
const BLOCK: usize = 64;

/// A block of queries: rows of the batch, and how many of the trie's keys the last of them can see.
fn blocks(pack: &Pack, rows: Rows, tree: &Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> {
    let range = rows.of_tree(pack, tree);
    let start = tree.start;
    range.clone().step_by(BLOCK).map(move |first| {
        let block = first..(first + BLOCK).min(range.end);
        let keys = rows.node(pack, block.end - 1) + 1 - start;
        (block, keys)
    })
}

/// What a query sees of its ancestors.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The tries.
    pub pack: &'a Pack,
    /// Which nodes have queries.
    pub rows: Rows,
    /// How many of the last tokens, itself included; `None` for all.
    pub window: Option<usize>,
}

/// `out = softmax(scale q k^T) v` per trie and head; the probabilities stay in `p` for the way back.
pub fn forward(heads: Heads, view: View<'_>, q: &[f32], k: &[f32], v: &[f32], p: &mut Vec<f32>, out: &mut [f32]) {
    let (width, kv, dim) = (heads.width(), heads.kv_width(), heads.dim);
    let View { pack, rows, .. } = view;
    p.clear();
    for tree in &pack.trees {
        for (block, n) in blocks(pack, rows, tree) {
            let m = block.len();
            for (_, qc, kc) in heads.each() {
                let at = p.len();
                p.resize(at + m * n, 0.0);
                let scores = &mut p[at..];
                let qh = Matrix::strided(&q[block.start * width + qc..], m, dim, width);
                let kh = Matrix::strided(&k[tree.start * kv + kc..], n, dim, kv);
                product(MatrixMut::new(scores, m, n), qh, kh.t(), heads.scale, false, 1);
                if let Some(cap) = heads.cap {
                    soft_cap(scores, cap);
                }
                for (row, scores) in block.clone().zip(scores.chunks_exact_mut(n)) {
                    masked_softmax(scores, view, tree.start, rows.node(pack, row));
                }
                let vh = Matrix::strided(&v[tree.start * kv + kc..], n, dim, kv);
                let oh = MatrixMut::strided(&mut out[block.start * width + qc..], m, dim, width);
                product(oh, Matrix::new(scores, m, n), vh, 1.0, false, 1);
            }
        }
    }
}

/// Softmax over the nodes that `node` sees, of those of its trie, which begins at `start`; zero elsewhere.
fn masked_softmax(scores: &mut [f32], view: View<'_>, start: usize, node: usize) {
    // Far below every real score, yet finite: its exponential is zero without a special case.
    const HIDDEN: f32 = -1e30;
    let (seen, beyond) = scores.split_at_mut(node - start + 1);
    beyond.fill(0.0);
    let pack = view.pack;
    for (s, &end) in seen.iter_mut().zip(&pack.ends[start..]) {
        *s = if end > node as u32 { *s } else { HIDDEN };
    }
    if let Some(window) = view.window {
        // Only positions less than a window away.
        let first = (pack.positions[node] as usize + 1).saturating_sub(window) as u32;
        for (s, &position) in seen.iter_mut().zip(&pack.positions[start..]) {
            *s = if position >= first { *s } else { HIDDEN };
        }
    }
    let top = max(seen);
    seen.iter_mut().for_each(|s| *s = if *s > -1e29 { exp(*s - top) } else { 0.0 });
    let inverse = 1.0 / sum(seen);
    seen.iter_mut().for_each(|s| *s *= inverse);
}

/// Backward of [`forward`]: writes `dq`, adds to `dk` and `dv`.
#[expect(clippy::too_many_arguments, reason = "attention has four operands and as many gradients")]
pub fn backward(
    heads: Heads,
    view: View<'_>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    p: &[f32],
    dout: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    ds: &mut Vec<f32>,
    capped: &mut Vec<f32>,
) {
    let (width, kv, dim) = (heads.width(), heads.kv_width(), heads.dim);
    let View { pack, rows, .. } = view;
    let scale = heads.scale;
    let mut at = 0;
    for tree in &pack.trees {
        for (block, n) in blocks(pack, rows, tree) {
            let m = block.len();
            ds.resize(m * n, 0.0);
            for (_, qc, kc) in heads.each() {
                let probabilities = &p[at..at + m * n];
                at += m * n;
                let (qo, ko) = (block.start * width + qc, tree.start * kv + kc);
                let doh = Matrix::strided(&dout[qo..], m, dim, width);
                let (qh, kh) = (Matrix::strided(&q[qo..], m, dim, width), Matrix::strided(&k[ko..], n, dim, kv));
                let vh = Matrix::strided(&v[ko..], n, dim, kv);
                let ph = Matrix::new(probabilities, m, n);
                product(MatrixMut::strided(&mut dv[ko..], n, dim, kv), ph.t(), doh, 1.0, true, 1);
                product(MatrixMut::new(ds, m, n), doh, vh.t(), 1.0, false, 1);
                for (ds, p) in ds.chunks_exact_mut(n).zip(probabilities.chunks_exact(n)) {
                    let along = dot(ds, p);
                    ds.iter_mut().zip(p).for_each(|(d, p)| *d = p * (*d - along));
                }
                if let Some(cap) = heads.cap {
                    // The probabilities do not tell what the capped scores were.
                    capped.resize(m * n, 0.0);
                    product(MatrixMut::new(capped, m, n), qh, kh.t(), scale, false, 1);
                    soft_cap(capped, cap);
                    soft_cap_back(capped, cap, ds);
                }
                let s = Matrix::new(ds, m, n);
                product(MatrixMut::strided(&mut dq[qo..], m, dim, width), s, kh, scale, false, 1);
                product(MatrixMut::strided(&mut dk[ko..], n, dim, kv), s.t(), qh, scale, true, 1);
            }
        }
    }
}
