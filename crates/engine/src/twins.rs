//! Vocabularies in which several tokens have the same text.
//!
//! Such files exist, official ones among them (llama.cpp's issue 25739), and llama.cpp's assertions refuse them. Here
//! llama.cpp reads a header in which all tokens of a text but one have other names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Token;
use super::gguf::{Gguf, GgufWriter, Value};

const TOKENS: &str = "tokenizer.ggml.tokens";
/// The number of a control token's type.
const CONTROL: i64 = 3;

/// Tokens whose text becomes another token, with that token.
///
/// A text becomes its control token, as the template was trained with, or else the first of its tokens.
pub(super) fn twins(gguf: &Gguf) -> HashMap<Token, Token> {
    let control = |token: Token| match gguf.get("tokenizer.ggml.token_type") {
        Some(Value::Ints(types, _)) => types.get(token as usize) == Some(&CONTROL),
        _ => false,
    };
    let mut chosen: HashMap<&str, Token> = HashMap::new();
    let mut others = Vec::new();
    // llama.cpp gives empty tokens names of their own.
    let tokens = gguf.strs(TOKENS).unwrap_or_default().iter().enumerate().filter(|(_, text)| !text.is_empty());
    for (token, text) in tokens {
        let token = token as Token;
        match chosen.entry(text) {
            Entry::Vacant(vacant) => _ = vacant.insert(token),
            Entry::Occupied(mut first) if control(token) && !control(*first.get()) => {
                others.push((first.insert(token), text));
            }
            Entry::Occupied(_) => others.push((token, text)),
        }
    }
    others.into_iter().map(|(token, text)| (token, chosen[text.as_str()])).collect()
}

/// The header with a name of its own for every token that has a twin.
pub(super) fn without_twins(gguf: &Gguf, twins: &HashMap<Token, Token>) -> Vec<u8> {
    let tokens = gguf.strs(TOKENS).unwrap_or_default().iter().enumerate().map(|(token, text)| {
        // No text has a noncharacter of Unicode in it.
        if twins.contains_key(&(token as Token)) { format!("\u{10ffff}{token}") } else { text.clone() }
    });
    let mut writer = GgufWriter::new();
    for key in gguf.keys() {
        writer.set(key, gguf.get(key).expect("listed").clone());
    }
    writer.set(TOKENS, Value::Strs(tokens.collect()));
    for tensor in gguf.tensors() {
        writer.declare(&tensor.name, &tensor.dims, tensor.ty);
    }
    writer.head()
}
