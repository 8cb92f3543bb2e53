//! The scoring rule of runtime and trainer.
//!
//! An option's score is the sum of the log-probabilities of its tokens, terminator included.
//!
//! The cache holds the fixed part of the prompt, whole or not at all. The moving part and the trie of all options are
//! decoded on top, in one batch where the limits allow: the weights are read once. The batches depend on the prompt and
//! the options alone, so a warm cache gives the same bits as a cold cache.

use super::context::Entry;
use super::numeric::exp;
use super::params::{BATCH, OUTPUTS, SEQUENCES};
use super::trie::Trie;
use super::{Adapter, CancelToken, Context, MAX_OPTIONS, Token};
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

/// Softmax over scores: the policy over legal actions.
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
    /// What sequence 0 holds between two calls: the fixed part of the last prompt.
    fixed: Vec<Token>,
    /// The last question and its answer.
    memo: Option<(PromptTokens, Vec<Vec<Token>>, Vec<f64>)>,
}

/// The readers of an entry's logits: options, and each option's next token.
type Readers = Vec<(usize, Token)>;

impl Scorer {
    /// A scorer with an empty cache.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, fixed: Vec::new(), memo: None }
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

    /// Replaces the adapters and clears everything computed under the old set.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::AdapterMismatch`] or [`Error::Llama`]; the old set then stays.
    pub fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        self.context.set_adapters(adapters)?;
        self.forget();
        Ok(())
    }

    /// Forgets the cached prompt, so that the next score starts cold.
    pub fn forget(&mut self) {
        self.context.clear();
        self.fixed.clear();
        self.memo = None;
    }

    /// Log-probability of each option as the prompt's continuation, in order.
    ///
    /// An option is its tokens with the terminator. A cancelled token stops this and every later call until the token
    /// is cleared.
    ///
    /// # Errors
    /// [`Error::TooManyOptions`], [`Error::PromptTooLong`], [`Error::Cancelled`], [`Error::Llama`]; the cache is then
    /// empty and the next call starts cold.
    pub fn score(&mut self, prompt: &PromptTokens, options: &[Vec<Token>]) -> Result<Vec<f64>> {
        if options.is_empty() || options.len() > MAX_OPTIONS {
            return Err(Error::TooManyOptions { found: options.len(), most: MAX_OPTIONS });
        }
        let order = decoding_order(options);
        let nodes = |group: &[usize]| group.iter().map(|&o| options[o].len()).sum::<usize>();
        let needed = prompt.tokens.len() + order.chunks(SEQUENCES - 1).map(nodes).max().unwrap_or(0);
        if needed > self.context.capacity() || prompt.tokens.is_empty() {
            return Err(Error::PromptTooLong { tokens: needed, context: self.context.capacity() });
        }
        if let Some((asked, among, scores)) = &self.memo
            && asked == prompt
            && among == options
        {
            return Ok(scores.clone());
        }
        // The last token always belongs to the moving part, where its logits are read.
        let (fixed, moving) = prompt.tokens.split_at(prompt.fixed.min(prompt.tokens.len() - 1));
        let scored = self.decode_fixed(fixed).and_then(|()| self.decode_moving(moving, options, &order));
        match &scored {
            Ok(scores) => self.memo = Some((prompt.clone(), options.to_vec(), scores.clone())),
            Err(_) => self.forget(),
        }
        scored
    }

    /// Brings the fixed part of a prompt into sequence 0.
    fn decode_fixed(&mut self, fixed: &[Token]) -> Result<()> {
        if self.fixed == fixed {
            return Ok(());
        }
        self.forget();
        let entry = |(position, &token)| Entry { token, position, sequences: 0..1, output: false };
        let entries: Vec<Entry> = fixed.iter().enumerate().map(entry).collect();
        entries.chunks(BATCH).try_for_each(|batch| self.context.decode(batch))?;
        self.fixed = fixed.to_vec();
        Ok(())
    }

    /// Decodes the moving part with the options, and caches the fixed part alone.
    fn decode_moving(&mut self, moving: &[Token], options: &[Vec<Token>], order: &[usize]) -> Result<Vec<f64>> {
        let start = self.fixed.len();
        let mut scores = vec![0.0; options.len()];
        for (i, group) in order.chunks(SEQUENCES - 1).enumerate() {
            let trie = Trie::new(&group.iter().map(|&o| options[o].clone()).collect::<Vec<_>>());
            let sequences = if trie.nodes.is_empty() { 1 } else { group.len() + 1 };
            (1..sequences).try_for_each(|s| self.context.share(s))?;
            let mut entries: Vec<(Entry, Readers)> = Vec::new();
            // The first group decodes the moving part; the other groups find it in sequence 0.
            if i == 0 {
                entries.extend(moving.iter().enumerate().map(|(m, &token)| {
                    let entry = Entry { token, position: start + m, sequences: 0..sequences, output: false };
                    (entry, Vec::new())
                }));
                if let Some((last, readers)) = entries.last_mut() {
                    last.output = true;
                    readers.extend(options.iter().enumerate().filter_map(|(o, tokens)| Some((o, *tokens.first()?))));
                }
            }
            let first = entries.len();
            entries.extend(trie.nodes.iter().map(|n| {
                let sequences = n.options.start + 1..n.options.end + 1;
                let position = start + moving.len() + n.depth - 1;
                (Entry { token: n.token, position, sequences, output: true }, Vec::new())
            }));
            for (sources, &o) in trie.sources.iter().zip(group) {
                for (source, &token) in sources.iter().zip(&options[o]) {
                    if let Some(node) = source {
                        entries[first + node].1.push((o, token));
                    }
                }
            }
            self.decode(&entries, &mut scores)?;
            for sequence in 1..sequences {
                self.context.truncate(sequence, 0)?;
            }
        }
        if !self.context.truncate(0, start)? {
            self.forget();
        }
        Ok(scores)
    }

    /// Decodes entries in as few batches as possible, and adds up the scores.
    fn decode(&mut self, mut entries: &[(Entry, Readers)], scores: &mut [f64]) -> Result<()> {
        while !entries.is_empty() {
            let mut outputs = 0;
            let fits = |(entry, _): &&(Entry, Readers)| {
                outputs += usize::from(entry.output);
                outputs <= OUTPUTS
            };
            let (batch, rest) = entries.split_at(entries.iter().take(BATCH).take_while(fits).count());
            self.context.decode(&batch.iter().map(|(entry, _)| entry.clone()).collect::<Vec<_>>())?;
            for (i, (_, readers)) in batch.iter().enumerate().filter(|(_, (entry, _))| entry.output) {
                read(self.context.logits(i)?, readers, scores);
            }
            entries = rest;
        }
        Ok(())
    }
}

/// Batches by token order: permuting the options changes nothing.
fn decoding_order(options: &[Vec<Token>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..options.len()).collect();
    order.sort_by(|&a, &b| options[a].cmp(&options[b]));
    order
}

/// Adds each reader's log-probability under a row of logits to its score.
fn read(row: &[f32], readers: &[(usize, Token)], scores: &mut [f64]) {
    let total = log_sum_exp(row);
    for &(option, token) in readers {
        scores[option] += f64::from(row[token as usize]) - total;
    }
}
