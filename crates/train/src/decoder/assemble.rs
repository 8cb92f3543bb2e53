//! A decoder from a shape, or from a model file's tensors; its LoRA pairs.

use std::sync::Arc;

use probity_engine::Model;
use probity_engine::numeric::decode;
use probity_engine::preflight::ModelShape;

use super::attention::Heads;
use super::block::{Block, Common, Gate};
use super::linear::{Linear, Lora, Weight};
use super::rope::Rope;
use super::{BaseTensor, Compute, Decoder, MAX_POSITIONS};
use crate::{Error, Result};

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

    /// Its first blocks and its head, to measure passes with.
    ///
    /// What a file stores is zero in it.
    pub(crate) fn first_blocks(&self, blocks: usize) -> Self {
        let blank = |weight: &mut Weight, n: usize| {
            if let Weight::Stored(ty, bytes) = weight {
                *bytes = Arc::from(vec![0; ty.bytes(n as u64) as usize]);
            }
        };
        let (d, dim) = (self.shape.n_embd, self.shape.head_dim);
        let mut decoder = self.clone();
        decoder.blocks.truncate(blocks);
        blank(&mut decoder.embedding, d * self.shape.n_vocab);
        blank(&mut decoder.output_norm, d);
        for Block { attn_norm, ffn_norm, post_norms, head_norms, .. } in &mut decoder.blocks {
            [attn_norm, ffn_norm].into_iter().chain(post_norms.iter_mut().flatten()).for_each(|norm| blank(norm, d));
            head_norms.iter_mut().flatten().for_each(|norm| blank(norm, dim));
        }
        let linears = decoder.blocks.iter_mut().flat_map(|block| block.linears_mut().map(|(_, linear)| linear));
        for Linear { weight, bias, n_in, n_out, .. } in linears.chain(&mut decoder.head) {
            blank(weight, *n_in * *n_out);
            bias.iter_mut().for_each(|bias| blank(bias, *n_out));
        }
        decoder
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
}
