//! The scoring rule, one for runtime and trainer: an option's score is the sum of the log-probabilities of its tokens,
//! its terminator included.
//!
//! All options of a decision are decoded together over their trie on top of the cached prompt. What is reused of the
//! cache is whole segments only (the fixed part of the prompt, or all of it), and a segment is always decoded in the
//! same batches; so a warm cache gives the same bits as a cold one.

use super::context::{BATCH, Entry, OUTPUTS, SEQUENCES};
use super::numeric::exp;
use super::trie::Trie;
use super::{Adapter, CancelToken, Context, Token};
use crate::game::MAX_ACTIONS;
use crate::{Error, Result};

/// A prompt as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptTokens {
    /// All tokens.
    pub tokens: Vec<Token>,
    /// How many of them belong to the part that stays from decision to decision.
    pub fixed: usize,
}

/// Natural logarithm of the sum of exponentials of a row of logits.
#[must_use]
pub fn log_sum_exp(row: &[f32]) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut lanes = [0.0_f32; 16];
    let chunks = row.chunks_exact(16);
    let rest: f64 = chunks.remainder().iter().map(|x| f64::from(exp(x - max))).sum();
    let mut total = rest;
    for (i, chunk) in chunks.enumerate() {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += exp(x - max);
        }
        // Short partial sums keep the error of a 256k-word vocabulary near one rounding.
        if i % 64 == 63 {
            total += std::mem::take(&mut lanes).iter().map(|l| f64::from(*l)).sum::<f64>();
        }
    }
    total += lanes.iter().map(|l| f64::from(*l)).sum::<f64>();
    f64::from(max) + total.ln()
}

/// Softmax over scores: the policy over the legal actions, in runtime and trainer alike.
#[must_use]
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// Scores options on one context and keeps what can be reused.
#[derive(Debug)]
pub struct Scorer {
    context: Context,
    prompt: PromptTokens,
    /// Logits after the prompt, once it is decoded.
    root: Vec<f32>,
    memo: Option<(Vec<Vec<Token>>, Vec<f64>)>,
}

