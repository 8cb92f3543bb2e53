//! A model's writing: JSON within a grammar, whatever the model.

use probity_engine::Error as EngineError;
use probity_engine::chat::{Speaker, Turn};
use probity_engine::{CancelToken, ContextOptions, Generator, Model, Sampling};
use probity_values::Provenance;
use serde::de::DeserializeOwned;

use crate::Result;

/// Most tokens of prompt and text together, where the model knows as many.
const CONTEXT: usize = 4096;
/// How boldly texts are drawn.
const TEMPERATURE: f32 = 0.5;
/// Attempts with new seeds after an unfinished or refused text.
const TRIES: u64 = 3;

/// Rules that every grammar may use.
///
/// A text has no quotes, backslashes or control characters, which JSON would have to escape. It does not start with a
/// space.
const COMMON: &str = r#"
char ::= [^"\\\x00-\x1F\x7F\u0080-\u009F]
first ::= [^"\\\x00-\x20\x7F\u0080-\u00A0]
"#;

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing<'a> {
    /// What the model is told first: the same for every conversation.
    pub instructions: &'a str,
    /// What people said or wrote, as it is to be shown.
    ///
    /// Data: its text never becomes control tokens.
    pub data: &'a str,
    /// What it is asked for last.
    pub request: &'a str,
    /// The form of what it writes: rules of a grammar from `root` on.
    pub grammar: &'a str,
    /// Most tokens of it.
    pub most: usize,
}

/// A model that writes.
#[derive(Debug)]
pub struct Scribe {
    writer: Generator,
}

impl Scribe {
    /// A scribe with a context of its own.
    ///
    /// # Errors
    /// [`EngineError::Llama`] if llama.cpp cannot make a context.
    pub fn new(model: &Model) -> Result<Self> {
        let context = CONTEXT.min(model.shape().context);
        Ok(Self { writer: Generator::new(model, ContextOptions::default().with(|o| o.context = context))? })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.writer.model()
    }

    /// The flag that stops it, from any thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.writer.cancel_token()
    }

    /// Writes and reads what was written.
    ///
    /// If `check` finds a fault, the model writes again.
    ///
    /// # Errors
    /// [`EngineError::PromptTooLong`], [`EngineError::Cancelled`]; [`EngineError::Llama`] after three texts that do not
    /// end or that `check` refuses.
    pub(super) fn write<T: DeserializeOwned>(
        &mut self,
        writing: Writing<'_>,
        seed: u64,
        check: impl Fn(&T) -> std::result::Result<(), String>,
    ) -> Result<(T, Provenance)> {
        let Writing { instructions, data, request, grammar, most } = writing;
        let model = self.writer.model();
        let turn = Turn { speaker: Speaker::User, text: format!("{instructions}\n\n{data}\n\n{request}") };
        let prompt = model.template().encode(model, &[turn], Some(""))?.tokens;
        // A model with a short context writes less.
        let room = self.writer.capacity().saturating_sub(prompt.len());
        if room < most / 4 {
            let tokens = prompt.len() + most / 4;
            return Err(EngineError::PromptTooLong { tokens, context: self.writer.capacity() }.into());
        }
        let provenance = |seed| -> Result<Provenance> {
            let bytes: Vec<u8> = prompt.iter().flat_map(|token| token.to_le_bytes()).collect();
            Ok(Provenance {
                model: self.writer.model().content()?.to_owned(),
                prompt: blake3::hash(&bytes).to_hex().to_string(),
                seed,
            })
        };
        let provenance: Vec<Provenance> =
            (0..TRIES).map(|n| provenance(seed.wrapping_add(n))).collect::<Result<_>>()?;
        let grammar = format!("{grammar}{COMMON}");
        let mut refused = String::new();
        for provenance in provenance {
            let sampling = Sampling::greedy(most.min(room)).with(|o| {
                o.temperature = TEMPERATURE;
                o.seed = provenance.seed;
            });
            let text = match self.writer.write(&prompt, &grammar, sampling) {
                Ok(text) => text,
                Err(EngineError::Llama { action: "write", reason }) => {
                    refused = reason;
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            let read = serde_json::from_str(&text).map_err(|e| format!("it wrote {text:?}: {e}"));
            match read.and_then(|read: T| check(&read).map(|()| read)) {
                Ok(read) => return Ok((read, provenance)),
                Err(problem) => refused = problem,
            }
        }
        let reason = format!("{refused}; {TRIES} tries, expected another seed or a larger model");
        Err(EngineError::Llama { action: "write", reason }.into())
    }

    /// Tokens for a conversation beside instructions, request and answer.
    pub(super) fn room(&self, writing: &Writing<'_>) -> Result<usize> {
        let own = self.length(writing.instructions)? + self.length(writing.request)?;
        // The template adds few tokens.
        Ok(self.writer.capacity().saturating_sub(own + writing.most.min(self.writer.capacity() / 3) + 64))
    }

    /// How many tokens a text takes.
    pub(super) fn length(&self, text: &str) -> Result<usize> {
        Ok(self.writer.model().tokenize(text, false)?.len())
    }
}
