//! The whole decoder: embedding, blocks, final norm, head at the rows that are asked for.

use std::ops::Range;
use std::sync::Arc;

use super::attention::{Heads, Rows};
use super::block::{Block, BlockScratch, BlockTape, Common, trained};
use super::kernels::{Rope, RopePairs, add, rms_norm, rms_norm_back};
use super::linear::{Linear, Lora, Pass, Rounded, Weight};
use super::pack::Pack;
use crate::engine::Model;
use crate::engine::gguf::GgmlType;
use crate::engine::numeric::decode;
use crate::engine::preflight::{Architecture, ModelShape};
use crate::{Error, Result};

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
    /// Length of the parameter vector.
    n_params: usize,
}

/// Buffers of one forward and backward pass; they grow to the largest batch seen and stay.
#[derive(Debug, Default)]
pub struct Tape {
    blocks: Vec<BlockTape>,
    scratch: BlockScratch,
    weight: Vec<f32>,
    rounded: Rounded,
    gain: Vec<f32>,
    x: Vec<f32>,
    last: Vec<f32>,
    normed: Vec<f32>,
    dnormed: Vec<f32>,
    h: Vec<f32>,
    dh: Vec<f32>,
    /// After forward: logits, a row of `n_vocab` an output. Before backward: their gradient.
    pub logits: Vec<f32>,
}

/// Hands out consecutive ranges of the parameter vector.
struct Ranges(usize);

impl Ranges {
    fn take(&mut self, n: usize) -> Range<usize> {
        let start = self.0;
        self.0 += n;
        start..self.0
    }
}

impl Decoder {
    /// A decoder all of whose weights are trained, for pretraining.
    #[must_use]
    pub fn trained(shape: &ModelShape) -> Self {
        let mut ranges = Ranges(0);
        let mut take = |_: &str, n: usize| -> Result<Weight> { Ok(Weight::Trained(ranges.take(n))) };
        let mut decoder = Self::assemble(shape, &mut take).expect("nothing is read");
        decoder.n_params = ranges.0;
        decoder
    }

    /// A loaded model's decoder, its weights kept as they lie in the file.
    ///
    /// # Errors
    /// [`Error::Untrainable`] for an architecture the trainer does not have, [`Error::Io`].
    pub fn frozen(model: &Model) -> Result<Self> {
        let shape = model.shape();
        let bad = |problem: String| Error::Untrainable { file: model.path().display().to_string(), problem };
        if shape.architecture != Architecture::Llama {
            return Err(bad(format!("architecture {}, expected llama", shape.architecture.name())));
        }
        if let Some(key) = model.gguf().keys().iter().find(|k| k.contains(".rope.scaling.")) {
            return Err(bad(format!("{key} is set, expected plain rotary positions")));
        }
        let optional = |name: &str| name.ends_with(".bias") || name.starts_with("rope_");
        if let Some(t) = model.gguf().tensors().iter().find(|t| optional(&t.name)) {
            return Err(bad(format!("tensor {} is not part of a plain llama block", t.name)));
        }
        Self::assemble(shape, &mut |name, _| {
            let tensor = model.gguf().tensor(name).expect("the preflight checked that it is there");
            Ok(Weight::Stored(tensor.ty, Arc::from(model.read_tensor(tensor)?)))
        })
    }

