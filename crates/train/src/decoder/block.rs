//! A decoder block: attention and feed-forward, with norms and residuals.
//!
//! RMS norm, grouped-query attention with rotary positions, gated feed-forward. The architectures differ in optional
//! parts: norms of heads and of the layers' outputs, a window, the gate.

use std::sync::Arc;

use super::attention::{self, HeadTape, Heads, QueryRows, View};
use super::kernels::{
    add, add_all, copy, fit, geglu, geglu_back, geglu_by_table, rms_norm, rms_norm_back, swiglu, swiglu_back, zeroed,
};
use super::linear::{Linear, Onto, Pass, Weight};
use super::pack::Pack;
use super::rope::Rope;

/// The weights of one block.
#[derive(Debug, Clone)]
pub struct Block {
    /// Gain of the norm before attention.
    pub attn_norm: Weight,
    /// Gain of the norm before the feed-forward layer.
    pub ffn_norm: Weight,
    /// Gains of the norms of every head's queries and keys.
    pub head_norms: Option<[Weight; 2]>,
    /// Gains of the norms after attention and after the feed-forward layer.
    pub post_norms: Option<[Weight; 2]>,
    /// Rotary positions.
    pub rope: Arc<Rope>,
    /// How many of the last tokens it sees.
    pub window: Option<usize>,
    /// Query, key, value and output projections.
    pub q: Linear,
    /// Keys.
    pub k: Linear,
    /// Values.
    pub v: Linear,
    /// Back to the residual stream.
    pub o: Linear,
    /// Gate of the feed-forward layer.
    pub gate: Linear,
    /// Its other half.
    pub up: Linear,
    /// Back to the residual stream.
    pub down: Linear,
}

/// The GGUF names of a block's linear layers, the targets of adapters.
pub const LINEARS: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

impl Block {
    /// The linear layers with their names.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Linear)> {
        let Self { q, k, v, o, gate, up, down, .. } = self;
        LINEARS.into_iter().zip([q, k, v, o, gate, up, down])
    }

    /// The same, to read.
    pub fn linears(&self) -> impl Iterator<Item = (&'static str, &Linear)> {
        let Self { q, k, v, o, gate, up, down, .. } = self;
        LINEARS.into_iter().zip([q, k, v, o, gate, up, down])
    }
}

/// What all blocks of a decoder have in common.
#[derive(Debug, Clone)]
pub struct Common {
    /// Width of the residual stream.
    pub width: usize,
    /// Epsilon of the norms.
    pub eps: f32,
    /// The attention's widths.
    pub heads: Heads,
    /// What opens the gate of the feed-forward layer.
    pub gate: Gate,
}

/// The function on the gate of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// `x sigmoid(x)`.
    Silu,
    /// The tanh form of GELU.
    Gelu,
}

/// What the way back needs of the way forth.
///
/// Buffers keep their size from step to step.
#[derive(Debug, Default)]
pub struct BlockTape {
    x: Vec<f32>,
    xn: Vec<f32>,
    xq: Vec<f32>,
    /// Queries and keys before their norms, where they have some.
    raw: [Vec<f32>; 2],
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attention: Vec<HeadTape>,
    attended: Vec<f32>,
    /// Outputs of attention and feed-forward before their norms, if any.
    out: [Vec<f32>; 2],
    x2: Vec<f32>,
    xn2: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    act: Vec<f32>,
    h: [Vec<f32>; 7],
}

/// Buffers that live only within one block's backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct BlockScratch {
    gain: Vec<f32>,
    dact: Vec<f32>,
    dup: Vec<f32>,
    dxn: Vec<f32>,
    dxq: Vec<f32>,
    datt: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    draw: Vec<f32>,
    dx2: Vec<f32>,
    dh: Vec<f32>,
}

