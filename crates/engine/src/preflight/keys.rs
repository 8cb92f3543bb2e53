//! The table of metadata keys.
//!
//! It has every key that the pinned llama.cpp reads for an architecture accepted here. A key of a model's architecture
//! or tokenizer that is not in the table is refused: nobody has read what llama.cpp does with it. A test compares the
//! table with the sources of the pinned llama.cpp.

use super::architecture::Architecture;
use crate::gguf::{Gguf, Value};

/// Which values a key may have.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// A text.
    Text,
    /// One of some texts.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// One truth value, which is what happens without the key, too.
    Always(bool),
    /// A 32-bit unsigned integer from the first to the second.
    Count(u32, u32),
    /// A finite 32-bit float above 0.
    Positive,
    /// The id of a token: a 32-bit unsigned integer in the vocabulary.
    Id,
    /// The id of a token that is never used here, in the vocabulary or not.
    UnusedId,
    /// An array of texts.
    Texts,
    /// An array of 32-bit floats.
    Floats,
    /// An array of 32-bit signed integers.
    Ints,
    /// A count, or an array with a value a block.
    Period,
    /// Any value: llama.cpp does not read the key for these architectures.
    Unread,
    /// No value: this library cannot do what the key asks for.
    Absent,
}

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The key stands as it is.
    Any,
    /// After the name of the model's architecture and a dot.
    Architecture,
    /// After `tokenizer.ggml.`.
    Tokenizer,
}

/// A key of the table.
#[derive(Debug, Clone, Copy)]
pub struct MetadataKey {
    /// Whose key it is.
    pub scope: Scope,
    /// The rest of its name.
    pub name: &'static str,
    /// Which values it may have.
    pub rule: Rule,
}

const fn any(name: &'static str, rule: Rule) -> MetadataKey {
    MetadataKey { scope: Scope::Any, name, rule }
}

const fn own(name: &'static str, rule: Rule) -> MetadataKey {
    MetadataKey { scope: Scope::Architecture, name, rule }
}

const fn word(name: &'static str, rule: Rule) -> MetadataKey {
    MetadataKey { scope: Scope::Tokenizer, name, rule }
}

const NONE: Rule = Rule::Count(0, 0);
const WIDTH: Rule = Rule::Count(2, 1024);
const LARGE: Rule = Rule::Count(1, 1 << 24);

/// Every key, by scope.
///
/// A range is the widest that any architecture allows; `preflight::model` checks how the values fit each other.
pub static KEYS: &[MetadataKey] = &[
    any("general.architecture", Rule::Text),
    any("general.type", Rule::OneOf(&["model"])),
    any("general.name", Rule::Text),
    any("general.file_type", Rule::Count(0, u32::MAX)),
    any("general.alignment", Rule::Count(32, 4096)),
    any("general.quantization_version", Rule::Count(0, u32::MAX)),
    any("general.tensor_extra.name", Rule::Absent),
    any("general.tensor_extra.prec_a4", Rule::Absent),
    any("split.no", Rule::Unread),
    any("split.count", Rule::Unread),
    any("split.tensors.count", Rule::Unread),
    any("tokenizer.chat_template", Rule::Text),
    any("tokenizer.huggingface.json", Rule::Unread),
    any("tokenizer.rwkv.world", Rule::Unread),
    own("vocab_size", LARGE),
    own("context_length", LARGE),
    own("embedding_length", Rule::Count(1, 1 << 20)),
    own("embedding_length_out", Rule::Absent),
    own("block_count", Rule::Count(1, 512)),
    own("feed_forward_length", Rule::Count(1, 1 << 22)),
    own("pooling_type", Rule::Count(0, 4)),
    own("classifier.pooling_type", Rule::Absent),
    own("classifier.output_labels", Rule::Absent),
    own("expert_count", NONE),
    own("expert_used_count", NONE),
    own("expert_group_count", NONE),
    own("expert_group_used_count", NONE),
    own("nextn_predict_layers", NONE),
    own("attention.head_count", Rule::Count(1, 1024)),
    own("attention.head_count_kv", Rule::Count(1, 1024)),
    own("attention.key_length", WIDTH),
    own("attention.value_length", WIDTH),
    own("attention.key_length_swa", WIDTH),
    own("attention.value_length_swa", WIDTH),
    own("attention.layer_norm_rms_epsilon", Rule::Positive),
    own("attention.causal", Rule::Always(true)),
    own("attention.sliding_window", Rule::Count(0, 1 << 24)),
    own("attention.sliding_window_pattern", Rule::Period),
    own("attn_logit_softcapping", Rule::Positive),
    own("final_logit_softcapping", Rule::Positive),
    own("rope.dimension_count", WIDTH),
    own("rope.dimension_count_swa", WIDTH),
    own("rope.freq_base", Rule::Positive),
    own("rope.freq_base_swa", Rule::Positive),
    own("rope.scale_linear", Rule::Positive),
    own("rope.scaling.type", Rule::OneOf(&["none", "linear", "yarn", "longrope"])),
    own("rope.scaling.factor", Rule::Positive),
    own("rope.scaling.alpha", Rule::Absent),
    own("rope.scaling.attn_factor", Rule::Positive),
    own("rope.scaling.original_context_length", LARGE),
    own("rope.scaling.finetuned", Rule::Flag),
    // What converters write and llama.cpp does not read.
    own("attention.layer_norm_epsilon", Rule::Unread),
    own("mm.tokens_per_image", Rule::Unread),
    own("tensor_data_layout", Rule::Unread),
    own("use_parallel_residual", Rule::Unread),
    own("rope.scaling.yarn_beta_fast", Rule::Unread),
    own("rope.scaling.yarn_beta_slow", Rule::Unread),
    own("rope.scaling.yarn_log_multiplier", Rule::Unread),
    word("model", Rule::OneOf(&["llama", "gpt2"])),
    word("pre", Rule::Text),
    word("tokens", Rule::Texts),
    word("scores", Rule::Floats),
    word("token_type", Rule::Ints),
    word("token_type_count", Rule::Count(0, u32::MAX)),
    word("merges", Rule::Texts),
    word("suppress_tokens", Rule::Absent),
    word("precompiled_charsmap", Rule::Absent),
    word("normalizer.lowercase", Rule::Always(false)),
    word("normalizer.strip_accents", Rule::Always(false)),
    word("add_space_prefix", Rule::Flag),
    word("remove_extra_whitespaces", Rule::Always(false)),
    word("add_bos_token", Rule::Flag),
    word("add_eos_token", Rule::Flag),
    word("add_sep_token", Rule::Flag),
    word("bos_token_id", Rule::Id),
    word("eos_token_id", Rule::Id),
    word("eot_token_id", Rule::Id),
    word("eom_token_id", Rule::Id),
    word("unknown_token_id", Rule::Id),
    word("seperator_token_id", Rule::UnusedId),
    word("padding_token_id", Rule::UnusedId),
    word("cls_token_id", Rule::UnusedId),
    word("mask_token_id", Rule::UnusedId),
    word("fim_pre_token_id", Rule::UnusedId),
    word("fim_suf_token_id", Rule::UnusedId),
    word("fim_mid_token_id", Rule::UnusedId),
    word("fim_pad_token_id", Rule::UnusedId),
    word("fim_rep_token_id", Rule::UnusedId),
    word("fim_sep_token_id", Rule::UnusedId),
    word("prefix_token_id", Rule::UnusedId),
    word("suffix_token_id", Rule::UnusedId),
    word("middle_token_id", Rule::UnusedId),
];

