//! The scoring rule of runtime and trainer.
//!
//! An option's score is the sum of the log-probabilities of its tokens. Of its last token any of a set will do: their
//! probabilities add up.
//!
//! The cache holds the fixed part of the prompt, whole or not at all. The moving part and the trie of all options are
//! decoded on top, in one batch where the limits allow: the weights are read once. The batches depend on the prompt and
//! the options alone, so a warm cache gives the same bits as a cold cache.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::context::Entry;
pub use super::continuation::Continuation;
pub use super::log_sum_exp::{log_sum_exp, log_sum_exp_of};
use super::params::{BATCH, OUTPUTS, SEQUENCES};
use super::trie::Trie;
use super::{Adapter, AdapterSet, CancelToken, Context, MAX_OPTIONS, Token};
use crate::{Error, Result};

/// A prompt as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptTokens {
    /// All tokens.
    pub tokens: Vec<Token>,
    /// How many of them belong to the part that stays from decision to decision.
    pub fixed: usize,
}

/// Softmax over scores: the policy over legal actions.
#[must_use]
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// The progress of a score: the decoded share, 0 to 1. Returning `false` stops it.
pub type Progress = Box<dyn FnMut(f32) -> bool + Send>;

/// Scores options on one context and keeps what can be reused.
pub struct Scorer {
    context: Context,
    progress: Option<Progress>,
    /// Tokens decoded of the running score, and tokens to decode.
    decoded: (usize, usize),
    /// What sequence 0 holds between two calls: the fixed part of the last prompt.
    fixed: Vec<Token>,
    /// The last question and its answer.
    memo: Option<(PromptTokens, Vec<Continuation>, Vec<f64>)>,
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scorer").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The readers of an entry's logits: options, and the tokens that may come next.
type Readers<'a> = Vec<(usize, &'a [Token])>;

impl Scorer {
    /// A scorer with an empty cache.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, progress: None, decoded: (0, 0), fixed: Vec::new(), memo: None }
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

    /// Reports the progress of the next scores, after every batch.
    pub fn set_progress(&mut self, progress: Option<Progress>) {
        self.progress = progress;
    }

    /// Lets a token stop the next scores, in place of the scorer's own.
    pub fn obey(&mut self, token: &CancelToken) {
        self.context.obey(token);
    }

