//! Exact answers about one round: expectations, best replies, bounds.

use super::{ActionId, GameError, MatrixGame, Player};

/// The uniform belief over the column player's actions.
///
/// It is the fair coin of the protocol's evaluation.
#[must_use]
pub fn fair_coin(game: &MatrixGame) -> Vec<f64> {
    let n = game.count(Player::Column);
    vec![1.0 / n as f64; n]
}

/// `[own, other]` expected payoff of every row action.
///
/// `belief` is a distribution over the column player's actions.
///
/// # Errors
/// [`GameError::Belief`] for a vector of the wrong length, with a negative or non-finite entry, or with a sum that
/// differs from 1 by more than 1e-9.
pub fn expected_payoffs(game: &MatrixGame, belief: &[f64]) -> Result<Vec<[f64; 2]>, GameError> {
    check_belief(game, belief)?;
    Ok((0..game.count(Player::Row))
        .map(|row| {
            belief.iter().enumerate().fold([0.0; 2], |sum, (column, p)| {
                let [own, other] = game.payoff(row, column);
                [sum[0] + p * own, sum[1] + p * other]
            })
        })
        .collect())
}

/// The row actions with the highest expected own payoff; ties within 1e-9.
///
/// # Errors
/// As [`expected_payoffs`].
pub fn best_replies(game: &MatrixGame, belief: &[f64]) -> Result<Vec<ActionId>, GameError> {
    let own: Vec<f64> = expected_payoffs(game, belief)?.iter().map(|p| p[0]).collect();
    Ok(argmax_set(&own))
}

/// The largest joint payoff of any profile: `Umax` of the utilitarian regret.
#[must_use]
pub fn max_joint_payoff(game: &MatrixGame) -> f64 {
    joint_payoffs(game).fold(f64::NEG_INFINITY, f64::max)
}

/// The smallest sum of both payoffs that any profile gives.
#[must_use]
pub fn min_joint_payoff(game: &MatrixGame) -> f64 {
    joint_payoffs(game).fold(f64::INFINITY, f64::min)
}

fn joint_payoffs(game: &MatrixGame) -> impl Iterator<Item = f64> {
    let columns = game.count(Player::Column);
    (0..game.count(Player::Row))
        .flat_map(move |r| (0..columns).map(move |c| (r, c)))
        .map(|(r, c)| game.payoff(r, c).iter().sum())
}

/// Indices of the largest values.
///
/// Values tie within 1e-9 of the spread between the largest and the least, and within the rounding of their own size.
#[must_use]
pub fn argmax_set(values: &[f64]) -> Vec<usize> {
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let rounding = 16.0 * f64::EPSILON * best.abs().max(least.abs());
    let margin = rounding.max(1e-9 * (best - least));
    values.iter().enumerate().filter(|(_, v)| best - **v <= margin).map(|(i, _)| i).collect()
}

/// The first action, by id, whose cumulated probability passes `u` in 0..1.
#[must_use]
pub fn sample(probabilities: &[f64], u: f64) -> ActionId {
    let mut rest = u;
    for (action, p) in probabilities.iter().enumerate() {
        rest -= p;
        if rest < 0.0 {
            return action;
        }
    }
    // Rounding may leave a rest, which goes to the last action with a probability.
    probabilities.iter().rposition(|&p| p > 0.0).unwrap_or(0)
}

/// Checks that a belief is a distribution over the column player's actions.
///
/// # Errors
/// As [`expected_payoffs`].
pub fn check_belief(game: &MatrixGame, belief: &[f64]) -> Result<(), GameError> {
    let n = game.count(Player::Column);
    if belief.len() != n {
        return Err(GameError::Belief { problem: format!("{} entries, expected {n}", belief.len()) });
    }
    if let Some(bad) = belief.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(GameError::Belief { problem: format!("{bad} is not a probability, expected 0 to 1") });
    }
    let sum: f64 = belief.iter().sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(GameError::Belief { problem: format!("the entries sum to {sum}, expected 1") });
    }
    Ok(())
}
