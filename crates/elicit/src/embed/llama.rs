//! A GGUF language model as an embedder; it needs no other runtime.

use probity_engine::{ContextOptions, HiddenStates, Model};

use super::{Embedder, normalise};
use crate::Result;

/// Most tokens of a text.
const LENGTH: usize = 512;

/// An embedder on a model.
#[derive(Debug)]
pub struct LlamaEmbedder {
    states: HiddenStates,
    fingerprint: String,
}

impl LlamaEmbedder {
    /// An embedder with a context of its own.
    ///
    /// # Errors
    /// As [`HiddenStates::new`].
    pub fn new(model: &Model) -> Result<Self> {
        let options = ContextOptions::default().with(|o| o.context = LENGTH.min(model.shape().context));
        let fingerprint = format!("llama.cpp {}", model.fingerprint());
        Ok(Self { states: HiddenStates::new(model, options)?, fingerprint })
    }
}

impl Embedder for LlamaEmbedder {
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let embed = |text: &&str| {
            let mut vector = self.states.of(text)?;
            normalise(&mut vector);
            Ok(vector)
        };
        texts.iter().map(embed).collect()
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
