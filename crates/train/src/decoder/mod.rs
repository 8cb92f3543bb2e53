//! The decoder: embedding, blocks, final norm, head at requested rows.

mod attention;
mod block;
pub mod kernels;
mod linear;
mod pack;
mod rope;

pub use block::LINEARS;
pub use linear::Compute;
pub use pack::Pack;

use std::ops::Range;
use std::sync::Arc;

use attention::{Heads, QueryRows, View};
use block::{Block, BlockScratch, BlockTape, Common, Gate, trained};
use kernels::{add, copy, fit, rms_norm, rms_norm_back, soft_cap, soft_cap_back, zeroed};
use linear::{Linear, Lora, Onto, Pass, Weight, larger};
use rope::Rope;

use crate::{Error, Result};
use probity_engine::Model;
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

/// Where a decoder's tensors come from. Asked in the order of the parameter vector.
trait Source {
    /// Whether there is an optional tensor.
    fn has(&self, name: &str) -> bool;
    /// A tensor with its dimensions in ggml order.
    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Weight>;
}

/// Parameters to be trained in full.
struct Fresh<'a> {
    shape: &'a ModelShape,
    tensors: Vec<BaseTensor>,
}

impl Source for Fresh<'_> {
    fn has(&self, name: &str) -> bool {
        self.shape.architecture.has_biases && ["q", "k", "v"].iter().any(|l| name.ends_with(&format!("attn_{l}.bias")))
    }

    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Weight> {
        let start = self.tensors.last().map_or(0, |(_, _, range)| range.end);
        let range = start..start + dims.iter().product::<usize>();
        self.tensors.push((name.into(), dims.iter().map(|&d| d as u64).collect(), range.clone()));
        Ok(Weight::Trained(range))
    }
}

/// A model file's tensors as they lie there, or only what the header says of them.
struct Stored<'a> {
    model: &'a Model,
    read: bool,
}

