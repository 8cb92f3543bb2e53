//! The built-in model's tokenizer: a byte-level BPE trained on the corpus.
//!
//! llama.cpp's `gpt-2` pre-tokenizer splits the same bytes the same way.

use probity_engine::gguf::Gguf;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::corpus;
use super::labels;
use crate::{Error, Result};

/// Control tokens, in order of id, before everything else.
pub const CONTROL: [&str; 3] = ["<|end|>", "<|user|>", "<|assistant|>"];

/// The chat template of the default model.
pub const TEMPLATE: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\
                            {% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}\
                            {% if add_generation_prompt %}<|assistant|>{% endif %}";

/// A trained vocabulary.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Tokens by id, in GGUF's byte-level spelling; the control tokens first.
    pub tokens: Vec<String>,
    /// Merges, most frequent first, as GGUF spells them.
    pub merges: Vec<String>,
}

impl Vocabulary {
    /// The vocabulary of a model that this program made.
    #[must_use]
    pub fn of(gguf: &Gguf) -> Self {
        let list = |name| gguf.strs(name).map(<[String]>::to_vec).unwrap_or_default();
        Self { tokens: list("tokenizer.ggml.tokens"), merges: list("tokenizer.ggml.merges") }
    }
}

/// Trains a vocabulary of `size` tokens on `lessons` lessons of the corpus.
///
/// # Errors
/// [`Error::Training`] with the tokenizer library's reason.
pub fn train(size: usize, seed: u64, lessons: u64) -> Result<Vocabulary> {
    let failed = |e: tokenizers::Error| Error::Training { problem: format!("vocabulary: {e}") };
    // A digit with the space before it is a token of its own and never merges with another digit. At run time the
    // pre-tokenizer keeps "18" together; without a merge for it the word still splits into its digits.
    let digits = Split::new(SplitPattern::Regex(r" ?\p{N}".into()), SplitDelimiterBehavior::Isolated, false);
    let pre: Vec<PreTokenizerWrapper> = vec![digits.map_err(failed)?.into(), ByteLevel::new(false, false, true).into()];
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(pre)));
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(size - CONTROL.len())
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    let texts = (0..lessons).flat_map(|i| {
        // Half of them with plain labels, so that their syllables become tokens.
        let mixture = corpus::Mixture { plain: 0.5, lists: 0.2, ..corpus::Mixture::default() };
        let lesson = corpus::lesson(seed, i, labels::Split::Train, [6, 2], mixture);
        let questions = lesson.chains.into_iter().flatten().flat_map(|q| std::iter::once(q.asked).chain(q.answers));
        std::iter::once(lesson.rules).chain(questions)
    });
    tokenizer.train(&mut trainer, texts).map_err(failed)?;

    let json = tokenizer.to_string(false).map_err(failed)?;
    let document: serde_json::Value =
        serde_json::from_str(&json).map_err(|e| Error::Training { problem: format!("vocabulary: {e}") })?;
    let model = &document["model"];
    let mut tokens = vec![String::new(); size];
    for (i, name) in CONTROL.iter().enumerate() {
        tokens[i] = (*name).into();
    }
    let vocab = model["vocab"].as_object().into_iter().flatten();
    for (token, id) in vocab {
        let id = id.as_u64().unwrap_or(u64::MAX) as usize;
        let Some(slot) = tokens.get_mut(CONTROL.len().saturating_add(id)) else {
            return Err(Error::Training { problem: format!("vocabulary: token {token:?} has the number {id}") });
        };
        *slot = token.clone();
    }
    if tokens.iter().any(String::is_empty) {
        return Err(Error::Training {
            problem: format!("vocabulary: {size} tokens asked for, the corpus gives fewer"),
        });
    }
    let merges = model["merges"].as_array().into_iter().flatten().map(|m| match m {
        serde_json::Value::Array(pair) => pair.iter().filter_map(|p| p.as_str()).collect::<Vec<_>>().join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    });
    Ok(Vocabulary { tokens, merges: merges.collect() })
}
