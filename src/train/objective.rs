//! The exact objective of one-step moral fine-tuning.
//!
//! `J = sum_s w(s) [ sum_a pi(a|s) R(s,a) - beta KL(pi(.|s) || ref(.|s)) + lambda log L(s) ]`
//!
//! where `pi` is the softmax of the scores `S(a)` over the legal actions (the runtime's policy at temperature 1), `ref`
//! the bare model's, and `L = sum_a exp S(a)` the legality mass. Nothing is sampled: states and actions are few, so
//! value and gradient are sums. Without the last term the optimum is known, `pi* ~ ref exp(R / beta)`, and every report
//! says how far the policy still is from it.

use serde::Serialize;

use super::decoder::Pack;
use super::decoder::kernels::exp;
use crate::engine::Token;
use crate::engine::score::log_sum_exp;
pub use crate::engine::score::softmax;

/// One decision in a batch: where its scores are read, and what its actions are worth.
#[derive(Debug, Clone)]
pub struct Decision {
    /// For each legal action the `(output row, token)` whose log-probabilities add up to its score.
    pub reads: Vec<Vec<(usize, Token)>>,
    /// Expected reward of each action.
    pub rewards: Vec<f64>,
    /// Weight of the state in the objective.
    pub weight: f64,
}

/// Weights of the objective's terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Weight of the divergence from the reference, above 0.
    pub beta: f64,
    /// Weight of the logarithm of the legality mass, 0 or more.
    pub legality: f64,
}

/// The objective's parts over a batch, and the distance to the optimum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Parts {
    /// Sum of the weights.
    pub weight: f64,
    /// Expected reward.
    pub reward: f64,
    /// The largest expected reward any policy has.
    pub best: f64,
    /// Divergence from the reference, nats.
    pub kl: f64,
    /// Total variation distance to the closed-form optimum, 0 to 1.
    pub distance: f64,
    /// Mean legality mass.
    pub legality: f64,
    /// The objective.
    pub objective: f64,
}

impl Parts {
    fn add(&mut self, o: &Self) {
        self.weight += o.weight;
        self.reward += o.reward;
        self.best += o.best;
        self.kl += o.kl;
        self.distance += o.distance;
        self.legality += o.legality;
        self.objective += o.objective;
    }

    /// The sum over shards, in their order, as means over the weight.
    #[must_use]
    pub fn mean(all: &[Self]) -> Self {
        let mut sum = Self::default();
        all.iter().for_each(|p| sum.add(p));
        let w = sum.weight;
        Self {
            weight: w,
            reward: sum.reward / w,
            best: sum.best / w,
            kl: sum.kl / w,
            distance: sum.distance / w,
            legality: sum.legality / w,
            objective: sum.objective / w,
        }
    }
}

/// A decision to take.
#[derive(Debug, Clone)]
pub struct Question {
    /// Tokens of its prompt.
    pub prompt: Vec<Token>,
    /// Expected reward of each option.
    pub rewards: Vec<f64>,
    /// Weight of the state in the objective.
    pub weight: f64,
}

/// Adds questions with the same options to a pack, as one trie: each prompt with each option, whose last token is only
/// read.
pub fn push(pack: &mut Pack, questions: Vec<Question>, options: &[Vec<Token>]) -> Vec<Decision> {
    let sequence = |q: &Question, o: &[Token]| q.prompt.iter().chain(&o[..o.len() - 1]).copied().collect::<Vec<_>>();
    let all: Vec<_> = questions.iter().flat_map(|q| options.iter().map(|o| sequence(q, o))).collect();
    let nodes = pack.push(&all);
    // The token before each of an option's own is where that one is predicted.
    let starts = questions.iter().flat_map(|q| options.iter().map(|_| q.prompt.len() - 1));
    let sources: Vec<&[u32]> = nodes.iter().zip(starts).map(|(nodes, start)| &nodes[start..]).collect();
    pack.request(sources.iter().copied().flatten().copied());
    // Later questions only append outputs, so rows stay what they are.
    let reads = |(nodes, option): (&&[u32], &Vec<Token>)| {
        nodes.iter().map(|&n| pack.output_row(n)).zip(option.iter().copied()).collect()
    };
    questions
        .into_iter()
        .zip(sources.chunks(options.len()))
        .map(|(q, sources)| Decision {
            reads: sources.iter().zip(options).map(reads).collect(),
            rewards: q.rewards,
            weight: q.weight,
        })
        .collect()
}