impl Block {
    /// Floats that a [`BlockTape`] holds after a pass forth and back.
    pub fn tape_floats(&self, c: &Common, view: &View<'_>) -> usize {
        let (pack, rows) = (view.pack(), view.rows());
        let (n, m) = (pack.len(), rows.count(pack));
        let (d, w, kv, ff) = (c.width, c.heads.width(), c.heads.kv_width(), self.gate.n_out);
        let raw = if self.head_norms.is_some() { m * w + n * kv } else { 0 };
        let out = if self.post_norms.is_some() { 2 * m * d } else { 0 };
        let rank = |linear: &Linear| linear.lora.as_ref().map_or(0, |lora| lora.rank);
        let lora = n * (rank(&self.k) + rank(&self.v))
            + m * [&self.q, &self.o, &self.gate, &self.up, &self.down].map(rank).iter().sum::<usize>();
        let stream = 2 * n * d + if rows == QueryRows::All { 2 } else { 3 } * m * d;
        stream + raw + out + 2 * m * w + 2 * n * kv + 3 * m * ff + lora + attention::floats(c.heads, view)
    }

    /// Floats that a [`BlockScratch`] holds after a pass forth and back.
    pub fn scratch_floats(&self, c: &Common, pack: &Pack, rows: QueryRows) -> usize {
        let (n, m) = (pack.len(), rows.count(pack));
        let (d, w, kv, ff) = (c.width, c.heads.width(), c.heads.kv_width(), self.gate.n_out);
        let draw = match (&self.head_norms, &self.post_norms) {
            (None, None) => 0,
            (None, Some(_)) => m * d,
            (Some(_), _) => (m * d).max(m * w).max(n * kv),
        };
        2 * m * ff + n * d + 2 * m * d + 2 * m * w + 2 * n * kv + draw
    }
}

impl Block {
    /// Replaces `x` (a row a node) by the block's output (a row a row of the view).
    ///
    /// The view is that of its window.
    pub fn forward(
        &self,
        c: &Common,
        pass: &mut Pass<'_>,
        view: &View<'_>,
        x: &mut Vec<f32>,
        t: &mut BlockTape,
        s: &mut BlockScratch,
    ) {
        let (pack, rows) = (view.pack(), view.rows());
        let (d, n, m) = (c.width, pack.len(), rows.count(pack));
        std::mem::swap(&mut t.x, x);
        fit(&mut t.xn, n * d);
        rms_norm(&t.x, self.attn_norm.read(d, pass.theta, &mut s.gain), c.eps, &mut t.xn, pass.threads);
        self.k.forward(pass, &t.xn, n, &mut t.k, &mut t.h[1]);
        self.v.forward(pass, &t.xn, n, &mut t.v, &mut t.h[2]);
        if rows == QueryRows::Outputs {
            fit(&mut t.xq, m * d);
            picked(&t.xn, d, pack).zip(t.xq.chunks_exact_mut(d)).for_each(|(x, xq)| xq.copy_from_slice(x));
        }
        let xq = if rows == QueryRows::All { &t.xn } else { &t.xq };
        self.q.forward(pass, xq, m, &mut t.q, &mut t.h[0]);
        if let Some(norms) = &self.head_norms {
            for ((norm, x), raw) in norms.iter().zip([&mut t.q, &mut t.k]).zip(&mut t.raw) {
                copy(raw, x, pass.threads);
                rms_norm(raw, norm.read(c.heads.dim, pass.theta, &mut s.gain), c.eps, x, pass.threads);
            }
        }
        let position = |node: usize| pack.positions[node] as usize;
        let threads = pass.threads;
        self.rope.rotate(&mut t.q, c.heads.width(), |row| position(rows.node(pack, row)), true, threads);
        self.rope.rotate(&mut t.k, c.heads.kv_width(), position, true, threads);
        fit(&mut t.attended, m * c.heads.width());
        attention::forward(c.heads, view, &t.q, &t.k, &t.v, &mut t.attention, &mut t.attended, pass.threads);

        self.o.forward(pass, &t.attended, m, x, &mut t.h[3]);
        if let Some([norm, _]) = &self.post_norms {
            copy(&mut t.out[0], x, threads);
            rms_norm(&t.out[0], norm.read(d, pass.theta, &mut s.gain), c.eps, x, pass.threads);
        }
        copy(&mut t.x2, x, threads);
        match rows {
            QueryRows::All => add_all(&mut t.x2, &t.x, threads),
            QueryRows::Outputs => picked(&t.x, d, pack).zip(t.x2.chunks_exact_mut(d)).for_each(|(x, x2)| add(x2, x)),
        }
        fit(&mut t.xn2, m * d);
        rms_norm(&t.x2, self.ffn_norm.read(d, pass.theta, &mut s.gain), c.eps, &mut t.xn2, pass.threads);
        self.gate.forward(pass, &t.xn2, m, &mut t.gate, &mut t.h[4]);
        self.up.forward(pass, &t.xn2, m, &mut t.up, &mut t.h[5]);
        fit(&mut t.act, m * self.gate.n_out);
        match c.gate {
            Gate::Silu => swiglu(&t.gate, &t.up, &mut t.act, pass.threads),
            Gate::Gelu if pass.as_engine && matches!(self.down.weight, Weight::Stored(..)) => {
                geglu_by_table(&t.gate, &t.up, &mut t.act, pass.threads);
            }
            Gate::Gelu => geglu(&t.gate, &t.up, &mut t.act, pass.threads),
        }
        self.down.forward(pass, &t.act, m, x, &mut t.h[6]);
        if let Some([_, norm]) = &self.post_norms {
            copy(&mut t.out[1], x, threads);
            rms_norm(&t.out[1], norm.read(d, pass.theta, &mut s.gain), c.eps, x, pass.threads);
        }
        add_all(x, &t.x2, threads);
    }

