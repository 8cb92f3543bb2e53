//! Sampled text within a grammar; equal seeds give equal text.

use llama_cpp_sys_2 as sys;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::context::Entry;
use super::grammar::Grammar;
use super::numeric::exp;
use super::params::BATCH;
use super::{CancelToken, Context, ContextOptions, Model, Token};
use crate::{Error, Result};

/// The least probability of a sampled token, relative to the most probable.
///
/// It cuts off the noise that small models spread over their vocabulary.
const LEAST: f32 = 0.05;

/// The length of a run of tokens that is not repeated.
///
/// It stops the endless repetitions of small models.
const REPEATED: usize = 6;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Seed of the text's own random stream.
    pub seed: u64,
    /// Most tokens.
    pub most: usize,
}

impl Sampling {
    /// The likeliest token each time, at most `most` of them.
    #[must_use]
    pub fn greedy(most: usize) -> Self {
        Self { temperature: 0.0, seed: 0, most }
    }

    /// Changes some options.
    ///
    /// `Sampling::greedy(40).with(|o| o.temperature = 0.7)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Writes texts on a context of its own.
#[derive(Debug)]
pub struct Generator {
    context: Context,
    /// What sequence 0 holds: whole batches of the last prompt.
    ///
    /// Only whole batches are reused, so that no bit of a result depends on earlier prompts.
    held: Vec<Token>,
}

impl Generator {
    /// A writer with an empty cache.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self> {
        Ok(Self { context: Context::new(model, options)?, held: Vec::new() })
    }

    /// The model it runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.context.model()
    }

    /// Tokens that a prompt and what is written have room in.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.context.capacity()
    }

    /// The flag that stops it, from any thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.context.cancel_token()
    }

    /// Continues the prompt up to the first legal end of the grammar.
    ///
    /// The prompt must not be empty. After three quarters of `most` tokens every open text, list and object of JSON is
    /// closed as soon as the grammar allows, so a long text is cut instead of lost.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] if the prompt leaves no room for `most` tokens; [`Error::Llama`] for an invalid
    /// grammar, and for a text without an end after `most` tokens; [`Error::Cancelled`].
    pub fn write(&mut self, prompt: &[Token], grammar: &str, sampling: Sampling) -> Result<String> {
        let needed = prompt.len() + sampling.most;
        if prompt.is_empty() || needed > self.context.capacity() {
            return Err(Error::PromptTooLong { tokens: needed, context: self.context.capacity() });
        }
        let mut grammar = Grammar::new(self.context.model(), grammar)?;
        let written = self.read(prompt).and_then(|row| self.sample(prompt.len(), row, &mut grammar, sampling));
        // The written tokens and the prompt's last, partial batch leave the cache. A cache that cannot do so is
        // cleared.
        let whole = self.held.len();
        if written.is_err() || !self.context.truncate(0, whole)? {
            self.context.clear();
            self.held.clear();
        }
        written
    }

    /// Caches the prompt; returns the row of the last batch with its logits.
    fn read(&mut self, prompt: &[Token]) -> Result<usize> {
        let batches = self.held.chunks(BATCH).zip(prompt.chunks(BATCH));
        // The last token's logits are needed, so its batch is always decoded.
        let most = (prompt.len() - 1) / BATCH;
        let kept = batches.take(most).take_while(|(held, asked)| held == asked).count() * BATCH;
        if !self.context.truncate(0, kept)? {
            self.context.clear();
            self.held.clear();
            return self.read(prompt);
        }
        self.held.truncate(kept);
        let mut row = 0;
        for (i, batch) in prompt.chunks(BATCH).enumerate().skip(kept / BATCH) {
            let last = (i + 1) * BATCH >= prompt.len();
            let entry = |(j, &token)| {
                let position = i * BATCH + j;
                Entry { token, position, sequences: 0..1, output: last && j + 1 == batch.len() }
            };
            self.context.decode(&batch.iter().enumerate().map(entry).collect::<Vec<_>>())?;
            if batch.len() == BATCH {
                self.held.extend(batch);
            }
            row = batch.len() - 1;
        }
        Ok(row)
    }

    fn sample(&mut self, start: usize, mut row: usize, grammar: &mut Grammar, sampling: Sampling) -> Result<String> {
        let model = self.context.model().clone();
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        let mut bytes = Vec::new();
        let mut tokens: Vec<Token> = Vec::new();
        for written in 0..sampling.most {
            let hurry = written >= sampling.most / 4 * 3;
            let drawing = Drawing { model: &model, grammar, sampling, hurry, written: &tokens };
            let token = drawing.choose(self.context.logits(row)?, &mut rng)?;
            grammar.accept(token)?;
            tokens.push(token);
            bytes.extend(model.spelling(token)?);
            if grammar.may_end()? {
                return String::from_utf8(bytes).map_err(|_| {
                    let reason = "it wrote what is no UTF-8; its vocabulary is damaged".into();
                    Error::Llama { action: "write", reason }
                });
            }
            let entry = Entry { token, position: start + written, sequences: 0..1, output: true };
            self.context.decode(&[entry])?;
            row = 0;
        }
        let reason = format!("it stopped in the middle: no end within {} tokens; try another seed", sampling.most);
        Err(Error::Llama { action: "write", reason })
    }
}

