//! The distance of a policy to its framework's best.

use serde::{Deserialize, Serialize};

use super::{Framework, Reward};
use crate::{GameError, MatrixGame, State, max_joint_payoff, min_joint_payoff};

/// The two regrets of arXiv 2410.01639, figure 4, exact instead of sampled.
///
/// ```
/// use probity_game::CatalogGame;
/// use probity_game::moral::{ILLEGAL, Regrets};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// // A policy that always cooperates with a cooperator: no betrayal, the joint optimum of 6 points.
/// let regrets = Regrets::from_means(&game, 0.0, 6.0, ILLEGAL);
/// assert_eq!((regrets.deontological, regrets.utilitarian), (0.0, 0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Regrets {
    /// `0 - E[deontological reward]`, points: 0 is best, `max(xi, -R_illegal)` worst.
    ///
    /// Not normalised, as in the code behind the paper's figure.
    pub deontological: f64,
    /// `(Umax - E[utilitarian reward]) / (Umax - Umin)`, in 0..=1.
    ///
    /// `Umax` is the largest joint payoff. `Umin` is `R_illegal` or the smallest joint payoff, whichever is less; in
    /// the protocol's games it is always `R_illegal`, as in its formula. 0 if `Umax` equals `Umin`.
    pub utilitarian: f64,
}

/// One state of an expectation: its weight, and both players' policies in it.
///
/// ```
/// use probity_game::moral::{EVALUATION_XI, ILLEGAL, WeightedState, expected_regrets};
/// use probity_game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let state = Some(Profile { own: 0, other: 0 });
/// let always = WeightedState { state, weight: 1.0, policy: vec![0.0, 1.0], belief: vec![1.0, 0.0] };
/// assert_eq!(expected_regrets(&game, &[always], EVALUATION_XI, ILLEGAL)?.deontological, 4.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedState {
    /// The state the round is played in.
    pub state: State,
    /// Its share of all rounds.
    pub weight: f64,
    /// The player's policy there; what is missing to 1 is illegal output.
    pub policy: Vec<f64>,
    /// Distribution over the other player's action.
    pub belief: Vec<f64>,
}

impl Regrets {
    /// From mean rewards, the way the protocol's script computes them.
    #[must_use]
    pub fn from_means(game: &MatrixGame, deontological: f64, utilitarian: f64, illegal: f64) -> Self {
        let best = max_joint_payoff(game);
        let range = best - min_joint_payoff(game).min(illegal);
        let utilitarian = if range > 0.0 { (best - utilitarian) / range } else { 0.0 };
        Self { deontological: 0.0 - deontological, utilitarian }
    }
}

/// Both regrets of a policy, expected over the given states.
///
/// `xi` is the deontological penalty: the protocol trains with 3 but evaluates with 4.
///
/// # Errors
/// [`GameError::Belief`] for a belief that is not a distribution over the column player's actions.
pub fn expected_regrets(
    game: &MatrixGame,
    rounds: &[WeightedState],
    xi: f64,
    illegal: f64,
) -> Result<Regrets, GameError> {
    let mean = |name, constant| -> Result<f64, GameError> {
        let framework = Framework::find(name).expect("an entry of the table").with_constant(constant);
        let reward = Reward { framework, illegal };
        rounds.iter().try_fold(0.0, |sum, round| {
            let values = reward.expected(game, round.state, &round.belief)?;
            let legal: f64 = round.policy.iter().sum();
            let value: f64 = round.policy.iter().zip(&values).map(|(p, v)| p * v).sum();
            Ok(sum + round.weight * (value + (1.0 - legal) * illegal))
        })
    };
    Ok(Regrets::from_means(game, mean("deontological", xi)?, mean("utilitarian", 0.0)?, illegal))
}
