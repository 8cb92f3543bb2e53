//! Embeddings of texts by a language model.
//!
//! They are the mean of its last hidden states, or the last state if the GGUF's pooling type says so.

use super::context::Entry;
use super::model::MAX_TEXT;
use super::params::OUTPUTS;
use super::{CancelToken, Context, ContextOptions, Model, Token};
use crate::{Error, Result};

/// A context that reads texts, one at a time.
#[derive(Debug)]
pub struct HiddenStates {
    context: Context,
    pooling: Pooling,
}

/// What is made of a text's hidden states, one a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    Mean,
    /// GGUF's `pooling_type` 3: embedding models made from causal ones.
    Last,
}

impl HiddenStates {
    /// A context of its own on a model.
    ///
    /// Texts may be as long as [`ContextOptions::context`].
    ///
    /// # Errors
    /// [`Error::UnsupportedModel`] for a model with another pooling; [`Error::Option`] and [`Error::Llama`] as
    /// [`Context::new`].
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self> {
        let architecture = model.gguf().str("general.architecture").unwrap_or_default();
        let pooling = match model.gguf().uint(&format!("{architecture}.pooling_type")) {
            None | Some(0 | 1) => Pooling::Mean,
            Some(3) => Pooling::Last,
            Some(other) => {
                return Err(Error::UnsupportedModel {
                    file: model.path().display().to_string(),
                    problem: format!("pools hidden states by type {other}, expected 1 (mean) or 3 (the last)"),
                });
            }
        };
        Ok(Self { context: Context::of_states(model, options)?, pooling })
    }

    /// The model it runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.context.model()
    }

    /// The flag that stops it, from any thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.context.cancel_token()
    }

    /// A text's vector, not normalised; a long text is truncated.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Llama`], also if a hidden state is NaN or infinite.
    pub fn of(&mut self, text: &str) -> Result<Vec<f32>> {
        let model = self.context.model();
        let mut tokens: Vec<Token> = model.start_of_text().into_iter().collect();
        tokens.extend(model.tokenize(&text[..text.floor_char_boundary(MAX_TEXT)], false)?);
        if self.pooling == Pooling::Last || tokens.is_empty() {
            // Models with last-state pooling were trained to end a text with this token; an empty text is the token
            // alone.
            let room = self.context.capacity() - 1;
            tokens.truncate(room);
            tokens.extend(model.end_of_text().or(model.end_of_turn()));
        }
        tokens.truncate(self.context.capacity());
        self.context.clear();
        let mut sum: Vec<f64> = Vec::new();
        let mut last: Vec<f32> = Vec::new();
        for (i, chunk) in tokens.chunks(OUTPUTS).enumerate() {
            let entry = |(j, &token)| Entry { token, position: i * OUTPUTS + j, sequences: 0..1, output: true };
            self.context.decode(&chunk.iter().enumerate().map(entry).collect::<Vec<_>>())?;
            for j in 0..chunk.len() {
                let state = self.context.state(j)?;
                sum.resize(state.len(), 0.0);
                sum.iter_mut().zip(state).for_each(|(sum, x)| *sum += f64::from(*x));
                last = state.to_vec();
            }
        }
        let vector = match self.pooling {
            Pooling::Mean => sum.iter().map(|sum| (sum / tokens.len() as f64) as f32).collect(),
            Pooling::Last => last,
        };
        if vector.is_empty() || vector.iter().any(|x| !x.is_finite()) {
            let reason = "a hidden state is NaN or infinite; the model is damaged".into();
            return Err(Error::Llama { action: "read hidden states", reason });
        }
        Ok(vector)
    }
}
