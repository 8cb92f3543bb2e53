//! Models as GGUF files.

use std::path::Path;

use probity_engine::files::write_whole;
use probity_engine::gguf::{GgmlType, GgufWriter, Value};
use probity_engine::numeric::encode;
use probity_engine::preflight::ModelShape;

use super::decoder::Decoder;
use super::vocab::{TEMPLATE, Vocabulary};
use crate::Result;

/// Writes a pretrained model: matrices as `ty`, norms as F32.
///
/// `notes` become `probity.*` metadata.
///
/// # Errors
/// [`probity_engine::Error::Io`].
pub fn write_model(
    path: &Path,
    decoder: &Decoder,
    theta: &[f32],
    vocabulary: &Vocabulary,
    ty: GgmlType,
    notes: &[(&str, String)],
) -> Result<()> {
    let shape = decoder.shape();
    let mut w = GgufWriter::new();
    w.set_str("general.type", "model");
    w.set_str("general.name", "probity-default");
    w.set_str("general.license", "MIT OR Apache-2.0");
    let file_type = [(GgmlType::F32, 0), (GgmlType::F16, 1), (GgmlType::Q8_0, 7)];
    if let Some((_, number)) = file_type.iter().find(|(t, _)| *t == ty) {
        w.set_u32("general.file_type", *number);
    }
    set_shape(&mut w, shape);

    const NORMAL: i64 = 1;
    const CONTROL: i64 = 3;
    let types = (0..shape.n_vocab).map(|i| if i < super::vocab::CONTROL.len() { CONTROL } else { NORMAL }).collect();
    w.set_str("tokenizer.ggml.model", "gpt2");
    w.set_str("tokenizer.ggml.pre", "gpt-2");
    w.set("tokenizer.ggml.tokens", Value::Strs(vocabulary.tokens.clone()));
    w.set("tokenizer.ggml.token_type", Value::Ints(types, 32));
    w.set("tokenizer.ggml.merges", Value::Strs(vocabulary.merges.clone()));
    w.set_u32("tokenizer.ggml.eos_token_id", 0);
    w.set_u32("tokenizer.ggml.eot_token_id", 0);
    w.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
    w.set_str("tokenizer.chat_template", TEMPLATE);
    for (name, value) in notes {
        w.set_str(&format!("probity.{name}"), value.clone());
    }
    for (name, dims, range) in decoder.base_tensors() {
        let ty = if dims.len() == 1 { GgmlType::F32 } else { ty };
        w.tensor(name, dims, ty, encode(ty, &theta[range.clone()], dims[0] as usize));
    }
    Ok(write_whole(path, |mut sink| w.write(&mut sink))?)
}

/// Writes a shape into the metadata of a model.
pub fn set_shape(w: &mut GgufWriter, shape: &ModelShape) {
    w.set_str("general.architecture", shape.architecture.name);
    let key = |k: &str| format!("{}.{k}", shape.architecture.name);
    for (name, value) in [
        ("context_length", shape.context),
        ("embedding_length", shape.n_embd),
        ("block_count", shape.n_layer),
        ("feed_forward_length", shape.n_ff),
        ("attention.head_count", shape.n_head),
        ("attention.head_count_kv", shape.n_head_kv),
        ("attention.key_length", shape.head_dim),
        ("attention.value_length", shape.head_dim),
        ("rope.dimension_count", shape.head_dim),
        ("vocab_size", shape.n_vocab),
    ] {
        w.set_u32(&key(name), value as u32);
    }
    w.set_f32(&key("attention.layer_norm_rms_epsilon"), shape.rms_eps);
    w.set_f32(&key("rope.freq_base"), shape.rotation.base);
    if shape.rotation.scale != 1.0 {
        w.set_str(&key("rope.scaling.type"), "linear").set_f32(&key("rope.scaling.factor"), 1.0 / shape.rotation.scale);
    }
    if let Some(window) = &shape.window {
        w.set_u32(&key("attention.sliding_window"), window.tokens as u32);
        w.set(&key("attention.sliding_window_pattern"), Value::Bools(window.blocks.clone()));
        w.set_f32(&key("rope.freq_base_swa"), window.rotation.base);
    }
    if let Some(cap) = shape.attention_cap {
        w.set_f32(&key("attn_logit_softcapping"), cap);
    }
    if let Some(cap) = shape.logit_cap {
        w.set_f32(&key("final_logit_softcapping"), cap);
    }
}
