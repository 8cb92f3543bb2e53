//! The decoder: embedding, blocks, final norm, head at requested rows.

mod assemble;
mod attention;
mod block;
mod cost;
pub mod kernels;
mod linear;
mod pack;
mod rope;

pub use block::LINEARS;
pub use linear::Compute;
pub use pack::Pack;

use std::ops::Range;

use attention::{QueryRows, View};
use block::{Block, BlockScratch, BlockTape, Common, trained};
use kernels::{add, copy, fit, rms_norm, rms_norm_back, soft_cap, soft_cap_back, zeroed};
use linear::{Linear, Onto, Pass, Weight};

use probity_engine::gguf::GgmlType;
use probity_engine::numeric::{Panels, decode};
use probity_engine::preflight::ModelShape;

/// Tokens of the longest sequence: the rotary tables end there.
pub const MAX_POSITIONS: usize = 8192;

/// A decoder whose trained parameters live in one flat vector outside of it.
#[derive(Debug, Clone)]
pub struct Decoder {
    shape: ModelShape,
    common: Common,
    embedding: Weight,
    blocks: Vec<Block>,
    output_norm: Weight,
    /// `None`: the head is the embedding.
    head: Option<Linear>,
    /// Every trained base tensor: GGUF name, dimensions, parameter range.
    ///
    /// Dimensions are in ggml order.
    tensors: Vec<BaseTensor>,
    /// Length of the parameter vector.
    n_params: usize,
    as_engine: bool,
    compute: Compute,
}

/// A trained base tensor: GGUF name, dimensions, parameter range.
///
/// Dimensions are in ggml order.
pub type BaseTensor = (String, Vec<u64>, Range<usize>);

/// What is kept of a forward pass for the way back.
///
/// The result is the same to the bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    #[default]
    All,
    /// The blocks' inputs only; the backward pass computes blocks again.
    Inputs,
    /// Nothing: there is no way back.
    Nothing,
}

/// Buffers of a forward and backward pass; they grow to the largest batch.
#[derive(Debug, Default)]
pub struct Tape {
    /// How much the next forward pass keeps.
    pub keep: Keep,
    blocks: Vec<BlockTape>,
    inputs: Vec<Vec<f32>>,
    scratch: BlockScratch,
    weight: Vec<f32>,
    rounded: Vec<f32>,
    panels: Panels,
    gain: Vec<f32>,
    x: Vec<f32>,
    last: Vec<f32>,
    /// After forward: the final hidden states, normed, a row of `n_embd` an output.
    pub normed: Vec<f32>,
    /// After forward: zeros.
    ///
    /// Before backward: the gradient of `normed` from its readers other than the head.
    pub dnormed: Vec<f32>,
    h: Vec<f32>,
    dh: Vec<f32>,
    capped: Vec<f32>,
    /// After forward: logits, a row of `n_vocab` an output.
    ///
    /// Before backward: their gradient.
    pub logits: Vec<f32>,
}

impl Decoder {
    /// The decoder without the engine's roundings of activations.
    ///
    /// The difference to the rounding decoder is the engine's own error.
    #[must_use]
    pub fn without_rounding(mut self) -> Self {
        self.as_engine = false;
        self
    }

    /// The decoder with products of stored matrices computed in this way.
    #[must_use]
    pub fn computed_in(mut self, compute: Compute) -> Self {
        self.compute = compute;
        self
    }

    /// What products of stored matrices are computed in.
    #[must_use]
    pub fn compute(&self) -> Compute {
        self.compute
    }

