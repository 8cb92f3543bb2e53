//! Grouped-query attention under the trie mask, forward and backward, one head and one trie at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::kernels::{dot, exp, fit, max, soft_cap, soft_cap_back, sum, zeroed};
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

    /// Query heads that share a key-value head.
    fn group(&self) -> usize {
        self.n_head / self.n_head_kv
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

/// Sizes of the blocks' score matrices.
fn scores(pack: &Pack, rows: Rows) -> impl Iterator<Item = usize> {
    pack.trees.iter().flat_map(move |tree| blocks(pack, rows, tree).map(|(block, n)| block.len() * n))
}

/// Floats that [`HeadTape`]s hold after a pass forth and back.
pub fn floats(heads: Heads, pack: &Pack, rows: Rows) -> usize {
    let kept = heads.n_head * scores(pack, rows).sum::<usize>();
    let columns = rows.count(pack) * heads.width() + 2 * pack.len() * heads.kv_width();
    let work = if heads.cap.is_some() { 2 } else { 1 };
    kept + columns + work * heads.n_head_kv * scores(pack, rows).max().unwrap_or(0)
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

/// What a key-value head with its query heads keeps for the way back, and the room it works in. Heads have nothing to do
/// with each other, so each may be another thread's.
#[derive(Debug, Default)]
pub struct HeadTape {
    /// Probabilities: trie by trie, block by block, query head by query head.
    p: Vec<f32>,
    /// What its query heads attended to, or the gradient of their queries: each a matrix of its own.
    group: Vec<f32>,
    /// Gradients of its keys and values.
    kv: [Vec<f32>; 2],
    ds: Vec<f32>,
    capped: Vec<f32>,
}

/// Calls `work` for every key-value head with its tape.
fn each_head(heads: Heads, tapes: &mut Vec<HeadTape>, threads: usize, work: impl Fn(usize, &mut HeadTape) + Sync) {
    tapes.resize_with(heads.n_head_kv, HeadTape::default);
    if threads > 1 {
        tapes.par_iter_mut().enumerate().for_each(|(h, tape)| work(h, tape));
    } else {
        tapes.iter_mut().enumerate().for_each(|(h, tape)| work(h, tape));
    }
}

/// Copies a dense matrix into columns of a row-major one.
fn put(columns: &[f32], dim: usize, out: &mut [f32], width: usize, at: usize) {
    for (row, out) in columns.chunks_exact(dim).zip(out.chunks_exact_mut(width)) {
        out[at..at + dim].copy_from_slice(row);
    }
}

/// `out = softmax(scale q k^T) v` per trie and head; the probabilities stay in the tapes for the way back.
#[expect(clippy::too_many_arguments, reason = "attention has four operands and two results")]
pub fn forward(
    heads: Heads,
    view: View<'_>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    tapes: &mut Vec<HeadTape>,
    out: &mut [f32],
    threads: usize,
) {
    let (width, kv, dim) = (heads.width(), heads.kv_width(), heads.dim);
    let View { pack, rows, .. } = view;
    let all = rows.count(pack);
    let kept = heads.group() * scores(pack, rows).sum::<usize>();
    each_head(heads, tapes, threads, |kv_head, t| {
        fit(&mut t.p, kept);
        fit(&mut t.group, heads.group() * all * dim);
        let mut at = 0;
        for tree in &pack.trees {
            let (kh, vh) = (&k[tree.start * kv + kv_head * dim..], &v[tree.start * kv + kv_head * dim..]);
            for (block, n) in blocks(pack, rows, tree) {
                let m = block.len();
                for g in 0..heads.group() {
                    let head = kv_head * heads.group() + g;
                    let scores = &mut t.p[at..at + m * n];
                    at += m * n;
                    let qh = Matrix::strided(&q[block.start * width + head * dim..], m, dim, width);
                    let kh = Matrix::strided(kh, n, dim, kv);
                    product(MatrixMut::new(scores, m, n), qh, kh.t(), heads.scale, false, 1);
                    if let Some(cap) = heads.cap {
                        soft_cap(scores, cap);
                    }
                    for (row, scores) in block.clone().zip(scores.chunks_exact_mut(n)) {
                        masked_softmax(scores, view, tree.start, rows.node(pack, row));
                    }
                    let vh = Matrix::strided(vh, n, dim, kv);
                    let oh = MatrixMut::new(&mut t.group[(g * all + block.start) * dim..], m, dim);
                    product(oh, Matrix::new(scores, m, n), vh, 1.0, false, 1);
                }
            }
        }
    });
    let groups = tapes.iter().flat_map(|t| t.group.chunks_exact(all * dim));
    groups.enumerate().for_each(|(head, columns)| put(columns, dim, out, width, head * dim));
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

/// Backward of [`forward`]: writes `dq`, `dk` and `dv`.
#[expect(clippy::too_many_arguments, reason = "attention has four operands and as many gradients")]
pub fn backward(
    heads: Heads,
    view: View<'_>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    tapes: &mut Vec<HeadTape>,
    dout: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    threads: usize,
) {
    let (width, kv, dim) = (heads.width(), heads.kv_width(), heads.dim);
    let View { pack, rows, .. } = view;
    let scale = heads.scale;
    let all = rows.count(pack);
    each_head(heads, tapes, threads, |kv_head, t| {
        let HeadTape { p, group, kv: [own_dk, own_dv], ds, capped } = t;
        fit(group, heads.group() * all * dim);
        for gradient in [&mut *own_dk, own_dv] {
            zeroed(gradient, pack.len() * dim);
        }
        let mut at = 0;
        for tree in &pack.trees {
            let keys = tree.start * kv + kv_head * dim;
            for (block, n) in blocks(pack, rows, tree) {
                let m = block.len();
                fit(ds, m * n);
                for g in 0..heads.group() {
                    let probabilities = &p[at..at + m * n];
                    at += m * n;
                    let queries = block.start * width + (kv_head * heads.group() + g) * dim;
                    let doh = Matrix::strided(&dout[queries..], m, dim, width);
                    let qh = Matrix::strided(&q[queries..], m, dim, width);
                    let (kh, vh) = (Matrix::strided(&k[keys..], n, dim, kv), Matrix::strided(&v[keys..], n, dim, kv));
                    let ph = Matrix::new(probabilities, m, n);
                    let own = tree.start * dim;
                    product(MatrixMut::new(&mut own_dv[own..], n, dim), ph.t(), doh, 1.0, true, 1);
                    product(MatrixMut::new(ds, m, n), doh, vh.t(), 1.0, false, 1);
                    for (ds, p) in ds.chunks_exact_mut(n).zip(probabilities.chunks_exact(n)) {
                        let along = dot(ds, p);
                        ds.iter_mut().zip(p).for_each(|(d, p)| *d = p * (*d - along));
                    }
                    if let Some(cap) = heads.cap {
                        // The probabilities do not tell what the capped scores were.
                        fit(capped, m * n);
                        product(MatrixMut::new(capped, m, n), qh, kh.t(), scale, false, 1);
                        soft_cap(capped, cap);
                        soft_cap_back(capped, cap, ds);
                    }
                    let s = Matrix::new(ds, m, n);
                    let dqh = MatrixMut::new(&mut group[(g * all + block.start) * dim..], m, dim);
                    product(dqh, s, kh, scale, false, 1);
                    product(MatrixMut::new(&mut own_dk[own..], n, dim), s.t(), qh, scale, true, 1);
                }
            }
        }
    });
    for (kv_head, t) in tapes.iter().enumerate() {
        for (g, columns) in t.group.chunks_exact(all * dim).enumerate() {
            put(columns, dim, dq, width, (kv_head * heads.group() + g) * dim);
        }
        put(&t.kv[0], dim, dk, kv, kv_head * dim);
        put(&t.kv[1], dim, dv, kv, kv_head * dim);
    }
}
