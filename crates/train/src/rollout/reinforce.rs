//! REINFORCE with the mean of other episodes as baseline.
//!
//! Williams 1992; Kool et al. 2019.

use super::Rollout;
use crate::decoder::Pack;
use crate::objective::LogitRows;

/// Turns the logits into the gradient of `-1/n sum_i (R_i - b_i) log p(answer_i)`.
///
/// `R` is the reward minus `beta` times the sampled divergence. `b_i` is the mean `R` of the other episodes, each of
/// `rounds` rollouts in a row. An answer's own episode is left out as a whole: its later rounds depend on the answer,
/// and would bias the gradient. A single episode has no baseline.
pub fn loss(beta: f64, rounds: usize, rollouts: &[Rollout], pack: &Pack, logits: &mut [f32]) {
    let returns: Vec<f64> = rollouts.iter().map(|r| r.reward - beta * r.divergence()).collect();
    let (n, sum) = (returns.len() as f64, returns.iter().sum::<f64>());
    let mut rows = LogitRows::new(pack, logits);
    for (episode, returns) in rollouts.chunks(rounds).zip(returns.chunks(rounds)) {
        let others = n - returns.len() as f64;
        let baseline = if others > 0.0 { (sum - returns.iter().sum::<f64>()) / others } else { 0.0 };
        for (rollout, value) in episode.iter().zip(returns) {
            for &read in &rollout.reads {
                // The gradient needs the row's sum, too.
                rows.log_probability(read);
                rows.pull(read, -(value - baseline) / n);
            }
        }
    }
    rows.into_gradient();
}