    fn assemble(shape: &ModelShape, weight: &mut dyn FnMut(&str, usize) -> Result<Weight>) -> Result<Self> {
        let heads = Heads { n_head: shape.n_head, n_head_kv: shape.n_head_kv, dim: shape.head_dim };
        let (d, ff) = (shape.n_embd, shape.n_ff);
        let embedding = weight("token_embd.weight", d * shape.n_vocab)?;
        let mut blocks = Vec::new();
        for i in 0..shape.n_layer {
            let mut linear = |name: &str, n_in: usize, n_out: usize| -> Result<Linear> {
                let weight = weight(&format!("blk.{i}.{name}.weight"), n_in * n_out)?;
                Ok(Linear { n_in, n_out, weight, lora: None })
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
            let attn_norm = weight(&format!("blk.{i}.attn_norm.weight"), d)?;
            let ffn_norm = weight(&format!("blk.{i}.ffn_norm.weight"), d)?;
            blocks.push(Block { attn_norm, ffn_norm, q, k, v, o, gate, up, down });
        }
        let output_norm = weight("output_norm.weight", d)?;
        let head = (!shape.tied)
            .then(|| {
                Ok::<_, Error>(Linear {
                    n_in: d,
                    n_out: shape.n_vocab,
                    weight: weight("output.weight", d * shape.n_vocab)?,
                    lora: None,
                })
            })
            .transpose()?;
        // Positions beyond this would be a prompt that no default context holds.
        let positions = shape.context.min(8192);
        let rope = Rope::new(RopePairs::Interleaved, shape.head_dim, shape.rope_base, positions);
        let common = Common { width: d, eps: shape.rms_eps, heads, rope };
        Ok(Self { shape: shape.clone(), common, embedding, blocks, output_norm, head, n_params: 0 })
    }

    /// Adds a LoRA pair of `rank` and `alpha` to every linear layer of every block; the pairs become the trained
    /// parameters.
    #[must_use]
    pub fn with_lora(mut self, rank: usize, alpha: f32) -> Self {
        let mut ranges = Ranges(self.n_params);
        let scale = alpha / rank as f32;
        for block in &mut self.blocks {
            for (_, linear) in block.linears_mut() {
                let a = ranges.take(rank * linear.n_in);
                let b = ranges.take(rank * linear.n_out);
                linear.lora = Some(Lora { a, b, rank, scale });
            }
        }
        self.n_params = ranges.0;
        self
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

    /// Every trained base tensor: GGUF name, dimensions in ggml order, range in the parameter vector.
    #[must_use]
    pub fn base_tensors(&self) -> Vec<(String, Vec<u64>, Range<usize>)> {
        let d = self.shape.n_embd as u64;
        let mut out = Vec::new();
        let mut put = |name: String, dims: Vec<u64>, w: &Weight| {
            if let Weight::Trained(range) = w {
                out.push((name, dims, range.clone()));
            }
        };
        put("token_embd.weight".into(), vec![d, self.shape.n_vocab as u64], &self.embedding);
        for (i, block) in self.blocks.iter().enumerate() {
            put(format!("blk.{i}.attn_norm.weight"), vec![d], &block.attn_norm);
            put(format!("blk.{i}.ffn_norm.weight"), vec![d], &block.ffn_norm);
            for (name, l) in block.linears() {
                put(format!("blk.{i}.{name}.weight"), vec![l.n_in as u64, l.n_out as u64], &l.weight);
            }
        }
        put("output_norm.weight".into(), vec![d], &self.output_norm);
        if let Some(head) = &self.head {
            put("output.weight".into(), vec![d, self.shape.n_vocab as u64], &head.weight);
        }
        out
    }

    /// Logits of the pack's outputs, into `tape.logits`.
    pub fn forward(&self, theta: &[f32], pack: &Pack, tape: &mut Tape, threads: usize) {
        let Tape { blocks, scratch, weight, rounded, gain, x, last, normed, h, logits, .. } = tape;
        blocks.resize_with(self.blocks.len(), BlockTape::default);
        let d = self.shape.n_embd;
        self.embed(theta, pack, x);
        let pass = &mut Pass { theta, scratch: weight, rounded, threads };
        for (i, (block, tape)) in self.blocks.iter().zip(blocks.iter_mut()).enumerate() {
            block.forward(&self.common, pass, pack, self.rows(i), x, tape, scratch);
        }
        last.clone_from(x);
        normed.resize(last.len(), 0.0);
        rms_norm(last, self.output_norm.read(d, theta, gain), self.common.eps, normed);
        let m = pack.outputs.len();
        match &self.head {
            Some(head) => head.forward(pass, normed, m, logits, h),
            None => self.tied_head().forward(pass, normed, m, logits, h),
        }
    }

    /// Adds to `grads` the gradient of the trained parameters, given the gradient of the logits in `tape.logits`.
    pub fn backward(&self, theta: &[f32], pack: &Pack, tape: &mut Tape, grads: &mut [f32], threads: usize) {
        let Tape { blocks, scratch, weight, rounded, gain, x, last, normed, dnormed, h, dh, logits } = tape;
        let d = self.shape.n_embd;
        let m = pack.outputs.len();
        let pass = &mut Pass { theta, scratch: weight, rounded, threads };
        dnormed.clear();
        dnormed.resize(m * d, 0.0);
        match &self.head {
            Some(head) => head.backward(pass, normed, h, m, logits, Some(dnormed), grads, dh),
            None => self.tied_head().backward(pass, normed, h, m, logits, Some(dnormed), grads, dh),
        }
        x.clear();
        x.resize(m * d, 0.0);
        let norm_grad = trained(&self.output_norm, grads);
        rms_norm_back(last, self.output_norm.read(d, theta, gain), self.common.eps, dnormed, x, norm_grad);
        for (i, block) in self.blocks.iter().enumerate().rev() {
            block.backward(&self.common, pass, pack, self.rows(i), x, &blocks[i], scratch, grads);
        }
        if let Weight::Trained(range) = &self.embedding {
            let table = &mut grads[range.clone()];
            for (dx, &token) in x.chunks_exact(d).zip(&pack.tokens) {
                add(&mut table[token as usize * d..][..d], dx);
            }
        }
    }

    /// Only the outputs need queries and a feed-forward layer in the last block.
    fn rows(&self, block: usize) -> Rows {
        if block + 1 == self.blocks.len() { Rows::Outputs } else { Rows::All }
    }

    fn tied_head(&self) -> Linear {
        Linear { n_in: self.shape.n_embd, n_out: self.shape.n_vocab, weight: self.embedding.clone(), lora: None }
    }

    fn embed(&self, theta: &[f32], pack: &Pack, x: &mut Vec<f32>) {
        let d = self.shape.n_embd;
        x.resize(pack.len() * d, 0.0);
        for (x, &token) in x.chunks_exact_mut(d).zip(&pack.tokens) {
            let token = token as usize;
            match &self.embedding {
                Weight::Trained(range) => x.copy_from_slice(&theta[range.clone()][token * d..][..d]),
                Weight::Stored(ty, bytes) => decode(*ty, row(*ty, bytes, token, d), x),
            }
        }
    }
}

fn row(ty: GgmlType, bytes: &[u8], row: usize, d: usize) -> &[u8] {
    let n = ty.bytes(d as u64) as usize;
    &bytes[row * n..][..n]
}