/// Scores of every action: the rule of [`crate::engine::score`], read off the trainer's logits. `totals` caches the
/// log-sum-exp of each output row.
fn scores(decision: &Decision, logits: &[f32], width: usize, totals: &mut [f64]) -> Vec<f64> {
    let score = |reads: &Vec<(usize, Token)>| {
        reads
            .iter()
            .map(|&(row, token)| {
                let values = &logits[row * width..(row + 1) * width];
                if totals[row].is_nan() {
                    totals[row] = log_sum_exp(values);
                }
                f64::from(values[token as usize]) - totals[row]
            })
            .sum()
    };
    decision.reads.iter().map(score).collect()
}

/// Scores of a pack's decisions.
#[must_use]
pub fn all_scores(decisions: &[Decision], logits: &[f32], pack: &Pack) -> Vec<Vec<f64>> {
    let rows = pack.outputs.len();
    let mut totals = vec![f64::NAN; rows];
    decisions.iter().map(|d| scores(d, logits, logits.len() / rows, &mut totals)).collect()
}

/// The optimum without the legality term: `ref exp(R / beta)`, normalised.
#[must_use]
pub fn optimum(reference: &[f64], rewards: &[f64], beta: f64) -> Vec<f64> {
    softmax(&reference.iter().zip(rewards).map(|(p, r)| p.ln() + r / beta).collect::<Vec<_>>())
}

/// Value of the objective over a pack's decisions; the logits are replaced by the gradient of its negative, scaled by
/// `scale`. `references` are the bare model's policies.
pub fn objective(
    decisions: &[Decision],
    references: &[Vec<f64>],
    terms: Terms,
    scale: f64,
    pack: &Pack,
    logits: &mut [f32],
) -> Parts {
    let rows = pack.outputs.len();
    let width = logits.len() / rows;
    let mut totals = vec![f64::NAN; rows];
    let mut parts = Parts::default();
    // Gradient of -J in each read: a number a (row, token); and summed a row, what its softmax gives back.
    let mut pulls: Vec<(usize, Token, f64)> = Vec::new();
    let mut back = vec![0.0; rows];
    for (d, reference) in decisions.iter().zip(references) {
        let scores = scores(d, logits, width, &mut totals);
        let pi = softmax(&scores);
        let legal: f64 = scores.iter().map(|s| s.exp()).sum();
        let ratio: Vec<f64> = pi.iter().zip(reference).map(|(p, q)| (p / q).ln()).collect();
        let kl: f64 = pi.iter().zip(&ratio).map(|(p, l)| if *p > 0.0 { p * l } else { 0.0 }).sum();
        let reward: f64 = pi.iter().zip(&d.rewards).map(|(p, r)| p * r).sum();
        let best = optimum(reference, &d.rewards, terms.beta);
        let w = d.weight;
        parts.add(&Parts {
            weight: w,
            reward: w * reward,
            best: w * d.rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            kl: w * kl,
            distance: w * 0.5 * pi.iter().zip(&best).map(|(p, q)| (p - q).abs()).sum::<f64>(),
            legality: w * legal,
            objective: w * (reward - terms.beta * kl + terms.legality * legal.ln()),
        });
        for (a, reads) in d.reads.iter().enumerate() {
            // dJ/dS(a) = pi(a) [R(a) - beta ln(pi/ref)(a) - E(the same)] + lambda pi(a), since exp(S(a)) / L = pi(a).
            let advantage = d.rewards[a] - terms.beta * ratio[a] - (reward - terms.beta * kl);
            let pull = -w * scale * pi[a] * (advantage + terms.legality);
            for &(row, token) in reads {
                pulls.push((row, token, pull));
                back[row] += pull;
            }
        }
    }
    for (row, values) in logits.chunks_exact_mut(width).enumerate() {
        let (total, back) = (totals[row] as f32, back[row] as f32);
        values.iter_mut().for_each(|x| *x = -back * exp(*x - total));
    }
    for (row, token, pull) in pulls {
        logits[row * width + token as usize] += pull as f32;
    }
    parts
}
