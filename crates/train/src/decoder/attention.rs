//! Grouped-query attention under the trie mask, forward and backward.
//!
//! It works on one key-value head and one part of the queries at a time. Heads and parts run side by side. Their number
//! depends on the model alone, and so does the order of every sum.

use std::ops::Range;

use probity_engine::numeric::{Matrix, MatrixMut, product};
use rayon::prelude::*;

use super::kernels::{add, dot, each_row, exp, fit, max, soft_cap, soft_cap_back, sum, zeroed};
use super::pack::Pack;

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

    /// Parts that each head's queries are cut into.
    ///
    /// Few heads alone would leave processors idle.
    fn parts(&self) -> usize {
        /// Pieces of work at least.
        const PIECES: usize = 8;
        PIECES.div_ceil(self.n_head_kv)
    }
}

/// The node of each row of `q`: all nodes, or the outputs in the last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryRows {
    /// Row `i` is node `i`.
    All,
    /// Row `i` is the `i`-th output.
    Outputs,
}

impl QueryRows {
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

/// Query rows handled at a time, against the keys that any of them sees.
const BLOCK: usize = 64;

/// What each query sees: itself and its ancestors, no more than a window of them.
#[derive(Debug)]
pub struct View<'a> {
    pack: &'a Pack,
    rows: QueryRows,
    window: Option<usize>,
    spans: Vec<Span>,
}

/// A block of query rows, and the union of the keys that they see.
///
/// In a batch of many branches this is a small part.
#[derive(Debug)]
struct Span {
    rows: Range<usize>,
    /// Nodes, ascending.
    keys: Vec<u32>,
    /// Where their subtrees end.
    ends: Vec<u32>,
}

impl<'a> View<'a> {
    /// The view of `rows` through a window in tokens; `None` for no window.
    ///
    /// The window includes the query's own token.
    #[must_use]
    pub fn new(pack: &'a Pack, rows: QueryRows, window: Option<usize>) -> Self {
        let mut spans = Vec::new();
        for tree in &pack.trees {
            let range = rows.of_tree(pack, tree);
            for first in range.clone().step_by(BLOCK) {
                let block = first..(first + BLOCK).min(range.end);
                let nodes: Vec<u32> = block.clone().map(|row| rows.node(pack, row) as u32).collect();
                let sees = |key: u32| {
                    let below = &nodes[nodes.partition_point(|&node| node < key)..];
                    let mut inside = below.iter().take_while(|&&node| node < pack.ends[key as usize]);
                    inside.any(|&node| near(pack, window, node, key))
                };
                let keys: Vec<u32> = (tree.start as u32..=nodes[nodes.len() - 1]).filter(|&key| sees(key)).collect();
                let ends = keys.iter().map(|&key| pack.ends[key as usize]).collect();
                spans.push(Span { rows: block, keys, ends });
            }
        }
        Self { pack, rows, window, spans }
    }

    /// The batch.
    #[must_use]
    pub fn pack(&self) -> &'a Pack {
        self.pack
    }

    /// The queries.
    #[must_use]
    pub fn rows(&self) -> QueryRows {
        self.rows
    }

    /// The spans of one of some parts.
    fn part(&self, part: usize, parts: usize) -> &[Span] {
        let at = |part| self.spans.len() * part / parts;
        &self.spans[at(part)..at(part + 1)]
    }

    /// Sizes of the spans' score matrices.
    fn scores(&self) -> impl Iterator<Item = usize> {
        self.spans.iter().map(|span| span.rows.len() * span.keys.len())
    }

    /// Products of a query with a key, one head's.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.scores().sum()
    }
}

/// The rows of consecutive spans.
fn rows(spans: &[Span]) -> Range<usize> {
    match spans {
        [first, .., last] => first.rows.start..last.rows.end,
        [only] => only.rows.clone(),
        [] => 0..0,
    }
}

/// Whether an ancestor is within the window.
fn near(pack: &Pack, window: Option<usize>, node: u32, key: u32) -> bool {
    window.is_none_or(|w| ((pack.positions[node as usize] - pack.positions[key as usize]) as usize) < w)
}

/// Floats that [`HeadTape`]s hold after a pass forth and back.
pub fn floats(heads: Heads, view: &View<'_>) -> usize {
    let parts = heads.parts();
    let columns = view.rows.count(view.pack) * heads.width() + 2 * parts * view.pack.len() * heads.kv_width();
    let of_part = |part| {
        let spans = view.part(part, parts);
        let keys = spans.iter().map(|span| span.keys.len()).max().unwrap_or(0);
        let scores = spans.iter().map(|span| span.rows.len() * span.keys.len()).max().unwrap_or(0);
        scores * if heads.cap.is_some() { 2 } else { 1 } + 4 * keys * heads.dim
    };
    heads.n_head * view.pairs() + columns + heads.n_head_kv * (0..parts).map(of_part).sum::<usize>()
}