/// The first key that breaks the table, in words.
///
/// The vocabulary has `n_vocab` tokens.
pub fn broken(gguf: &Gguf, architecture: Architecture, n_vocab: usize) -> Option<String> {
    let prefix = format!("{}.", architecture.name);
    gguf.keys().iter().find_map(|key| {
        let (scope, name) = match (key.strip_prefix(&prefix), key.strip_prefix("tokenizer.ggml.")) {
            (Some(name), _) => (Scope::Architecture, name),
            (None, Some(name)) => (Scope::Tokenizer, name),
            (None, None) => (Scope::Any, key.as_str()),
        };
        match KEYS.iter().find(|known| known.scope == scope && known.name == name) {
            Some(known) => gguf.get(key).and_then(|value| problem(known.rule, key, value, n_vocab)),
            // Names, licences and notes of other tools are nobody's business; another architecture's keys are not read.
            None if scope == Scope::Any && !key.starts_with("tokenizer.") => None,
            // Named templates for other purposes than a conversation.
            None if key.starts_with("tokenizer.chat_template") => None,
            None => Some(format!("{key} is a key that this library does not know, expected a model without it")),
        }
    })
}

fn problem(rule: Rule, key: &str, value: &Value, n_vocab: usize) -> Option<String> {
    let is = |expected: &str| Some(format!("{key} is {value}, expected {expected}"));
    match (rule, value) {
        (Rule::Unread, _) | (Rule::Text, Value::Str(_)) | (Rule::Flag, Value::Bool(_)) => None,
        (Rule::Texts, Value::Strs(_)) | (Rule::Floats, Value::Floats(_, 32)) | (Rule::Ints, Value::Ints(_, 32)) => None,
        (Rule::Period, Value::Uint(_, 32) | Value::Bools(_) | Value::Uints(_, 32) | Value::Ints(_, 32)) => None,
        (Rule::UnusedId, Value::Uint(_, 32)) => None,
        (Rule::OneOf(texts), Value::Str(text)) if texts.contains(&text.as_str()) => None,
        (Rule::Always(one), Value::Bool(value)) if one == *value => None,
        (Rule::Count(low, high), &Value::Uint(value, 32)) if (u64::from(low)..=u64::from(high)).contains(&value) => {
            None
        }
        (Rule::Positive, &Value::F32(value)) if value.is_finite() && value > 0.0 => None,
        (Rule::Id, &Value::Uint(value, 32)) if value < n_vocab as u64 => None,
        (Rule::Absent, _) => Some(format!("{key} is set, expected a model without it")),
        (Rule::Text, _) => is("a text"),
        (Rule::OneOf(texts), _) => is(&texts.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(" or ")),
        (Rule::Flag, _) => is("true or false"),
        (Rule::Always(one), _) => is(&format!("{one}")),
        (Rule::Count(low, high), _) => is(&format!("a u32 from {low} to {high}")),
        (Rule::Positive, _) => is("an f32 above 0"),
        (Rule::Id, _) => is(&format!("the id of one of the {n_vocab} tokens")),
        (Rule::UnusedId, _) => is("a u32"),
        (Rule::Texts, _) => is("an array of texts"),
        (Rule::Floats, _) => is("an array of f32"),
        (Rule::Ints, _) => is("an array of i32"),
        (Rule::Period, _) => is("a u32, or an array with a value a block"),
    }
}
