//! REINFORCE with the mean of the other samples as baseline.
//!
//! Williams 1992; Kool et al. 2019.

use super::Rollout;
use crate::decoder::Pack;
use crate::objective::LogitRows;

/// Turns the logits into the gradient of `-1/n sum_i (R_i - b_i) log p(answer_i)`.
///
/// `R` is the reward minus `beta` times the sampled divergence, `b_i` the mean of the others' `R`.
pub fn loss(beta: f64, rollouts: &[Rollout], pack: &Pack, logits: &mut [f32]) {
    let returns: Vec<f64> = rollouts.iter().map(|r| r.reward - beta * r.divergence()).collect();
    let (n, sum) = (returns.len() as f64, returns.iter().sum::<f64>());
    let mut rows = LogitRows::new(pack, logits);
    for (rollout, value) in rollouts.iter().zip(returns) {
        let advantage = value - (sum - value) / (n - 1.0);
        for &read in &rollout.reads {
            // The gradient needs the row's sum, too.
            rows.log_probability(read);
            rows.pull(read, -advantage / n);
        }
    }
    rows.into_gradient();
}