/// Tape and workspace of a part of a key-value head's queries.
///
/// Each may run on its own thread.
#[derive(Debug, Default)]
pub struct HeadTape {
    /// Probabilities: span by span, query head by query head.
    p: Vec<f32>,
    /// Outputs of its query heads, or the gradients of their queries.
    ///
    /// Each is a matrix of its own.
    group: Vec<f32>,
    /// Keys and values of a span, and their gradients.
    span: [Vec<f32>; 4],
    /// Gradients of its keys and values.
    kv: [Vec<f32>; 2],
    ds: Vec<f32>,
    capped: Vec<f32>,
}

/// Calls `work` for every part of every key-value head, with its tape.
fn each_part(
    heads: Heads,
    tapes: &mut Vec<HeadTape>,
    threads: usize,
    work: impl Fn(usize, usize, &mut HeadTape) + Sync,
) {
    let parts = heads.parts();
    tapes.resize_with(heads.n_head_kv * parts, HeadTape::default);
    if threads > 1 {
        tapes.par_iter_mut().enumerate().for_each(|(i, tape)| work(i / parts, i % parts, tape));
    } else {
        tapes.iter_mut().enumerate().for_each(|(i, tape)| work(i / parts, i % parts, tape));
    }
}

/// Makes the query heads' outputs, part by part, the columns of one matrix.
fn join(heads: Heads, view: &View<'_>, tapes: &[HeadTape], out: &mut [f32], threads: usize) {
    let (width, dim, parts) = (heads.width(), heads.dim, heads.parts());
    for part in 0..parts {
        let rows = rows(view.part(part, parts));
        let tapes = tapes.iter().skip(part).step_by(parts);
        let columns: Vec<&[f32]> = tapes.flat_map(|t| t.group.chunks_exact((rows.len() * dim).max(1))).collect();
        each_row(&mut out[rows.start * width..rows.end * width], width, threads, |i, row| {
            for (head, column) in row.chunks_exact_mut(dim).zip(&columns) {
                head.copy_from_slice(&column[i * dim..][..dim]);
            }
        });
    }
}

/// Adds up what the parts of each head found for its keys or values, in order.
fn add_up(heads: Heads, tapes: &[HeadTape], which: usize, out: &mut [f32], threads: usize) {
    let (dim, parts) = (heads.dim, heads.parts());
    each_row(out, heads.kv_width(), threads, |i, row| {
        for (head, tapes) in row.chunks_exact_mut(dim).zip(tapes.chunks_exact(parts)) {
            let mut found = tapes.iter().map(|tape| &tape.kv[which][i * dim..][..dim]);
            head.copy_from_slice(found.next().expect("at least one part"));
            found.for_each(|more| add(head, more));
        }
    });
}

impl Span {
    /// One head's keys or values, of those that the span sees, copied together.
    fn take<'a>(&self, heads: Heads, kv_head: usize, x: &[f32], room: &'a mut Vec<f32>) -> Matrix<'a> {
        let (dim, width) = (heads.dim, heads.kv_width());
        fit(room, self.keys.len() * dim);
        for (room, &key) in room.chunks_exact_mut(dim).zip(&self.keys) {
            room.copy_from_slice(&x[key as usize * width + kv_head * dim..][..dim]);
        }
        Matrix::new(room, self.keys.len(), dim)
    }
}

/// `out = softmax(scale q k^T) v` per trie and head.
///
/// The tapes keep the probabilities for the backward pass.
#[expect(clippy::too_many_arguments, reason = "attention has four operands and two results")]
pub fn forward(
    heads: Heads,
    view: &View<'_>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    tapes: &mut Vec<HeadTape>,
    out: &mut [f32],
    threads: usize,
) {
    let (width, dim) = (heads.width(), heads.dim);
    each_part(heads, tapes, threads, |kv_head, part, t| {
        let spans = view.part(part, heads.parts());
        let (from, all) = (rows(spans).start, rows(spans).len());
        fit(&mut t.p, heads.group() * spans.iter().map(|span| span.rows.len() * span.keys.len()).sum::<usize>());
        fit(&mut t.group, heads.group() * all * dim);
        let [own_k, own_v, ..] = &mut t.span;
        let mut rest = t.p.as_mut_slice();
        for span in spans {
            let (m, n) = (span.rows.len(), span.keys.len());
            let [kh, vh] = [(k, &mut *own_k), (v, &mut *own_v)].map(|(x, room)| span.take(heads, kv_head, x, room));
            for g in 0..heads.group() {
                let scores;
                (scores, rest) = rest.split_at_mut(m * n);
                let queries = span.rows.start * width + (kv_head * heads.group() + g) * dim;
                let qh = Matrix::strided(&q[queries..], m, dim, width);
                product(MatrixMut::new(scores, m, n), qh, kh.t(), heads.scale, false, 1);
                if let Some(cap) = heads.cap {
                    soft_cap(scores, cap);
                }
                for (row, scores) in span.rows.clone().zip(scores.chunks_exact_mut(n)) {
                    masked_softmax(scores, view, span, view.rows.node(view.pack, row) as u32);
                }
                let oh = MatrixMut::new(&mut t.group[(g * all + span.rows.start - from) * dim..], m, dim);
                product(oh, Matrix::new(scores, m, n), vh, 1.0, false, 1);
            }
        }
    });
    join(heads, view, tapes, out, threads);
}

