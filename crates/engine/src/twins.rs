//! Vocabularies in which several tokens have the same text.
//!
//! Such files exist, official ones among them (llama.cpp's issue 25739), and llama.cpp's assertions refuse them. Here
//! llama.cpp reads a header in which all tokens of a text but one have other names.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::Token;
use super::gguf::{Gguf, GgufWriter, Value};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
/// Numbers of `tokenizer.ggml.token_type`.
const NORMAL: i64 = 1;
const CONTROL: i64 = 3;
const BYTE: i64 = 6;

/// Tokens whose text becomes another token, with that token.
///
/// A text becomes its control token, as the template was trained with, or else its byte token, or else the first of its
/// tokens.
pub(super) fn twins(gguf: &Gguf) -> HashMap<Token, Token> {
    let types = types(gguf);
    let tokens = gguf.strs(TOKENS).unwrap_or_default();
    let rank = |token: Token| match types.get(token as usize) {
        _ if tokens[token as usize].is_empty() => 0,
        Some(&CONTROL) => 3,
        Some(&BYTE) => 2,
        _ => 1,
    };
    let mut chosen: HashMap<Cow<str>, Token> = HashMap::new();
    let mut others = Vec::new();
    for (token, text) in (0..).zip(tokens) {
        // As llama.cpp names empty tokens.
        let text = if text.is_empty() { format!("[EMPTY_{token}]").into() } else { Cow::from(text) };
        match chosen.entry(text) {
            Entry::Vacant(vacant) => _ = vacant.insert(token),
            Entry::Occupied(mut first) => {
                let other = if rank(token) > rank(*first.get()) { first.insert(token) } else { token };
                others.push((other, first.key().clone()));
            }
        }
    }
    others.into_iter().map(|(token, text)| (token, chosen[&text])).collect()
}

/// The header for llama.cpp: a token that has a twin gets a name of its own there.
///
/// The tokenizer finds the name in no text, because the token's type is that of an ordinary token: no word of the
/// vocabulary leads to it.
pub(super) fn without_twins(gguf: &Gguf, twins: &HashMap<Token, Token>) -> GgufWriter {
    let mut writer = GgufWriter::of(gguf);
    if twins.is_empty() {
        return writer;
    }
    let mut texts = gguf.strs(TOKENS).unwrap_or_default().to_vec();
    let mut types = types(gguf).to_vec();
    let taken: HashSet<String> = texts.iter().cloned().collect();
    for &token in twins.keys() {
        let mut name = format!("\u{10ffff}{token}");
        while taken.contains(&name) {
            name.insert(0, '\u{10ffff}');
        }
        texts[token as usize] = name;
        types[token as usize] = NORMAL;
    }
    writer.set(TOKENS, Value::Strs(texts)).set(TYPES, Value::Ints(types, 32));
    writer
}

fn types(gguf: &Gguf) -> &[i64] {
    match gguf.get(TYPES) {
        Some(Value::Ints(types, _)) => types,
        _ => &[],
    }
}
