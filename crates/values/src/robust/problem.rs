//! The posterior of the scores: value, gradient and curvature.

use super::Settings;
use super::questions::{Question, Questions};
use crate::Ballots;

/// What is fitted, and to what.
///
/// The unknowns are the scores and, last, the difference of the acquiescence from its prior mean.
pub(super) struct Problem {
    /// What was asked, and which scores that speaks of.
    pub questions: Questions,
    lapse: f64,
    /// The acquiescence that is assumed before any vote.
    acquiescence: f64,
    /// Prior precisions: of scores over all, of scores by context, of acquiescence.
    pub precision: [f64; 3],
}

/// The probability of a yes, and its derivatives by the second card's score.
struct Yes {
    p: f64,
    derivative: f64,
    second: f64,
}

/// How the log posterior rises and bends somewhere.
pub(super) struct Slope {
    /// Its gradient.
    pub gradient: Vec<f64>,
    /// The weight of every question in the curvature, in expectation (Fisher's).
    pub expected: Vec<f64>,
    /// The observed curvature where it is not negative.
    ///
    /// An unexpected answer has little information, and its curvature is negative.
    pub observed: Vec<f64>,
}

impl Problem {
    /// The problem that votes pose together with imported sums of votes.
    pub fn new(ballots: &Ballots, settings: &Settings) -> Self {
        let precision = [settings.spread, settings.context_spread, settings.acquiescence_spread].map(|s| s.powi(-2));
        let Settings { lapse, acquiescence, .. } = *settings;
        Self { questions: Questions::gather(ballots, settings), lapse, acquiescence, precision }
    }

    /// How many scores there are.
    pub fn scores(&self) -> usize {
        self.questions.places.len()
    }

    /// How many unknowns there are.
    pub fn len(&self) -> usize {
        self.scores() + 1
    }

    /// How readily people say yes, logits, where more of it was learned.
    ///
    /// Published sums hold many yes by selection and reveal nothing about it.
    pub fn acquiescence(&self, chosen: bool, learned: f64) -> f64 {
        self.acquiescence + if chosen { 0.0 } else { learned }
    }

    fn eta(&self, q: &Question, x: &[f64]) -> f64 {
        x[q.to as usize] - x[q.from as usize] + self.acquiescence(q.chosen, x[self.scores()])
    }

    /// The second card's lead over the first plus the acquiescence, logits.
    fn yes(&self, eta: f64) -> Yes {
        let sigma = 1.0 / (1.0 + (-eta).exp());
        let derivative = (1.0 - self.lapse) * sigma * (1.0 - sigma);
        let p = self.lapse / 2.0 + (1.0 - self.lapse) * sigma;
        Yes { p, derivative, second: derivative * (1.0 - 2.0 * sigma) }
    }

    /// Logarithm of the posterior, up to a constant.
    pub fn log_posterior(&self, x: &[f64]) -> f64 {
        let votes: f64 = self.questions.asked.iter().map(|q| self.log_likelihood(q.yes, q.all, self.eta(q, x))).sum();
        let mut prior = 0.0;
        self.each_prior(|i, parent, precision| {
            let from = x[i] - parent.map_or(0.0, |p| x[p as usize]);
            prior -= precision * from * from / 2.0;
        });
        votes + prior
    }

    /// Log-probability of the answers to one question.
    ///
    /// A share `yes / all` of the answers is yes, at the given lead with acquiescence.
    pub fn log_likelihood(&self, yes: f64, all: f64, eta: f64) -> f64 {
        let [of_yes, of_no] = self.log_answers(eta);
        yes * of_yes + (all - yes) * of_no
    }

    /// Logarithms of the probabilities of a yes and of a no there.
    pub fn log_answers(&self, eta: f64) -> [f64; 2] {
        let Yes { p, .. } = self.yes(eta);
        [p.ln(), (1.0 - p).ln()]
    }

    /// How it rises there, and how it bends.
    pub fn slope(&self, x: &[f64]) -> Slope {
        let mut gradient = vec![0.0; self.len()];
        let (mut expected, mut observed) = (Vec::new(), Vec::new());
        let delta = self.scores();
        for q in &self.questions.asked {
            let Yes { p, derivative, second } = self.yes(self.eta(q, x));
            let no = q.all - q.yes;
            let pull = q.yes / p - no / (1.0 - p);
            gradient[q.to as usize] += pull * derivative;
            gradient[q.from as usize] -= pull * derivative;
            if !q.chosen {
                gradient[delta] += pull * derivative;
            }
            let square = derivative * derivative;
            expected.push(q.all * square / (p * (1.0 - p)));
            observed.push(((q.yes / (p * p) + no / ((1.0 - p) * (1.0 - p))) * square - pull * second).max(0.0));
        }
        self.each_prior(|i, parent, precision| {
            let pull = precision * (x[i] - parent.map_or(0.0, |p| x[p as usize]));
            gradient[i] -= pull;
            if let Some(p) = parent {
                gradient[p as usize] += pull;
            }
        });
        Slope { gradient, expected, observed }
    }

    /// Calls `each` with every unknown, its prior's centre and its precision.
    ///
    /// The centre is another unknown, or `None` for 0.
    pub fn each_prior(&self, mut each: impl FnMut(usize, Option<u32>, f64)) {
        for (i, &parent) in self.questions.everywhere.iter().enumerate() {
            each(i, parent, self.precision[usize::from(parent.is_some())]);
        }
        each(self.scores(), None, self.precision[2]);
    }
}