    /// Replaces the adapters and clears everything computed under the old set.
    ///
    /// # Errors
    /// As [`AdapterSet::new`], and [`Error::Llama`]; the old set then stays.
    pub fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        self.use_adapters(&AdapterSet::new(self.context.model(), adapters)?)
    }

    /// As [`Scorer::set_adapters`], for a set of the scorer's own model.
    ///
    /// # Errors
    /// [`Error::Llama`]; the old set then stays.
    pub fn use_adapters(&mut self, adapters: &AdapterSet) -> Result<()> {
        if !self.context.adapters().is(adapters) {
            self.context.set_adapters(adapters)?;
            self.forget();
        }
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
    /// A cancelled token stops this and every later call until the token
    /// is cleared.
    ///
    /// # Errors
    /// [`Error::TooManyOptions`], [`Error::PromptTooLong`], [`Error::Cancelled`], [`Error::Llama`]; the cache is then
    /// empty and the next call starts cold.
    pub fn score(&mut self, prompt: &PromptTokens, options: &[Continuation]) -> Result<Vec<f64>> {
        if options.is_empty() || options.len() > MAX_OPTIONS {
            return Err(Error::TooManyOptions { found: options.len(), most: MAX_OPTIONS });
        }
        let order = decoding_order(options);
        let nodes = |group: &[usize]| group.iter().map(|&o| options[o].count()).sum::<usize>();
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
        let trie = |group: &[usize]| Trie::new(&group.iter().map(|&o| &options[o]).collect::<Vec<_>>());
        let groups: Vec<(&[usize], Trie)> = order.chunks(SEQUENCES - 1).map(|group| (group, trie(group))).collect();
        let kept = if self.fixed == fixed { fixed.len() } else { 0 };
        let all = prompt.tokens.len() - kept + groups.iter().map(|(_, trie)| trie.nodes.len()).sum::<usize>();
        self.decoded = (0, all);
        let scored = self.decode_fixed(fixed).and_then(|()| self.decode_moving(moving, options, &groups));
        match &scored {
            Ok(scores) => self.memo = Some((prompt.clone(), options.to_vec(), scores.clone())),
            Err(_) => self.forget(),
        }
        scored
    }

    /// The likeliest token after a prompt; of equals the one with the smaller id.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn likeliest(&mut self, prompt: &PromptTokens) -> Result<Token> {
        if prompt.tokens.is_empty() || prompt.tokens.len() > self.context.capacity() {
            return Err(Error::PromptTooLong { tokens: prompt.tokens.len(), context: self.context.capacity() });
        }
        self.forget();
        let last = prompt.tokens.len() - 1;
        let entry = |(position, &token)| Entry { token, position, sequences: 0..1, output: position == last };
        let entries: Vec<Entry> = prompt.tokens.iter().enumerate().map(entry).collect();
        self.decoded = (0, entries.len());
        let found = entries.chunks(BATCH).try_for_each(|batch| self.decode_batch(batch)).and_then(|()| {
            let row = self.context.logits(last % BATCH)?;
            let best = |best: usize, next: usize| if row[next] > row[best] { next } else { best };
            Ok((0..row.len()).fold(0, best) as Token)
        });
        self.forget();
        found
    }

    /// Brings the fixed part of a prompt into sequence 0.
    fn decode_fixed(&mut self, fixed: &[Token]) -> Result<()> {
        if self.fixed == fixed {
            return Ok(());
        }
        self.forget();
        let entry = |(position, &token)| Entry { token, position, sequences: 0..1, output: false };
        let entries: Vec<Entry> = fixed.iter().enumerate().map(entry).collect();
        entries.chunks(BATCH).try_for_each(|batch| self.decode_batch(batch))?;
        self.fixed = fixed.to_vec();
        Ok(())
    }

    /// Decodes a batch of a score, and tells the progress.
    fn decode_batch(&mut self, batch: &[Entry]) -> Result<()> {
        self.context.decode(batch)?;
        let (done, all) = &mut self.decoded;
        *done += batch.len();
        let share = *done as f32 / *all as f32;
        // A panic counts as a request to stop: it must not leave the cache as it is here.
        let tell = |progress: &mut Progress| catch_unwind(AssertUnwindSafe(|| progress(share))).unwrap_or(false);
        let go = self.progress.as_mut().is_none_or(tell);
        if go { Ok(()) } else { Err(Error::Cancelled { what: "decision" }) }
    }

    /// Decodes the moving part with the options, and caches the fixed part alone.
    fn decode_moving(
        &mut self,
        moving: &[Token],
        options: &[Continuation],
        groups: &[(&[usize], Trie)],
    ) -> Result<Vec<f64>> {
        let start = self.fixed.len();
        let mut scores = vec![0.0; options.len()];
        for (i, (group, trie)) in groups.iter().enumerate() {
            let sequences = if trie.nodes.is_empty() { 1 } else { group.len() + 1 };
            (1..sequences).try_for_each(|s| self.context.share(s))?;
            let mut entries: Vec<(Entry, Readers<'_>)> = Vec::new();
            // The first group decodes the moving part; the other groups find it in sequence 0.
            if i == 0 {
                entries.extend(moving.iter().enumerate().map(|(m, &token)| {
                    let entry = Entry { token, position: start + m, sequences: 0..sequences, output: false };
                    (entry, Vec::new())
                }));
                if let Some((last, readers)) = entries.last_mut() {
                    last.output = true;
                    readers.extend(options.iter().enumerate().map(|(o, option)| (o, next(option, 0))));
                }
            }
            let first = entries.len();
            entries.extend(trie.nodes.iter().map(|n| {
                let sequences = n.options.start + 1..n.options.end + 1;
                let position = start + moving.len() + n.depth - 1;
                (Entry { token: n.token, position, sequences, output: true }, Vec::new())
            }));
            for (sources, &o) in trie.sources.iter().zip(*group) {
                for (depth, source) in sources.iter().enumerate() {
                    if let Some(node) = source {
                        entries[first + node].1.push((o, next(&options[o], depth)));
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
    fn decode(&mut self, mut entries: &[(Entry, Readers<'_>)], scores: &mut [f64]) -> Result<()> {
        while !entries.is_empty() {
            let mut outputs = 0;
            let fits = |(entry, _): &&(Entry, Readers<'_>)| {
                outputs += usize::from(entry.output);
                outputs <= OUTPUTS
            };
            let (batch, rest) = entries.split_at(entries.iter().take(BATCH).take_while(fits).count());
            self.decode_batch(&batch.iter().map(|(entry, _)| entry.clone()).collect::<Vec<_>>())?;
            for (i, (_, readers)) in batch.iter().enumerate().filter(|(_, (entry, _))| entry.output) {
                read(self.context.logits(i)?, readers, scores);
            }
            entries = rest;
        }
        Ok(())
    }
}

/// Batches by token order: permuting the options changes nothing.
fn decoding_order(options: &[Continuation]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..options.len()).collect();
    order.sort_by(|&a, &b| options[a].cmp(&options[b]));
    order
}

/// The tokens that may come behind so many of an option's.
fn next(option: &Continuation, depth: usize) -> &[Token] {
    option.tokens().get(depth).map_or(option.last(), std::slice::from_ref)
}

/// Adds each reader's log-probability under a row of logits to its score.
fn read(row: &[f32], readers: &[(usize, &[Token])], scores: &mut [f64]) {
    let total = log_sum_exp(row);
    for &(option, tokens) in readers {
        scores[option] += log_sum_exp_of(row, tokens) - total;
    }
}