    /// Turns `dy` into the input's gradient, and adds parameters' to `grads`.
    #[expect(clippy::too_many_arguments, reason = "the forward pass's operands and the two gradients")]
    pub fn backward(
        &self,
        c: &Common,
        pass: &mut Pass<'_>,
        view: &View<'_>,
        dy: &mut Vec<f32>,
        t: &mut BlockTape,
        s: &mut BlockScratch,
        grads: &mut [f32],
    ) {
        let (pack, rows) = (view.pack(), view.rows());
        let (d, n, m, ff) = (c.width, pack.len(), rows.count(pack), self.gate.n_out);
        let threads = pass.threads;
        fit(&mut s.dact, m * ff);
        let dact = &mut s.dact;
        let through = match &self.post_norms {
            None => &*dy,
            Some([_, norm]) => {
                let draw = zeroed(&mut s.draw, m * d);
                let gain = norm.read(d, pass.theta, &mut s.gain);
                rms_norm_back(&t.out[1], gain, c.eps, dy, draw, trained(norm, grads), pass.threads);
                &*draw
            }
        };
        self.down.backward(pass, &t.act, &t.h[6], m, through, Onto::Whatever(dact), grads, &mut s.dh);
        fit(&mut s.dup, m * ff);
        match c.gate {
            Gate::Silu => swiglu_back(&t.gate, &t.up, dact, &mut s.dup, pass.threads),
            Gate::Gelu => geglu_back(&t.gate, &t.up, dact, &mut s.dup, pass.threads),
        }
        fit(&mut s.dxq, m * d);
        let dxn2 = &mut s.dxq;
        self.gate.backward(pass, &t.xn2, &t.h[4], m, dact, Onto::Whatever(dxn2), grads, &mut s.dh);
        self.up.backward(pass, &t.xn2, &t.h[5], m, &s.dup, Onto::Sum(dxn2), grads, &mut s.dh);
        // The residual carries dy on as it is.
        copy(&mut s.dx2, dy, threads);
        let gain = self.ffn_norm.read(d, pass.theta, &mut s.gain);
        rms_norm_back(&t.x2, gain, c.eps, dxn2, &mut s.dx2, trained(&self.ffn_norm, grads), pass.threads);

        fit(&mut s.datt, m * c.heads.width());
        let datt = &mut s.datt;
        let through = match &self.post_norms {
            None => &s.dx2,
            Some([norm, _]) => {
                let draw = zeroed(&mut s.draw, m * d);
                let gain = norm.read(d, pass.theta, &mut s.gain);
                rms_norm_back(&t.out[0], gain, c.eps, &s.dx2, draw, trained(norm, grads), pass.threads);
                &*draw
            }
        };
        self.o.backward(pass, &t.attended, &t.h[3], m, through, Onto::Whatever(datt), grads, &mut s.dh);
        fit(&mut s.dq, m * c.heads.width());
        fit(&mut s.dk, n * c.heads.kv_width());
        fit(&mut s.dv, n * c.heads.kv_width());
        let (dk, dv) = (&mut s.dk, &mut s.dv);
        attention::backward(c.heads, view, &t.q, &t.k, &t.v, &mut t.attention, datt, &mut s.dq, dk, dv, threads);
        let position = |node: usize| pack.positions[node] as usize;
        self.rope.rotate(&mut s.dq, c.heads.width(), |row| position(rows.node(pack, row)), false, threads);
        self.rope.rotate(dk, c.heads.kv_width(), position, false, threads);
        if let Some(norms) = &self.head_norms {
            for ((norm, raw), dx) in norms.iter().zip(&t.raw).zip([&mut s.dq, &mut *dk]) {
                let draw = zeroed(&mut s.draw, raw.len());
                let gain = norm.read(c.heads.dim, pass.theta, &mut s.gain);
                rms_norm_back(raw, gain, c.eps, dx, draw, trained(norm, grads), pass.threads);
                dx.copy_from_slice(draw);
            }
        }

        fit(&mut s.dxn, n * d);
        let dxn = &mut s.dxn;
        self.k.backward(pass, &t.xn, &t.h[1], n, dk, Onto::Whatever(dxn), grads, &mut s.dh);
        self.v.backward(pass, &t.xn, &t.h[2], n, dv, Onto::Sum(dxn), grads, &mut s.dh);
        match rows {
            QueryRows::All => {
                self.q.backward(pass, &t.xn, &t.h[0], m, &s.dq, Onto::Sum(dxn), grads, &mut s.dh);
                copy(dy, &s.dx2, threads);
            }
            QueryRows::Outputs => {
                fit(&mut s.dxq, m * d);
                self.q.backward(pass, &t.xq, &t.h[0], m, &s.dq, Onto::Whatever(&mut s.dxq), grads, &mut s.dh);
                scatter_add(&s.dxq, d, pack, dxn);
                scatter_add(&s.dx2, d, pack, zeroed(dy, n * d));
            }
        }
        let dx = dy;
        let gain = self.attn_norm.read(d, pass.theta, &mut s.gain);
        rms_norm_back(&t.x, gain, c.eps, dxn, dx, trained(&self.attn_norm, grads), pass.threads);
    }
}

/// The gradient range of a weight that is trained.
pub fn trained<'a>(weight: &Weight, grads: &'a mut [f32]) -> Option<&'a mut [f32]> {
    match weight {
        Weight::Trained(range) => Some(&mut grads[range.clone()]),
        Weight::Stored(..) => None,
    }
}

/// The rows of the outputs among those of the nodes.
fn picked<'a>(x: &'a [f32], d: usize, pack: &'a Pack) -> impl Iterator<Item = &'a [f32]> {
    pack.outputs.iter().map(move |&o| &x[o as usize * d..][..d])
}

/// Adds the rows of the outputs to those of the nodes.
fn scatter_add(x: &[f32], d: usize, pack: &Pack, out: &mut [f32]) {
    for (x, &o) in x.chunks_exact(d).zip(&pack.outputs) {
        add(&mut out[o as usize * d..][..d], x);
    }
}
