//! Preflight of a LoRA adapter file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ModelShape;
use crate::gguf::{GgmlType, Gguf, Tensor, Value};
use crate::{Error, Result};

/// The largest rank accepted.
const MAX_RANK: u64 = 4096;

/// What an adapter holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterShape {
    /// Numerator of the scale `alpha / rank`; 0 or absent means a scale of 1.
    pub alpha: f32,
    /// Largest rank among the pairs.
    pub rank: usize,
    /// Base tensors it changes, in name order.
    pub targets: Vec<String>,
}

/// Checks an adapter without its model; `read` fetches a tensor's bytes.
///
/// # Errors
/// [`Error::UnsupportedAdapter`] naming the key or tensor.
pub fn check_adapter(gguf: &Gguf, mut read: impl FnMut(&Tensor) -> Result<Vec<u8>>) -> Result<AdapterShape> {
    let bad = |problem: String| Error::UnsupportedAdapter { file: gguf.file.clone(), problem };
    for (key, expected) in [("general.type", "adapter"), ("adapter.type", "lora")] {
        match gguf.get(key) {
            Some(Value::Str(s)) if s == expected => {}
            Some(other) => return Err(bad(format!("{key} is {other}, expected {expected:?}"))),
            None => return Err(bad(format!("{key} is missing, expected {expected:?}"))),
        }
    }
    if gguf.str("general.architecture").is_none() {
        return Err(bad("general.architecture is missing or no text".into()));
    }
    let alpha = match gguf.get("adapter.lora.alpha") {
        None => 0.0,
        Some(&Value::F32(a)) if a.is_finite() => a,
        Some(other) => return Err(bad(format!("adapter.lora.alpha is {other}, expected a finite f32"))),
    };
    if gguf.get("adapter.alora.invocation_tokens").is_some() {
        return Err(bad("adapter.alora.invocation_tokens is set, expected a plain LoRA adapter".into()));
    }
    let mut rank = 0;
    let mut targets = Vec::new();
    for (target, [a, b]) in pairs(gguf)? {
        // llama.cpp multiplies adapters in only where its graph calls build_lora_mm; anywhere else it ignores them, and
        // the embedding of a tied model makes it abort.
        if !applies(target) {
            return Err(bad(format!("{target} is no linear layer that an adapter can change")));
        }
        let flat = |t: &Tensor| t.dim(2) == 1 && t.dim(3) == 1;
        if !flat(a) || !flat(b) {
            return Err(bad(format!("{target}: dimensions {:?} and {:?}, expected two each", a.dims, b.dims)));
        }
        let r = a.dim(1);
        if !(1..=MAX_RANK).contains(&r) || b.dim(0) != r {
            return Err(bad(format!("{target}: ranks {r} and {}, expected one from 1 to {MAX_RANK}", b.dim(0))));
        }
        for t in [a, b] {
            if ![GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0].contains(&t.ty) {
                return Err(bad(format!("{} is {}, expected F32, F16, BF16 or Q8_0", t.name, t.ty.name)));
            }
            if !finite(t.ty, &read(t)?) {
                return Err(bad(format!("{} holds NaN or infinity", t.name)));
            }
        }
        rank = rank.max(r as usize);
        targets.push(target.to_owned());
    }
    Ok(AdapterShape { alpha, rank, targets })
}

/// Checks a well-formed adapter against the model it is to change.
///
/// # Errors
/// [`Error::AdapterMismatch`] naming the architecture or tensor of another model.
pub fn check_fit(gguf: &Gguf, base: &Gguf, shape: &ModelShape) -> Result<()> {
    let mismatch = |problem: String| Error::AdapterMismatch { file: gguf.file.clone(), problem };
    let (found, expected) = (gguf.str("general.architecture"), shape.architecture.name);
    if found != Some(expected) {
        return Err(mismatch(format!("architecture {}, the model's is {expected}", found.unwrap_or_default())));
    }
    for (target, [a, b]) in pairs(gguf)? {
        let w = base.tensor(target).ok_or_else(|| mismatch(format!("the model has no tensor {target}")))?;
        let (found, expected) = ([a.dim(0), b.dim(1)], [w.dim(0), w.dim(1)]);
        if found != expected {
            return Err(mismatch(format!("{target} maps {found:?}, the model's maps {expected:?}")));
        }
    }
    Ok(())
}

/// Both halves of every target, `.lora_a` first, in name order.
fn pairs(gguf: &Gguf) -> Result<Vec<(&str, [&Tensor; 2])>> {
    let bad = |problem: String| Error::UnsupportedAdapter { file: gguf.file.clone(), problem };
    let mut pairs: BTreeMap<&str, [Option<&Tensor>; 2]> = BTreeMap::new();
    for tensor in gguf.tensors() {
        let (target, side) = if let Some(target) = tensor.name.strip_suffix(".lora_a") {
            (target, 0)
        } else if let Some(target) = tensor.name.strip_suffix(".lora_b") {
            (target, 1)
        } else {
            return Err(bad(format!("tensor {} is neither a .lora_a nor a .lora_b", tensor.name)));
        };
        pairs.entry(target).or_default()[side] = Some(tensor);
    }
    if pairs.is_empty() {
        return Err(bad("holds no tensors, expected at least one .lora_a and .lora_b pair".into()));
    }
    pairs
        .into_iter()
        .map(|(target, pair)| match pair {
            [Some(a), Some(b)] => Ok((target, [a, b])),
            _ => Err(bad(format!("{target} has only one half, expected .lora_a and .lora_b"))),
        })
        .collect()
}

fn applies(target: &str) -> bool {
    const LINEAR: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
    target == "output.weight"
        || target
            .strip_prefix("blk.")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(_, name)| name.strip_suffix(".weight"))
            .is_some_and(|name| LINEAR.contains(&name))
}

/// Whether every float of an encoded tensor is finite.
///
/// Of Q8_0 blocks the scale is the only float.
fn finite(ty: GgmlType, bytes: &[u8]) -> bool {
    let half_finite = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).is_finite();
    if ty == GgmlType::F32 {
        bytes.chunks_exact(4).all(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite())
    } else if ty == GgmlType::F16 {
        bytes.chunks_exact(2).all(half_finite)
    } else if ty == GgmlType::BF16 {
        bytes.chunks_exact(2).all(|b| half::bf16::from_le_bytes([b[0], b[1]]).is_finite())
    } else {
        bytes.chunks_exact(ty.block_bytes as usize).all(half_finite)
    }
}