impl Source for Stored<'_> {
    fn has(&self, name: &str) -> bool {
        self.model.gguf().tensor(name).is_some()
    }

    fn weight(&mut self, name: &str, _: &[usize]) -> Result<Weight> {
        let tensor = self.model.gguf().tensor(name).expect("the preflight checked that it is there");
        let bytes = if self.read { self.model.read_tensor(tensor)? } else { Vec::new() };
        Ok(Weight::Stored(tensor.ty, Arc::from(bytes)))
    }
}

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
    /// A decoder all of whose weights are trained, for pretraining.
    #[must_use]
    pub fn trained(shape: &ModelShape) -> Self {
        let mut source = Fresh { shape, tensors: Vec::new() };
        let decoder = Self::assemble(shape, &[], &mut source).expect("nothing is read");
        let n_params = source.tensors.last().map_or(0, |(_, _, range)| range.end);
        Self { tensors: source.tensors, n_params, ..decoder }
    }

    /// A loaded model's decoder, its weights kept as they lie in the file.
    ///
    /// # Errors
    /// [`Error::Untrainable`] for a kind of rotary scaling that the trainer does not support,
    /// [`probity_engine::Error::Io`].
    pub fn frozen(model: &Model) -> Result<Self> {
        Self::of(model, true)
    }

    /// The same without a byte of the matrices: to plan with, not to run.
    ///
    /// # Errors
    /// The errors of [`Decoder::frozen`].
    pub fn described(model: &Model) -> Result<Self> {
        Self::of(model, false)
    }

    fn of(model: &Model, read: bool) -> Result<Self> {
        let bad = |problem: String| Error::Untrainable { file: model.path().display().to_string(), problem };
        let gguf = model.gguf();
        let scaling = format!("{}.rope.scaling.type", model.shape().architecture.name);
        if let Some(kind) = gguf.str(&scaling)
            && !["none", "linear"].contains(&kind)
        {
            return Err(bad(format!("{scaling} is {kind:?}, expected \"none\" or \"linear\"")));
        }
        if let Some(t) = gguf.tensors().iter().find(|t| t.name.starts_with("rope_factors_")) {
            return Err(bad(format!("tensor {} belongs to a rotary scaling the trainer does not have", t.name)));
        }
        let factors = match gguf.tensor("rope_freqs.weight") {
            None => Vec::new(),
            Some(t) => {
                let mut factors = vec![0.0; t.elements() as usize];
                decode(t.ty, &model.read_tensor(t)?, &mut factors);
                factors
            }
        };
        Self::assemble(model.shape(), &factors, &mut Stored { model, read })
    }

    fn assemble(shape: &ModelShape, rope_factors: &[f32], source: &mut dyn Source) -> Result<Self> {
        let heads = Heads {
            n_head: shape.n_head,
            n_head_kv: shape.n_head_kv,
            dim: shape.head_dim,
            scale: shape.attention_scale,
            cap: shape.attention_cap,
        };
        let (d, ff, dim) = (shape.n_embd, shape.n_ff, shape.head_dim);
        let positions = shape.context.min(MAX_POSITIONS);
        let rope = |rotation| Arc::new(Rope::new(shape.architecture, dim, rotation, rope_factors, positions));
        let everywhere = rope(shape.rotation);
        let windowed = shape.window.as_ref().map(|w| (w, rope(w.rotation)));
        let embedding = source.weight("token_embd.weight", &[d, shape.n_vocab])?;
        let mut blocks = Vec::new();
        for i in 0..shape.n_layer {
            let mut linear = |name: &str, n_in: usize, n_out: usize| -> Result<Linear> {
                let weight = source.weight(&format!("blk.{i}.{name}.weight"), &[n_in, n_out])?;
                let bias = format!("blk.{i}.{name}.bias");
                let bias = source.has(&bias).then(|| source.weight(&bias, &[n_out])).transpose()?;
                Ok(Linear { n_in, n_out, weight, bias, lora: None })
            };
            let (q, k, v) = (
                linear("attn_q", d, heads.width())?,
                linear("attn_k", d, heads.kv_width())?,
                linear("attn_v", d, heads.kv_width())?,
            );
            let (o, gate, up, down) = (
                linear("attn_output", heads.width(), d)?,
                linear("ffn_gate", d, ff)?,
                linear("ffn_up", d, ff)?,
                linear("ffn_down", ff, d)?,
            );
            let mut norm = |name: &str, n: usize| source.weight(&format!("blk.{i}.{name}.weight"), &[n]);
            let (attn_norm, ffn_norm) = (norm("attn_norm", d)?, norm("ffn_norm", d)?);
            let head_norms = match shape.architecture.norms_heads {
                true => Some([norm("attn_q_norm", dim)?, norm("attn_k_norm", dim)?]),
                false => None,
            };
            let post_norms = match shape.architecture.is_gemma {
                true => Some([norm("post_attention_norm", d)?, norm("post_ffw_norm", d)?]),
                false => None,
            };
            let (rope, window) = match &windowed {
                Some((w, rope)) if w.blocks[i] => (rope.clone(), Some(w.tokens)),
                _ => (everywhere.clone(), None),
            };
            blocks.push(Block {
                attn_norm,
                ffn_norm,
                head_norms,
                post_norms,
                rope,
                window,
                q,
                k,
                v,
                o,
                gate,
                up,
                down,
            });
        }
        let output_norm = source.weight("output_norm.weight", &[d])?;
        let head = match shape.tied {
            true => None,
            false => {
                let weight = source.weight("output.weight", &[d, shape.n_vocab])?;
                Some(Linear { n_in: d, n_out: shape.n_vocab, weight, bias: None, lora: None })
            }
        };
        let gate = if shape.architecture.is_gemma { Gate::Gelu } else { Gate::Silu };
        let common = Common { width: d, eps: shape.rms_eps, heads, gate };
        Ok(Self {
            shape: shape.clone(),
            common,
            embedding,
            blocks,
            output_norm,
            head,
            tensors: Vec::new(),
            n_params: 0,
            as_engine: true,
            compute: Compute::F32,
        })
    }

    /// Adds LoRA pairs of `rank` and `alpha`, the new trained parameters.
    ///
    /// `targets` names linear layers of every block, some of [`LINEARS`].
    #[must_use]
    pub fn with_lora(mut self, rank: usize, alpha: f32, targets: &[impl AsRef<str>]) -> Self {
        let scale = alpha / rank as f32;
        let mut end = self.n_params;
        let mut take = |n: usize| {
            end += n;
            end - n..end
        };
        for block in &mut self.blocks {
            let targets = block.linears_mut().filter(|(name, _)| targets.iter().any(|t| t.as_ref() == *name));
            for (_, linear) in targets {
                let (a, b) = (take(rank * linear.n_in), take(rank * linear.n_out));
                linear.lora = Some(Lora { a, b, rank, scale });
            }
        }
        self.n_params = end;
        self
    }

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

    /// Bytes of a [`Tape`] after a forward and backward pass over a pack.
    ///
    /// With a tape that keeps nothing: after a forward pass. [`Decoder::logits_bytes`] counts the logits.
    #[must_use]
    pub fn tape_bytes(&self, pack: &Pack, keep: Keep) -> usize {
        let (n, m, d) = (pack.len(), pack.outputs.len(), self.shape.n_embd);
        let views = Views::of(self, pack);
        let tapes = self.blocks.iter().enumerate().map(|(i, b)| b.tape_floats(&self.common, views.of_block(i)));
        // A tape that all blocks share has room for the last block's picked rows beside the other blocks' needs.
        let tapes = if keep == Keep::All { tapes.sum::<usize>() } else { tapes.max().unwrap_or(0) + m * d };
        let inputs = if keep == Keep::Inputs { self.blocks.len() * n * d } else { 0 };
        let scratch = self.blocks.iter().map(|b| b.scratch_floats(&self.common, pack, QueryRows::All));
        let linears = self.blocks.iter().flat_map(|b| b.linears().map(|(_, linear)| linear));
        let band = linears.map(Linear::band_floats).chain([self.tied_head().band_floats()]).max().unwrap_or(0);
        let widest = self.shape.n_ff.max(self.common.heads.width()).max(d);
        let rounded = if self.as_engine { n * widest } else { 0 };
        let panels = match self.compute {
            Compute::F32 => 0,
            Compute::Bf16 => {
                let linears = self.blocks.iter().flat_map(|b| b.linears().map(|(_, linear)| linear.panel_bytes(n)));
                let [weights, rows] = linears.fold(self.tied_head().panel_bytes(m), larger);
                weights + rows
            }
        };
        4 * (tapes + inputs + scratch.max().unwrap_or(0) + band + rounded + n * d + 3 * m * d) + panels
    }

    /// Bytes of the logits of a pack.
    #[must_use]
    pub fn logits_bytes(&self, pack: &Pack) -> usize {
        let copies = if self.shape.logit_cap.is_some() { 2 } else { 1 };
        4 * copies * pack.outputs.len() * self.shape.n_vocab
    }

    /// Bytes of the weights that lie in memory as they do in the file.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        let linears = self.blocks.iter().flat_map(|b| b.linears().map(|(_, linear)| linear)).chain(&self.head);
        let embedding = self.embedding.stored_bytes(self.shape.n_embd * self.shape.n_vocab);
        linears.map(|l| l.weight.stored_bytes(l.n_in * l.n_out)).sum::<usize>() + embedding
    }

    /// Multiplications of a forward pass over a pack: weights and attention.
    #[must_use]
    pub fn products(&self, pack: &Pack) -> f64 {
        let (n, m) = (pack.len() as f64, pack.outputs.len() as f64);
        let size = |l: &Linear| (l.n_in * l.n_out) as f64;
        let views = Views::of(self, pack);
        let mut total = m * (self.shape.n_embd * self.shape.n_vocab) as f64;
        for (i, b) in self.blocks.iter().enumerate() {
            let rows = self.rows(i).count(pack) as f64;
            let queries = [&b.q, &b.o, &b.gate, &b.up, &b.down].map(size).iter().sum::<f64>();
            total += n * (size(&b.k) + size(&b.v)) + rows * queries;
            let pairs = views.of_block(i).pairs();
            total += 2.0 * (pairs * self.common.heads.width()) as f64;
        }
        total
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