    fn pass<'a>(
        &self,
        theta: &'a [f32],
        scratch: &'a mut Vec<f32>,
        rounded: &'a mut Vec<f32>,
        panels: &'a mut Panels,
        threads: usize,
    ) -> Pass<'a> {
        Pass { theta, scratch, rounded, panels, as_engine: self.as_engine, compute: self.compute, threads }
    }

    /// The decoder's numbers.
    #[must_use]
    pub fn shape(&self) -> &ModelShape {
        &self.shape
    }

    /// Length of the parameter vector.
    #[must_use]
    pub fn n_params(&self) -> usize {
        self.n_params
    }

    /// Its blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Every trained base tensor.
    #[must_use]
    pub fn base_tensors(&self) -> &[BaseTensor] {
        &self.tensors
    }

    /// Logits of the pack's outputs, into `tape.logits`.
    pub fn forward(&self, theta: &[f32], pack: &Pack, tape: &mut Tape, threads: usize) {
        let Tape {
            keep,
            blocks,
            inputs,
            scratch,
            weight,
            rounded,
            panels,
            gain,
            x,
            last,
            normed,
            dnormed,
            h,
            logits,
            capped,
            ..
        } = tape;
        // Buffers that this pass does not use stay for later passes.
        let depth = self.blocks.len();
        blocks.resize_with(blocks.len().max(if *keep == Keep::All { depth } else { 1 }), BlockTape::default);
        inputs.resize_with(inputs.len().max(if *keep == Keep::Inputs { depth } else { 0 }), Vec::new);
        let d = self.shape.n_embd;
        self.embed(theta, pack, x);
        let pass = &mut self.pass(theta, weight, rounded, panels, threads);
        let views = Views::of(self, pack);
        for (i, block) in self.blocks.iter().enumerate() {
            if *keep == Keep::Inputs {
                copy(&mut inputs[i], x, threads);
            }
            let tape = if *keep == Keep::All { &mut blocks[i] } else { &mut blocks[0] };
            block.forward(&self.common, pass, views.of_block(i), x, tape, scratch);
        }
        copy(last, x, threads);
        fit(normed, last.len());
        rms_norm(last, self.output_norm.read(d, theta, gain), self.common.eps, normed, threads);
        let m = pack.outputs.len();
        zeroed(dnormed, m * d);
        match &self.head {
            Some(head) => head.forward(pass, normed, m, logits, h),
            None => self.tied_head().forward(pass, normed, m, logits, h),
        }
        if let Some(cap) = self.shape.logit_cap {
            // The backward pass needs them, and the loss overwrites the logits.
            soft_cap(logits, cap);
            copy(capped, logits, threads);
        }
    }

    /// Adds the gradient of the trained parameters to `grads`.
    ///
    /// `tape.logits` holds the gradient of the logits, `tape.dnormed` further gradients of the normed states.
    ///
    /// # Panics
    /// For a tape that keeps nothing: a caller's mistake.
    pub fn backward(&self, theta: &[f32], pack: &Pack, tape: &mut Tape, grads: &mut [f32], threads: usize) {
        let Tape { keep, blocks, inputs, scratch, weight, rounded, panels, gain, x, last, .. } = tape;
        let Tape { normed, dnormed, h, dh, logits, capped, .. } = tape;
        assert!(*keep != Keep::Nothing, "nothing was kept for the way back");
        if let Some(cap) = self.shape.logit_cap {
            soft_cap_back(capped, cap, logits);
        }
        let d = self.shape.n_embd;
        let m = pack.outputs.len();
        let pass = &mut self.pass(theta, weight, rounded, panels, threads);
        match &self.head {
            Some(head) => head.backward(pass, normed, h, m, logits, Onto::Sum(dnormed), grads, dh),
            None => self.tied_head().backward(pass, normed, h, m, logits, Onto::Sum(dnormed), grads, dh),
        }
        zeroed(x, m * d);
        let norm_grad = trained(&self.output_norm, grads);
        rms_norm_back(last, self.output_norm.read(d, theta, gain), self.common.eps, dnormed, x, norm_grad, threads);
        let views = Views::of(self, pack);
        for (i, block) in self.blocks.iter().enumerate().rev() {
            let tape = if *keep == Keep::All { &mut blocks[i] } else { &mut blocks[0] };
            // The last block's tape is still that of the forward pass.
            if *keep == Keep::Inputs && i + 1 < self.blocks.len() {
                block.forward(&self.common, pass, views.of_block(i), &mut inputs[i], tape, scratch);
            }
            block.backward(&self.common, pass, views.of_block(i), x, tape, scratch, grads);
        }
        if let Weight::Trained(range) = &self.embedding {
            if let Some(scale) = self.embedding_scale() {
                x.iter_mut().for_each(|dx| *dx *= scale);
            }
            let table = &mut grads[range.clone()];
            for (dx, &token) in x.chunks_exact(d).zip(&pack.tokens) {
                add(&mut table[token as usize * d..][..d], dx);
            }
        }
    }

    /// Only the outputs need queries and a feed-forward layer in the last block.
    fn rows(&self, block: usize) -> QueryRows {
        if block + 1 == self.blocks.len() { QueryRows::Outputs } else { QueryRows::All }
    }

    fn tied_head(&self) -> Linear {
        let (n_in, n_out) = (self.shape.n_embd, self.shape.n_vocab);
        Linear { n_in, n_out, weight: self.embedding.clone(), bias: None, lora: None }
    }

    fn embed(&self, theta: &[f32], pack: &Pack, x: &mut Vec<f32>) {
        let d = self.shape.n_embd;
        fit(x, pack.len() * d);
        for (x, &token) in x.chunks_exact_mut(d).zip(&pack.tokens) {
            let token = token as usize;
            match &self.embedding {
                Weight::Trained(range) => x.copy_from_slice(&theta[range.clone()][token * d..][..d]),
                Weight::Stored(ty, bytes) => decode(*ty, row(*ty, bytes, token, d), x),
            }
        }
        if let Some(scale) = self.embedding_scale() {
            x.iter_mut().for_each(|x| *x *= scale);
        }
    }

    fn embedding_scale(&self) -> Option<f32> {
        self.shape.architecture.is_gemma.then(|| (self.shape.n_embd as f32).sqrt())
    }
}

/// What the queries of each block see.
///
/// Blocks with equal rows and windows share a view.
struct Views<'a> {
    views: Vec<View<'a>>,
    /// The view of each block, by number.
    of_block: Vec<usize>,
}

impl<'a> Views<'a> {
    fn of(decoder: &Decoder, pack: &'a Pack) -> Self {
        let (mut views, mut of_block, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for (i, block) in decoder.blocks.iter().enumerate() {
            let kind = (decoder.rows(i), block.window);
            let known = kinds.iter().position(|known| *known == kind);
            of_block.push(known.unwrap_or_else(|| {
                kinds.push(kind);
                views.push(View::new(pack, kind.0, kind.1));
                views.len() - 1
            }));
        }
        Self { views, of_block }
    }

    fn of_block(&self, block: usize) -> &View<'a> {
        &self.views[self.of_block[block]]
    }
}

fn row(ty: GgmlType, bytes: &[u8], row: usize, d: usize) -> &[u8] {
    let n = ty.bytes(d as u64) as usize;
    &bytes[row * n..][..n]
}