/// What the next token is drawn by.
struct Drawing<'a> {
    model: &'a Model,
    grammar: &'a Grammar,
    sampling: Sampling,
    hurry: bool,
    written: &'a [Token],
}

impl Drawing<'_> {
    /// Draws the next token.
    ///
    /// The first draw is from all tokens. Only if the grammar refuses it are the other tokens checked. The result has
    /// the distribution of the allowed tokens.
    fn choose(&self, logits: &[f32], rng: &mut ChaCha8Rng) -> Result<Token> {
        let damaged = |reason: &str| Error::Llama { action: "write", reason: reason.into() };
        let candidate = |(id, &logit): (usize, &f32)| sys::llama_token_data { id: id as Token, logit, p: 0.0 };
        let mut candidates: Vec<sys::llama_token_data> = logits.iter().enumerate().map(candidate).collect();
        // Control tokens are no text.
        candidates.retain(|c| c.logit.is_finite() && !is_control(self.model, c.id));
        if !self.hurry {
            let first = pick(&candidates, self.sampling, rng);
            let first = first.ok_or_else(|| damaged("no logit is a number; the model is damaged"))?;
            if self.grammar.allows(first)? && !self.repeats(first) {
                return Ok(first);
            }
        }
        self.grammar.retain(&mut candidates)?;
        let closes = |c: &sys::llama_token_data| {
            self.model.spelling(c.id).is_ok_and(|text| matches!(text.first(), Some(b'"' | b']' | b'}')))
        };
        prefer(&mut candidates, |c| !self.repeats(c.id));
        if self.hurry {
            prefer(&mut candidates, closes);
        }
        pick(&candidates, self.sampling, rng)
            .ok_or_else(|| damaged("its vocabulary cannot spell the grammar's next text"))
    }

    /// Whether a token would end a row of tokens that was written before.
    fn repeats(&self, token: Token) -> bool {
        let Some(start) = self.written.len().checked_sub(REPEATED - 1) else { return false };
        let row = &self.written[start..];
        self.written.windows(REPEATED).any(|before| before[..REPEATED - 1] == *row && before[REPEATED - 1] == token)
    }
}

/// Keeps those that are wanted, or all where none is.
fn prefer(candidates: &mut Vec<sys::llama_token_data>, wanted: impl Fn(&sys::llama_token_data) -> bool) {
    if candidates.iter().any(&wanted) {
        candidates.retain(wanted);
    }
}

fn pick(candidates: &[sys::llama_token_data], sampling: Sampling, rng: &mut ChaCha8Rng) -> Option<Token> {
    let best = candidates.iter().max_by(|a, b| a.logit.total_cmp(&b.logit).then(b.id.cmp(&a.id)))?;
    if sampling.temperature <= 0.0 {
        return Some(best.id);
    }
    let weight = |c: &sys::llama_token_data| {
        let weight = exp((c.logit - best.logit) / sampling.temperature);
        if weight < LEAST { 0.0 } else { f64::from(weight) }
    };
    let total: f64 = candidates.iter().map(weight).sum();
    let mut left = rng.random::<f64>() * total;
    let drawn = candidates.iter().find(|c| {
        left -= weight(c);
        left < 0.0
    });
    Some(drawn.unwrap_or(best).id)
}

fn is_control(model: &Model, token: Token) -> bool {
    // SAFETY: the model is alive, and the token is one of its vocabulary's.
    unsafe { sys::llama_vocab_is_control(model.vocabulary(), token) }
}