impl Scorer {
    /// A scorer with an empty cache.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, prompt: PromptTokens::default(), root: Vec::new(), memo: None }
    }

    /// The context it runs on.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The flag that stops a running score.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.context.cancel_token()
    }

    /// Replaces the set of adapters and forgets everything that was computed under the old one.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::AdapterMismatch`] or [`Error::Engine`]; the old set then stays.
    pub fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        self.context.set_adapters(adapters)?;
        self.forget();
        Ok(())
    }

    /// Forgets the cached prompt, so that the next score starts cold.
    pub fn forget(&mut self) {
        self.context.clear();
        self.prompt = PromptTokens::default();
        self.root.clear();
        self.memo = None;
    }

    /// Log-probability of each option as the continuation of the prompt, in the options' order. Each option is its
    /// tokens with the terminator.
    ///
    /// # Errors
    /// [`Error::TooManyOptions`], [`Error::PromptTooLong`], [`Error::Cancelled`], [`Error::Engine`]; the cache is then
    /// empty and the next call starts cold.
    pub fn score(&mut self, prompt: &PromptTokens, options: &[Vec<Token>]) -> Result<Vec<f64>> {
        if options.is_empty() || options.len() > MAX_ACTIONS {
            return Err(Error::TooManyOptions { found: options.len(), most: MAX_ACTIONS });
        }
        let longest = options.iter().map(Vec::len).max().unwrap_or(0);
        let nodes: usize = options.chunks(SEQUENCES - 1).map(|c| c.iter().map(Vec::len).sum()).max().unwrap_or(0);
        let needed = prompt.tokens.len() + nodes.max(longest);
        if needed > self.context.capacity() || prompt.tokens.is_empty() {
            return Err(Error::PromptTooLong { tokens: needed, context: self.context.capacity() });
        }
        if let Some((asked, scores)) = &self.memo
            && self.prompt == *prompt
            && asked == options
        {
            return Ok(scores.clone());
        }
        self.context.cancel_token().clear();
        let scored = self.decode_prompt(prompt).and_then(|()| self.decode_options(options));
        match scored {
            Ok(scores) => {
                self.memo = Some((options.to_vec(), scores.clone()));
                Ok(scores)
            }
            Err(e) => {
                self.forget();
                Err(e)
            }
        }
    }

    /// Brings the prompt into sequence 0 and its last logits into `root`.
    fn decode_prompt(&mut self, prompt: &PromptTokens) -> Result<()> {
        let tokens = &prompt.tokens;
        // The last token is decoded with the moving part, so that its logits are there whatever was cached.
        let fixed = prompt.fixed.min(tokens.len() - 1);
        if self.prompt == *prompt && !self.root.is_empty() {
            return Ok(());
        }
        self.memo = None;
        self.root.clear();
        let cached = &self.prompt;
        let reuse = fixed > 0
            && cached.fixed.min(cached.tokens.len().saturating_sub(1)) == fixed
            && cached.tokens[..fixed] == tokens[..fixed]
            && self.context.truncate(0, fixed);
        if !reuse {
            self.context.clear();
            self.prompt = PromptTokens::default();
            self.decode_segment(tokens, 0..fixed, false)?;
        }
        self.decode_segment(tokens, fixed..tokens.len(), true)?;
        self.prompt = prompt.clone();
        Ok(())
    }

    fn decode_segment(&mut self, tokens: &[Token], range: std::ops::Range<usize>, last: bool) -> Result<()> {
        let end = range.end;
        let positions: Vec<usize> = range.collect();
        for chunk in positions.chunks(BATCH) {
            let entries: Vec<Entry> = chunk
                .iter()
                .map(|&p| Entry { token: tokens[p], position: p, sequences: 0..1, output: last && p + 1 == end })
                .collect();
            self.context.decode(&entries)?;
        }
        if last {
            let i = (positions.len() - 1) % BATCH;
            self.root = self.context.logits(i)?.to_vec();
        }
        Ok(())
    }

    fn decode_options(&mut self, options: &[Vec<Token>]) -> Result<Vec<f64>> {
        // Token order, not the caller's, decides what is decoded together: permuting the options changes nothing.
        let mut order: Vec<usize> = (0..options.len()).collect();
        order.sort_by(|&a, &b| options[a].cmp(&options[b]));
        let mut scores = vec![0.0; options.len()];
        for group in order.chunks(SEQUENCES - 1) {
            let tokens: Vec<Vec<Token>> = group.iter().map(|&i| options[i].clone()).collect();
            for (&i, score) in group.iter().zip(self.decode_group(&tokens)?) {
                scores[i] = score;
            }
        }
        Ok(scores)
    }

    fn decode_group(&mut self, options: &[Vec<Token>]) -> Result<Vec<f64>> {
        let trie = Trie::new(options);
        // Which (option, place in it) reads the logits of each node; slot 0 is the root.
        let mut readers: Vec<Vec<(usize, Token)>> = vec![Vec::new(); trie.nodes.len() + 1];
        for (option, sources) in trie.sources.iter().enumerate() {
            for (&source, &token) in sources.iter().zip(&options[option]) {
                readers[source.map_or(0, |n| n + 1)].push((option, token));
            }
        }
        let mut scores = vec![0.0; options.len()];
        read(&self.root, &readers[0], &mut scores);
        let start = self.prompt.tokens.len();
        if !trie.nodes.is_empty() {
            (1..=options.len()).for_each(|s| self.context.share(s));
        }
        for (batch, nodes) in trie.nodes.chunks(OUTPUTS).enumerate() {
            let entries: Vec<Entry> = nodes
                .iter()
                .map(|n| Entry {
                    token: n.token,
                    position: start + n.depth - 1,
                    sequences: n.options.start + 1..n.options.end + 1,
                    output: true,
                })
                .collect();
            self.context.decode(&entries)?;
            for i in 0..nodes.len() {
                read(self.context.logits(i)?, &readers[batch * OUTPUTS + i + 1], &mut scores);
            }
        }
        for s in 1..=options.len() {
            self.context.truncate(s, 0);
        }
        Ok(scores)
    }
}

/// Adds the log-probability of each reader's token under a row of logits to that reader's score.
fn read(row: &[f32], readers: &[(usize, Token)], scores: &mut [f64]) {
    let total = log_sum_exp(row);
    for &(option, token) in readers {
        scores[option] += f64::from(row[token as usize]) - total;
    }
}
