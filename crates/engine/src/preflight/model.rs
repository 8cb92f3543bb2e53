//! Preflight of a model file.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, LogitCap};
use super::keys::broken;
use crate::gguf::{GgmlType, Gguf, Value};
use crate::{Error, Result};

/// Rotary positions of a block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rotation {
    /// Base of the frequencies.
    pub base: f32,
    /// What positions are multiplied with: one over the factor of linear scaling.
    pub scale: f32,
}

/// Blocks that see a window of the text only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// A token sees itself and the tokens before it, so many in all.
    pub tokens: usize,
    /// Which blocks these are, a value a block.
    pub blocks: Vec<bool>,
    /// Their rotary positions.
    pub rotation: Rotation,
}

/// The numbers that define a decoder, read from its header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Which block it stacks.
    pub architecture: Architecture,
    /// Blocks.
    pub n_layer: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Width of the gated feed-forward layer.
    pub n_ff: usize,
    /// Query heads.
    pub n_head: usize,
    /// Key and value heads, shared by `n_head / n_head_kv` query heads each.
    pub n_head_kv: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Epsilon of the RMS norms.
    pub rms_eps: f32,
    /// Rotary positions, of blocks without a window.
    pub rotation: Rotation,
    /// The blocks with a window.
    pub window: Option<Window>,
    /// What products of queries and keys are multiplied with.
    pub attention_scale: f32,
    /// `c` where these become `c tanh(x / c)`.
    pub attention_cap: Option<f32>,
    /// `c` where logits become `c tanh(x / c)`.
    pub logit_cap: Option<f32>,
    /// Context length the model was trained for, tokens.
    pub context: usize,
    /// Size of the vocabulary.
    pub n_vocab: usize,
    /// Whether the output head is the token embedding.
    pub tied: bool,
}

/// Checks a model header and reads its shape.
///
/// # Errors
/// [`Error::UnsupportedModel`] naming the wrong key or tensor and the expected value.
pub fn check_model(gguf: &Gguf) -> Result<ModelShape> {
    let c = Check { gguf };
    let name = c.str("general.architecture")?;
    let Some(architecture) = Architecture::find(name) else {
        let known = Architecture::names();
        return Err(c.bad(format!("general.architecture is {name:?}, expected one of {known}")));
    };
    if let Some(kind) = gguf.get("general.type")
        && *kind != Value::Str("model".into())
    {
        return Err(
            c.bad(format!("general.type is {kind}, expected \"model\"; an adapter needs its base model beside it"))
        );
    }
    let n_vocab = c.vocabulary()?;
    if let Some(problem) = broken(gguf, architecture, n_vocab) {
        return Err(c.bad(problem));
    }
    let shape = c.shape(architecture, n_vocab)?;
    c.tensors(&shape)?;
    Ok(shape)
}

struct Check<'a> {
    gguf: &'a Gguf,
}

