//! Log-probabilities of logit rows, and their gradients.

use probity_engine::Token;
use probity_engine::score::log_sum_exp;

use crate::decoder::Pack;
use crate::decoder::kernels::exp;

/// Where a token is predicted: an output row, and the token.
pub type Read = (usize, Token);

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
        let values = &self.logits[row * self.width..(row + 1) * self.width];
        let total = &mut self.totals[row];
        if total.is_nan() {
            *total = log_sum_exp(values);
        }
        f64::from(values[token as usize]) - *total
    }

    /// Of tokens one after the other: the rule of [`probity_engine::score`].
    pub fn score(&mut self, reads: &[Read]) -> f64 {
        reads.iter().map(|&read| self.log_probability(read)).sum()
    }

    /// Takes note of the loss's derivative in a log-probability that was read.
    pub fn pull(&mut self, read: Read, derivative: f64) {
        self.pulls.push((read, derivative));
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