/// Softmax over those of a span's keys that a node sees; zero elsewhere.
fn masked_softmax(scores: &mut [f32], view: &View<'_>, span: &Span, node: u32) {
    // Far below every real score, yet finite: its exponential is 0 without a special case.
    const HIDDEN: f32 = -1e30;
    let (seen, beyond) = scores.split_at_mut(span.keys.partition_point(|&key| key <= node));
    beyond.fill(0.0);
    for (s, &end) in seen.iter_mut().zip(&span.ends) {
        *s = if end > node { *s } else { HIDDEN };
    }
    if view.window.is_some() {
        for ((s, &key), &end) in seen.iter_mut().zip(&span.keys).zip(&span.ends) {
            *s = if end > node && near(view.pack, view.window, node, key) { *s } else { HIDDEN };
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
    view: &View<'_>,
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
    let (width, dim) = (heads.width(), heads.dim);
    each_part(heads, tapes, threads, |kv_head, part, t| {
        let spans = view.part(part, heads.parts());
        let (from, all) = (rows(spans).start, rows(spans).len());
        let HeadTape { p, group, span: [own_k, own_v, span_dk, span_dv], kv: [own_dk, own_dv], ds, capped } = t;
        fit(group, heads.group() * all * dim);
        zeroed(own_dk, view.pack.len() * dim);
        zeroed(own_dv, view.pack.len() * dim);
        let mut rest = p.as_slice();
        for span in spans {
            let (m, n) = (span.rows.len(), span.keys.len());
            let [kh, vh] = [(k, &mut *own_k), (v, &mut *own_v)].map(|(x, room)| span.take(heads, kv_head, x, room));
            zeroed(span_dk, n * dim);
            zeroed(span_dv, n * dim);
            fit(ds, m * n);
            for g in 0..heads.group() {
                let probabilities;
                (probabilities, rest) = rest.split_at(m * n);
                let queries = span.rows.start * width + (kv_head * heads.group() + g) * dim;
                let doh = Matrix::strided(&dout[queries..], m, dim, width);
                let qh = Matrix::strided(&q[queries..], m, dim, width);
                let ph = Matrix::new(probabilities, m, n);
                product(MatrixMut::new(span_dv, n, dim), ph.t(), doh, 1.0, true, 1);
                product(MatrixMut::new(ds, m, n), doh, vh.t(), 1.0, false, 1);
                for (ds, p) in ds.chunks_exact_mut(n).zip(probabilities.chunks_exact(n)) {
                    let along = dot(ds, p);
                    ds.iter_mut().zip(p).for_each(|(d, p)| *d = p * (*d - along));
                }
                if let Some(cap) = heads.cap {
                    // The capped scores cannot be recovered from the probabilities.
                    fit(capped, m * n);
                    product(MatrixMut::new(capped, m, n), qh, kh.t(), heads.scale, false, 1);
                    soft_cap(capped, cap);
                    soft_cap_back(capped, cap, ds);
                }
                let s = Matrix::new(ds, m, n);
                let dqh = MatrixMut::new(&mut group[(g * all + span.rows.start - from) * dim..], m, dim);
                product(dqh, s, kh, heads.scale, false, 1);
                product(MatrixMut::new(span_dk, n, dim), s.t(), qh, heads.scale, true, 1);
            }
            for (own, gradient) in [(&mut *own_dk, &*span_dk), (own_dv, span_dv)] {
                for (gradient, &key) in gradient.chunks_exact(dim).zip(&span.keys) {
                    add(&mut own[key as usize * dim..][..dim], gradient);
                }
            }
        }
    });
    join(heads, view, tapes, dq, threads);
    for (which, out) in [dk, dv].into_iter().enumerate() {
        add_up(heads, tapes, which, out, threads);
    }
}