impl Check<'_> {
    fn bad(&self, problem: impl Into<String>) -> Error {
        Error::UnsupportedModel { file: self.gguf.file.clone(), problem: problem.into() }
    }

    fn str(&self, key: &str) -> Result<&str> {
        self.gguf.str(key).ok_or_else(|| self.bad(format!("{key} is missing or no text")))
    }

    fn u32_or(&self, key: &str, default: Option<u64>) -> Result<u64> {
        match (self.gguf.get(key), default) {
            (Some(&Value::Uint(v, 32)), _) => Ok(v),
            (None, Some(v)) => Ok(v),
            _ => Err(self.bad(format!("{key} is missing or no u32"))),
        }
    }

    fn u32_in(&self, key: &str, default: Option<u64>, low: u64, high: u64) -> Result<usize> {
        let v = self.u32_or(key, default)?;
        if (low..=high).contains(&v) {
            Ok(v as usize)
        } else {
            Err(self.bad(format!("{key} is {v}, expected {low} to {high}")))
        }
    }

    fn f32_above_zero(&self, key: &str, default: Option<f32>) -> Result<f32> {
        let v = match (self.gguf.get(key), default) {
            (Some(&Value::F32(v)), _) => v,
            (None, Some(v)) => v,
            _ => return Err(self.bad(format!("{key} is missing or no f32"))),
        };
        if v.is_finite() && v > 0.0 { Ok(v) } else { Err(self.bad(format!("{key} is {v}, expected a number above 0"))) }
    }

    fn shape(&self, architecture: Architecture, n_vocab: usize) -> Result<ModelShape> {
        let key = |k: &str| format!("{}.{k}", architecture.name);
        let n_layer = self.u32_in(&key("block_count"), None, 1, 512)?;
        let n_embd = self.u32_in(&key("embedding_length"), None, 1, 1 << 20)?;
        let n_ff = self.u32_in(&key("feed_forward_length"), None, 1, 1 << 22)?;
        let n_head = self.u32_in(&key("attention.head_count"), None, 1, 1024)?;
        let n_head_kv = self.u32_in(&key("attention.head_count_kv"), Some(n_head as u64), 1, n_head as u64)?;
        if !n_head.is_multiple_of(n_head_kv) {
            return Err(self.bad(format!("{n_head} heads, expected a multiple of the {n_head_kv} key-value heads")));
        }
        let explicit = self.gguf.get(&key("attention.key_length")).is_some();
        if !explicit && !n_embd.is_multiple_of(n_head) {
            return Err(self.bad(format!("embedding length {n_embd}, expected a multiple of the {n_head} heads")));
        }
        let derived = Some((n_embd / n_head) as u64);
        let head_dim = self.u32_in(&key("attention.key_length"), derived, 2, 1024)?;
        let value_dim = self.u32_in(&key("attention.value_length"), derived, 2, 1024)?;
        let rope_dim = self.u32_in(&key("rope.dimension_count"), Some(head_dim as u64), 2, 1024)?;
        if head_dim != value_dim || head_dim != rope_dim || !head_dim.is_multiple_of(2) {
            return Err(self.bad(format!(
                "key, value and rotary widths {head_dim}, {value_dim}, {rope_dim}, expected one even number"
            )));
        }
        // A sliding-window layer may have widths of its own. The preflight refuses widths that differ from the other
        // layers'.
        for width in ["attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa"] {
            self.u32_in(&key(width), Some(head_dim as u64), head_dim as u64, head_dim as u64)?;
        }
        let factor = match self.gguf.str(&key("rope.scaling.type")) {
            Some("none") => 1.0,
            _ => {
                let older = self.f32_above_zero(&key("rope.scale_linear"), Some(1.0))?;
                self.f32_above_zero(&key("rope.scaling.factor"), Some(older))?
            }
        };
        let base = self.f32_above_zero(&key("rope.freq_base"), Some(10_000.0))?;
        let rotation = Rotation { base, scale: 1.0 / factor };
        Ok(ModelShape {
            architecture,
            n_layer,
            n_embd,
            n_ff,
            n_head,
            n_head_kv,
            head_dim,
            rms_eps: self.f32_above_zero(&key("attention.layer_norm_rms_epsilon"), None)?,
            rotation,
            window: self.window(architecture, n_layer, rotation)?,
            attention_scale: match architecture.largest_layers == Some(n_layer) {
                true => (n_embd / n_head) as f32,
                false => head_dim as f32,
            }
            .sqrt()
            .recip(),
            attention_cap: architecture
                .attention_cap
                .map(|cap| self.f32_above_zero(&key("attn_logit_softcapping"), Some(cap)))
                .transpose()?,
            logit_cap: match architecture.logit_cap {
                LogitCap::Always(cap) => Some(self.f32_above_zero(&key("final_logit_softcapping"), Some(cap))?),
                LogitCap::Given if self.gguf.get(&key("final_logit_softcapping")).is_some() => {
                    Some(self.f32_above_zero(&key("final_logit_softcapping"), None)?)
                }
                LogitCap::Given | LogitCap::Never => None,
            },
            context: self.u32_in(&key("context_length"), None, 1, 1 << 24)?,
            n_vocab,
            tied: self.gguf.tensor("output.weight").is_none(),
        })
    }

    /// The blocks with a window.
    ///
    /// In Gemma these are all but every second or sixth block, unless the file says otherwise.
    fn window(&self, architecture: Architecture, n_layer: usize, full: Rotation) -> Result<Option<Window>> {
        let key = |k: &str| format!("{}.{k}", architecture.name);
        let Some(defaults) = architecture.window else { return Ok(None) };
        let rotation = match defaults.rotation_base {
            Some(base) => Rotation { base, scale: 1.0 },
            None => full,
        };
        let width = key("attention.sliding_window");
        let tokens = self.u32_in(&width, Some(defaults.tokens), defaults.least, 1 << 24)?;
        if tokens == 0 {
            return Ok(None);
        }
        let pattern = key("attention.sliding_window_pattern");
        let given = match self.gguf.get(&pattern) {
            Some(Value::Bools(blocks)) => Some(blocks.clone()),
            Some(Value::Uints(blocks, 32)) => Some(blocks.iter().map(|&b| b != 0).collect()),
            Some(Value::Ints(blocks, 32)) => Some(blocks.iter().map(|&b| b != 0).collect()),
            _ => None,
        };
        let blocks = match given {
            Some(blocks) if blocks.len() == n_layer => blocks,
            Some(blocks) => {
                return Err(self.bad(format!("{pattern} has {} entries, expected the {n_layer} blocks", blocks.len())));
            }
            None => {
                let period = self.u32_in(&pattern, Some(defaults.period), 0, 512)?;
                (0..n_layer).map(|i| period == 0 || i % period < period - 1).collect()
            }
        };
        let base = self.f32_above_zero(&key("rope.freq_base_swa"), Some(rotation.base))?;
        Ok(Some(Window { tokens, blocks, rotation: Rotation { base, ..rotation } }))
    }

    /// Checks the tokenizer's metadata and returns the vocabulary size.
    fn vocabulary(&self) -> Result<usize> {
        let kind = self.str("tokenizer.ggml.model")?;
        if !["llama", "gpt2"].contains(&kind) {
            return Err(self.bad(format!("tokenizer.ggml.model is {kind:?}, expected \"llama\" or \"gpt2\"")));
        }
        let tokens = self
            .gguf
            .strs("tokenizer.ggml.tokens")
            .ok_or_else(|| self.bad("tokenizer.ggml.tokens is missing or no array of texts"))?;
        if tokens.is_empty() {
            return Err(self.bad("tokenizer.ggml.tokens is empty"));
        }
        let lengths = [
            ("tokenizer.ggml.scores", self.array_len("tokenizer.ggml.scores", |v| matches!(v, Value::Floats(_, 32)))?),
            (
                "tokenizer.ggml.token_type",
                self.array_len("tokenizer.ggml.token_type", |v| matches!(v, Value::Ints(_, 32)))?,
            ),
        ];
        if lengths[1].1.is_none() {
            return Err(self.bad("tokenizer.ggml.token_type is missing, expected the types of all tokens"));
        }
        for (key, length) in lengths {
            if length.is_some_and(|n| n != tokens.len()) {
                return Err(self.bad(format!("{key} has another length than the {} tokens", tokens.len())));
            }
        }
        if kind == "gpt2" {
            // Without it llama.cpp guesses, and tokenises most texts in another way than the model's training did.
            self.str("tokenizer.ggml.pre")?;
            let merges = self
                .gguf
                .strs("tokenizer.ggml.merges")
                .ok_or_else(|| self.bad("tokenizer.ggml.merges is missing or no array of texts"))?;
            if let Some(bad) = merges.iter().find(|m| m.char_indices().skip(1).all(|(_, c)| c != ' ')) {
                return Err(self.bad(format!("merge {bad:?} is not two tokens with a space between")));
            }
        } else {
            let known: HashSet<&str> = tokens.iter().map(String::as_str).collect();
            if let Some(byte) = (0..=255_u8).find(|b| !known.contains(format!("<0x{b:02X}>").as_str())) {
                return Err(self.bad(format!("token <0x{byte:02X}> is missing, expected all 256 byte tokens")));
            }
        }
        if !matches!(self.gguf.uint("split.count"), None | Some(0 | 1)) {
            return Err(self.bad("split.count is above 1, expected the whole model in one file"));
        }
        for which in ["bos", "eos", "sep"] {
            let flag = format!("tokenizer.ggml.add_{which}_token");
            match self.gguf.get(&flag) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Bool(true)) => {
                    // llama.cpp's own defaults for the "llama" tokenizer are bos 1 and eos 2.
                    let id = if which == "sep" { "seperator".to_owned() } else { which.to_owned() };
                    let defaulted = kind == "llama" && which != "sep" && tokens.len() > 2;
                    if self.gguf.uint(&format!("tokenizer.ggml.{id}_token_id")).is_none() && !defaulted {
                        return Err(self.bad(format!("{flag} is true without a token id for it")));
                    }
                }
                Some(_) => return Err(self.bad(format!("{flag} is no boolean"))),
            }
        }
        Ok(tokens.len())
    }

    fn array_len(&self, key: &str, right_type: impl Fn(&Value) -> bool) -> Result<Option<usize>> {
        match self.gguf.get(key) {
            None => Ok(None),
            Some(v) if right_type(v) => Ok(Some(match v {
                Value::Floats(v, _) => v.len(),
                Value::Ints(v, _) => v.len(),
                _ => 0,
            })),
            Some(_) => Err(self.bad(format!("{key} is an array of the wrong type"))),
        }
    }

    /// Checks the tensors: all that the graph uses, and no others.
    ///
    /// Norms and biases must be F32: llama.cpp aborts on an optional bias or frequency factor of another type.
    fn tensors(&self, s: &ModelShape) -> Result<()> {
        let (d, heads, kv) = (s.n_embd, s.n_head * s.head_dim, s.n_head_kv * s.head_dim);
        let mut known = HashSet::new();
        let mut matrix = |name: String, rows: usize, columns: usize| -> Result<()> {
            self.expect(&name, &[rows as u64, columns as u64], false)?;
            known.insert(name);
            Ok(())
        };
        matrix("token_embd.weight".into(), d, s.n_vocab)?;
        if !s.tied && s.architecture.has_head {
            matrix("output.weight".into(), d, s.n_vocab)?;
        }
        for i in 0..s.n_layer {
            for (name, rows, columns) in [
                ("attn_q", d, heads),
                ("attn_k", d, kv),
                ("attn_v", d, kv),
                ("attn_output", heads, d),
                ("ffn_gate", d, s.n_ff),
                ("ffn_up", d, s.n_ff),
                ("ffn_down", s.n_ff, d),
            ] {
                matrix(format!("blk.{i}.{name}.weight"), rows, columns)?;
            }
        }
        let mut vector = |name: String, length: usize, required: bool| -> Result<()> {
            if required || self.gguf.tensor(&name).is_some() {
                self.expect(&name, &[length as u64], true)?;
                known.insert(name);
            }
            Ok(())
        };
        let (gemma, head_norms) = (s.architecture.is_gemma, s.architecture.norms_heads);
        vector("output_norm.weight".into(), d, true)?;
        if s.architecture.has_extras {
            for factors in ["rope_freqs", "rope_factors_long", "rope_factors_short"] {
                vector(format!("{factors}.weight"), s.head_dim / 2, false)?;
            }
        }
        for i in 0..s.n_layer {
            for (name, length, has) in [
                ("attn_norm", d, true),
                ("ffn_norm", d, true),
                ("attn_q_norm", s.head_dim, head_norms),
                ("attn_k_norm", s.head_dim, head_norms),
                ("post_attention_norm", d, gemma),
                ("post_ffw_norm", d, gemma),
            ] {
                if has {
                    vector(format!("blk.{i}.{name}.weight"), length, true)?;
                }
            }
            for (name, length) in [("attn_q", heads), ("attn_k", kv), ("attn_v", kv)] {
                vector(format!("blk.{i}.{name}.bias"), length, s.architecture.has_biases)?;
            }
            if s.architecture.has_extras {
                for (name, length) in [("attn_output", d), ("ffn_gate", s.n_ff), ("ffn_up", s.n_ff), ("ffn_down", d)] {
                    vector(format!("blk.{i}.{name}.bias"), length, false)?;
                }
            }
        }
        match self.gguf.tensors().iter().find(|t| !known.contains(&t.name)) {
            None => Ok(()),
            Some(t) => {
                let name = s.architecture.name;
                Err(self.bad(format!("tensor {} is not one of a dense {name} model's", t.name)))
            }
        }
    }

    fn expect(&self, name: &str, dims: &[u64], float: bool) -> Result<()> {
        let tensor = self.gguf.tensor(name).ok_or_else(|| self.bad(format!("tensor {name} is missing")))?;
        let fits = (0..4).all(|i| tensor.dim(i) == dims.get(i).copied().unwrap_or(1));
        if !fits {
            return Err(self.bad(format!("tensor {name} has dimensions {:?}, expected {dims:?}", tensor.dims)));
        }
        if float && tensor.ty != GgmlType::F32 {
            return Err(self.bad(format!("tensor {name} is {}, expected F32", tensor.ty.name)));
        }
        Ok(())
    }
}
