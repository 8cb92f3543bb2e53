//! Log-probabilities of logit rows, and their gradients.

use std::sync::Arc;

use probity_engine::Token;
use probity_engine::score::{Continuation, log_sum_exp, log_sum_exp_of};

use crate::decoder::Pack;
use crate::decoder::kernels::exp;

/// Where a token is predicted: an output row, and the token.
pub type Read = (usize, Token);

/// Where any token of a set is predicted: an output row, and the tokens.
pub type ReadAny = (usize, Arc<[Token]>);

/// What adds up to a continuation's score, given the rows that predict its tokens.
#[must_use]
pub fn reads_of(continuation: &Continuation, rows: &[usize]) -> Vec<ReadAny> {
    let alone = continuation.tokens().iter().map(|&token| Arc::from([token]));
    rows.iter().copied().zip(alone.chain([Arc::from(continuation.last())])).collect()
}

/// The logits of a pack, a row an output.
#[derive(Debug)]
pub struct LogitRows<'a> {
    logits: &'a mut [f32],
    width: usize,
    /// Log-sum-exp of each row, once it was read.
    totals: Vec<f64>,
    pulls: Vec<(Read, f64)>,
}

impl<'a> LogitRows<'a> {
    /// The rows of a pack's outputs.
    #[must_use]
    pub fn new(pack: &Pack, logits: &'a mut [f32]) -> Self {
        let rows = pack.outputs.len();
        Self { width: logits.len() / rows, logits, totals: vec![f64::NAN; rows], pulls: Vec::new() }
    }

    /// Log-probability of a token where it is predicted.
    pub fn log_probability(&mut self, (row, token): Read) -> f64 {
        f64::from(self.logits[row * self.width + token as usize]) - self.total(row)
    }

    /// Of a continuation: the rule of [`probity_engine::score`].
    pub fn score(&mut self, reads: &[ReadAny]) -> f64 {
        reads.iter().map(|(row, tokens)| log_sum_exp_of(self.row(*row), tokens) - self.total(*row)).sum()
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.logits[row * self.width..(row + 1) * self.width]
    }

    fn total(&mut self, row: usize) -> f64 {
        if self.totals[row].is_nan() {
            self.totals[row] = log_sum_exp(self.row(row));
        }
        self.totals[row]
    }

    /// Takes note of the loss's derivative in a log-probability that was read.
    pub fn pull(&mut self, read: Read, derivative: f64) {
        self.pulls.push((read, derivative));
    }

    /// As [`LogitRows::pull`], for a score.
    pub fn pull_score(&mut self, reads: &[ReadAny], derivative: f64) {
        for (row, tokens) in reads {
            let any = log_sum_exp_of(self.row(*row), tokens);
            for &token in &**tokens {
                // One token of a set has a share of the set's probability.
                let share = (f64::from(self.row(*row)[token as usize]) - any).exp();
                self.pull((*row, token), share * derivative);
            }
        }
    }

    /// Replaces the logits by the derivative of the loss in them.
    pub fn into_gradient(self) {
        let mut back = vec![0.0; self.totals.len()];
        self.pulls.iter().for_each(|&((row, _), pull)| back[row] += pull);
        for ((values, total), back) in self.logits.chunks_exact_mut(self.width).zip(&self.totals).zip(back) {
            // A row without a gradient may never have been read.
            if back == 0.0 {
                values.fill(0.0);
                continue;
            }
            let (total, back) = (*total as f32, back as f32);
            values.iter_mut().for_each(|x| *x = -back * exp(*x - total));
        }
        for ((row, token), pull) in self.pulls {
            self.logits[row * self.width + token as usize] += pull as f32;
        }
    }
}
