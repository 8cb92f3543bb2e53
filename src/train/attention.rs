//! Grouped-query attention under the trie mask, forward and backward, one trie at a time.

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

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
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

    fn of_tree(self, pack: &Pack, tree: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        match self {
            Self::All => tree.clone(),
            Self::Outputs => pack.outputs_of(tree),
        }
    }
}

/// `out = softmax(q k^T / sqrt(dim)) v` per trie and head; the probabilities stay in `p` for the way back.
#[expect(clippy::too_many_arguments, reason = "attention has four operands and two results")]
pub fn forward(heads: Heads, pack: &Pack, rows: Rows, q: &[f32], k: &[f32], v: &[f32], p: &mut Vec<f32>, out: &mut [f32]) {
    let (width, kv, dim) = (heads.width(), heads.kv_width(), heads.dim);
    p.clear();
    for tree in &pack.trees {
        let range = rows.of_tree(pack, tree);
        let (m, n) = (range.len(), tree.len());
        if m == 0 {
            continue;
        }
        let ends = &pack.ends[tree.clone()];
        for (_, qc, kc) in heads.each() {
            let at = p.len();
            p.resize(at + m * n, 0.0);
            let scores = &mut p[at..];
            let qh = Matrix::strided(&q[range.start * width + qc..], m, dim, width);
            let kh = Matrix::strided(&k[tree.start * kv + kc..], n, dim, kv);
            product(MatrixMut::new(scores, m, n), qh, kh.t(), heads.scale(), false, 1);
            for (row, scores) in range.clone().zip(scores.chunks_exact_mut(n)) {
                masked_softmax(scores, ends, rows.node(pack, row) - tree.start, tree.start);
            }
            let vh = Matrix::strided(&v[tree.start * kv + kc..], n, dim, kv);
            let oh = MatrixMut::strided(&mut out[range.start * width + qc..], m, dim, width);
            product(oh, Matrix::new(scores, m, n), vh, 1.0, false, 1);
        }
    }
}

/// Softmax over the nodes that node `i` sees; zero elsewhere.
fn masked_softmax(scores: &mut [f32], ends: &[u32], i: usize, start: usize) {
    let (seen, beyond) = scores.split_at_mut(i + 1);
    beyond.fill(0.0);
    let node = (start + i) as u32;
    let mut max = f32::NEG_INFINITY;
    for (s, &end) in seen.iter_mut().zip(ends) {
        *s = if end > node { *s } else { f32::NEG_INFINITY };
        max = max.max(*s);
    }
    let mut total = 0.0;
    for s in seen.iter_mut() {
        let e = super::kernels::exp(*s - max);
        *s = if *s == f32::NEG_INFINITY { 0.0 } else { e };
        total += *s;
    }
    let inverse = 1.0 / total;
    seen.iter_mut().for_each(|s| *s *= inverse);
}

/// Backward of [`forward`]: writes `dq`, adds to `dk` and `dv`. `p` is consumed as scratch.
#[expect(clippy::too_many_arguments, reason = "attention has four operands and as many gradients")]
pub fn backward(
    heads: Heads,
    pack: &Pack,
    rows: Rows,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    p: &[f32],
    dout: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    ds: &mut Vec<f32>,
) {
    let (width, kv, dim) = (heads.width(), heads.kv_width(), heads.dim);
    let mut at = 0;
    for tree in &pack.trees {
        let range = rows.of_tree(pack, tree);
        let (m, n) = (range.len(), tree.len());
        if m == 0 {
            continue;
        }
        ds.resize(m * n, 0.0);
        for (_, qc, kc) in heads.each() {
            let probabilities = &p[at..at + m * n];
            at += m * n;
            let (qo, ko) = (range.start * width + qc, tree.start * kv + kc);
            let doh = Matrix::strided(&dout[qo..], m, dim, width);
            let ph = Matrix::new(probabilities, m, n);
            product(MatrixMut::strided(&mut dv[ko..], n, dim, kv), ph.t(), doh, 1.0, true, 1);
            product(MatrixMut::new(ds, m, n), doh, Matrix::strided(&v[ko..], n, dim, kv).t(), 1.0, false, 1);
            for (ds, p) in ds.chunks_exact_mut(n).zip(probabilities.chunks_exact(n)) {
                let dot: f32 = ds.iter().zip(p).map(|(d, p)| d * p).sum();
                ds.iter_mut().zip(p).for_each(|(d, p)| *d = p * (*d - dot));
            }
            let s = Matrix::new(ds, m, n);
            let scale = heads.scale();
            product(MatrixMut::strided(&mut dq[qo..], m, dim, width), s, Matrix::strided(&k[ko..], n, dim, kv), scale, false, 1);
            product(MatrixMut::strided(&mut dk[ko..], n, dim, kv), s.t(), Matrix::strided(&q[qo..], m, dim, width), scale, true, 1);
        }
    }
}
