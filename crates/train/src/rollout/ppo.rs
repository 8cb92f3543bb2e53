//! PPO on tokens, as arXiv 2410.01639 ran it.
//!
//! TRL 0.9 (commit 78f8228).
//!
//! Every token earns `-beta` times its sampled divergence from the bare model. The last token earns the answer's
//! reward, too, scaled by the spread of all rewards so far. Advantages are generalised estimates (Schulman et al. 2016)
//! over an answer's tokens, whitened over the batch. No credit passes from one round to the next.

use super::Rollout;
use crate::curriculum::Ppo;
use crate::decoder::{Pack, Tape};
use crate::objective::LogitRows;

/// What the losses pull towards, a number a token of each answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Whitened advantages.
    pub advantages: Vec<Vec<f64>>,
    /// Returns for the value head.
    pub returns: Vec<Vec<f64>>,
}

/// Targets of a batch; `scores` are the scaled rewards of the answers.
#[must_use]
pub fn targets(p: &Ppo, beta: f64, rollouts: &[Rollout], scores: &[f64]) -> Targets {
    let (mut advantages, mut returns) = (Vec::new(), Vec::new());
    for (r, score) in rollouts.iter().zip(scores) {
        let last = r.old.len() - 1;
        let mut ahead = vec![0.0; r.old.len()];
        let (mut advantage, mut next) = (0.0, 0.0);
        for t in (0..=last).rev() {
            let reward = -beta * (r.old[t] - r.reference[t]) + if t == last { *score } else { 0.0 };
            let delta = reward + p.discount * next - r.values[t];
            advantage = delta + p.discount * p.lambda * advantage;
            ahead[t] = advantage;
            next = r.values[t];
        }
        returns.push(ahead.iter().zip(&r.values).map(|(a, v)| a + v).collect());
        advantages.push(ahead);
    }
    whiten(&mut advantages);
    Targets { advantages, returns }
}

/// Mean 0 and unbiased variance 1 over all tokens.
fn whiten(advantages: &mut [Vec<f64>]) {
    let n = advantages.iter().map(Vec::len).sum::<usize>() as f64;
    let mean = advantages.iter().flatten().sum::<f64>() / n;
    let variance = advantages.iter().flatten().map(|a| (a - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let scale = 1.0 / (variance + 1e-8).sqrt();
    advantages.iter_mut().flatten().for_each(|a| *a = (*a - mean) * scale);
}

/// The value head: a weight a hidden unit, and a constant.
#[must_use]
pub fn value(head: &[f32], hidden: &[f32]) -> f64 {
    let (weights, constant) = head.split_at(hidden.len());
    let sum: f64 = weights.iter().zip(hidden).map(|(w, h)| f64::from(*w) * f64::from(*h)).sum();
    sum + f64::from(constant[0])
}

/// The policy's loss plus the value head's weighted loss.
///
/// The logits become their gradient, and `tape.dnormed` gets the head's backward flow. Returns the loss and the
/// gradient of the head's parameters.
#[must_use]
pub fn loss(
    p: &Ppo,
    rollouts: &[Rollout],
    targets: &Targets,
    pack: &Pack,
    tape: &mut Tape,
    head: &[f32],
) -> (f64, Vec<f32>) {
    let width = head.len() - 1;
    let n = rollouts.iter().map(|r| r.reads.len()).sum::<usize>() as f64;
    let mut head_gradient = vec![0.0; head.len()];
    let mut rows = LogitRows::new(pack, &mut tape.logits);
    let ratio = |rows: &mut LogitRows<'_>, r: &Rollout, t: usize| (rows.log_probability(r.reads[t]) - r.old[t]).exp();
    let tokens = |r: &Rollout| 0..r.reads.len();
    let mean: f64 =
        rollouts.iter().flat_map(|r| tokens(r).map(move |t| (r, t))).map(|(r, t)| ratio(&mut rows, r, t)).sum::<f64>()
            / n;
    if mean > p.ratio_threshold {
        rows.into_gradient();
        return (0.0, head_gradient);
    }
    let mut total = 0.0;
    for ((r, advantages), returns) in rollouts.iter().zip(&targets.advantages).zip(&targets.returns) {
        for t in tokens(r) {
            let (advantage, ratio) = (advantages[t], ratio(&mut rows, r, t));
            let (free, clipped) = (-advantage * ratio, -advantage * ratio.clamp(1.0 - p.clip, 1.0 + p.clip));
            total += free.max(clipped) / n;
            rows.pull(r.reads[t], if free >= clipped { -advantage * ratio / n } else { 0.0 });

            let row = r.reads[t].0;
            let hidden = &tape.normed[row * width..][..width];
            let (now, old, aim) = (value(head, hidden), r.values[t], returns[t]);
            let near = now.clamp(old - p.value_clip, old + p.value_clip);
            total += p.value_weight * 0.5 * (now - aim).powi(2).max((near - aim).powi(2)) / n;
            // Where the clipped error is larger, the value is outside the clip and gets no gradient.
            let pull = if (now - aim).abs() >= (near - aim).abs() { p.value_weight * (now - aim) / n } else { 0.0 };
            let pull = pull as f32;
            let back = &mut tape.dnormed[row * width..][..width];
            for i in 0..width {
                back[i] += pull * head[i];
                head_gradient[i] += pull * hidden[i];
            }
            head_gradient[width] += pull;
        }
    }
    rows.into_gradient();
    (total, head_gradient)
}
