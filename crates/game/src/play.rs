//! Exact repeated play between two players who remember one round.
//!
//! The states form a Markov chain, and discounted sums over the chain are solutions of linear systems.
//!
//! States are in the order of [`states`](crate::states). Discounted quantities are scaled by `1 - discount`: values are
//! rewards a round, and visits add up to 1, whatever the discount. With a discount of 0 all of it is the first round.

use super::{GameError, MatrixGame, Player, state_count};

/// A memory-one policy: for every state, in order, a distribution over the actions.
pub type Policy = Vec<Vec<f64>>;

/// The chain of two policies.
///
/// ```
/// use probity_game::play::{Chain, Policy};
/// use probity_game::{CatalogGame, Strategy, states};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let copies = Strategy::find("tit-for-tat").unwrap();
/// let other: Policy = states(&game).into_iter().map(|state| copies.policy(&game, state)).collect::<Result<_, _>>()?;
/// let cooperates = vec![vec![1.0, 0.0]; 5];
/// let visits = Chain::new(&game, &cooperates, &other, 0.9)?.visits(&[1.0, 0.0, 0.0, 0.0, 0.0]);
/// // One round in ten is the first; in all others both have cooperated.
/// assert!((visits[0] - 0.1).abs() < 1e-12 && (visits[1] - 0.9).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Chain {
    discount: f64,
    /// `[from][to]`, without the column of the first round, which never comes again.
    next: Vec<Vec<f64>>,
}

impl Chain {
    /// The chain of both players' policies, each over the row player's states.
    ///
    /// # Errors
    /// [`GameError::Belief`] for a discount outside of `[0, 1)`, and for policies of another shape than the game's.
    pub fn new(game: &MatrixGame, own: &[Vec<f64>], other: &[Vec<f64>], discount: f64) -> Result<Self, GameError> {
        let bad = |problem: String| Err(GameError::Belief { problem });
        if !(0.0..1.0).contains(&discount) {
            return bad(format!("discount {discount}, expected at least 0 and below 1"));
        }
        let [rows, columns] = [Player::Row, Player::Column].map(|p| game.count(p));
        let n = state_count(game);
        for (policy, actions) in [(own, rows), (other, columns)] {
            if policy.len() != n || policy.iter().any(|p| p.len() != actions) {
                return bad(format!("a policy of another shape, expected {n} states with {actions} actions"));
            }
        }
        let pairs = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().flat_map(|p| b.iter().map(move |q| p * q)).collect();
        Ok(Self { discount, next: own.iter().zip(other).map(pairs).collect() })
    }

    /// Discounted shares of the rounds spent in each state.
    ///
    /// `(1 - discount) start (I - discount P)^-1`, for a distribution `start` of first states. The shares add up to the
    /// sum of `start`.
    #[must_use]
    pub fn visits(&self, start: &[f64]) -> Vec<f64> {
        // The transposed system: visits(s) - discount sum_t visits(t) P(t, s) = (1 - discount) start(s).
        self.solve(start, |s, t| self.probability(t, s))
    }

    /// Discounted mean reward from each state on.
    ///
    /// `(1 - discount) (I - discount P)^-1 reward`, for `reward` by state.
    #[must_use]
    pub fn values(&self, reward: &[f64]) -> Vec<f64> {
        self.solve(reward, |s, t| self.probability(s, t))
    }

    /// `(1 - discount) (I - discount M)^-1 right`.
    fn solve(&self, right: &[f64], m: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let n = self.next.len();
        let row = |s: usize| (0..n).map(|t| f64::from(u8::from(s == t)) - self.discount * m(s, t)).collect();
        solve((0..n).map(row).collect(), right.iter().map(|r| (1.0 - self.discount) * r).collect())
    }

    fn probability(&self, from: usize, to: usize) -> f64 {
        to.checked_sub(1).map_or(0.0, |profile| self.next[from][profile])
    }
}

/// Solves a linear system by elimination with row exchanges.
///
/// A diagonally dominant matrix, as of the chains here, has a solution.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()));
        let pivot = pivot.expect("there is a row left");
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..n {
            let factor = matrix[row][column] / matrix[column][column];
            if factor != 0.0 {
                let (above, below) = matrix.split_at_mut(row);
                for (x, y) in below[0][column..].iter_mut().zip(&above[column][column..]) {
                    *x -= factor * y;
                }
                right[row] -= factor * right[column];
            }
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}
