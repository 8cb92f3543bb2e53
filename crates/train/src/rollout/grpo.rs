//! GRPO as TRL defines it: advantages within a group of answers to one prompt.
//!
//! Shao et al. 2024 (arXiv 2402.03300); TRL 1.16's `GRPOTrainer` with its default loss, `dapo`.

use super::Rollout;
use crate::curriculum::Grpo;
use crate::decoder::Pack;
use crate::objective::LogitRows;

/// What TRL adds to a group's spread.
const SPREAD: f64 = 1e-4;

/// Each answer's advantage within its group.
///
/// It is the reward less the group's mean, over the group's standard deviation. Groups are `size` rollouts in a row.
#[must_use]
pub fn advantages(rollouts: &[Rollout], size: usize) -> Vec<f64> {
    let of = |group: &[Rollout]| -> Vec<f64> {
        let n = group.len() as f64;
        let mean = group.iter().map(|r| r.reward).sum::<f64>() / n;
        let squares: f64 = group.iter().map(|r| (r.reward - mean).powi(2)).sum();
        let deviation = if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        group.iter().map(|r| (r.reward - mean) / (deviation + SPREAD)).collect()
    };
    rollouts.chunks(size).flat_map(of).collect()
}

/// Turns the logits into the gradient of the loss, and returns the loss.
///
/// `1/tokens sum [ -min(ratio A, clip(ratio) A) + beta (exp(d) - d - 1) ]` over all tokens of all answers, with
/// `d = log p_ref - log p`.
pub fn loss(g: &Grpo, beta: f64, advantages: &[f64], rollouts: &[Rollout], pack: &Pack, logits: &mut [f32]) -> f64 {
    let n = rollouts.iter().map(|r| r.reads.len()).sum::<usize>() as f64;
    let mut rows = LogitRows::new(pack, logits);
    let mut total = 0.0;
    for (rollout, advantage) in rollouts.iter().zip(advantages) {
        for (t, &read) in rollout.reads.iter().enumerate() {
            let log_p = rows.log_probability(read);
            let ratio = (log_p - rollout.old[t]).exp();
            let clipped = ratio.clamp(1.0 - g.clip, 1.0 + g.clip);
            let (free, held) = (-advantage * ratio, -advantage * clipped);
            let d = rollout.reference[t] - log_p;
            total += (free.max(held) + beta * (d.exp() - d - 1.0)) / n;
            let pull = if free >= held { free } else { 0.0 };
            rows.pull(read, (pull + beta * (1.0 - d.exp())) / n);
        }
    }
    rows.into_gradient();
    total
}
