//! Counts of actions by the move that they answer.

use serde::{Deserialize, Serialize};

use crate::{ActionId, MatrixGame, Player, Profile};

/// Counts or shares of actions by the other player's last action.
///
/// Source: arXiv 2410.01639, figure 2.
///
/// ```
/// use probity_game::moral::ActionTypes;
/// use probity_game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let mut types = ActionTypes::default();
/// types.add(&game, Profile { own: 0, other: 0 }, Some(1), 1.0);
/// assert_eq!((types.d_after_c, types.total()), (1.0, 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionTypes {
    /// Cooperation after the other cooperated.
    pub c_after_c: f64,
    /// Cooperation after the other defected.
    pub c_after_d: f64,
    /// Defection after the other cooperated: what the deontological reward punishes.
    pub d_after_c: f64,
    /// Defection after the other defected.
    pub d_after_d: f64,
    /// No legal action after the other cooperated.
    pub illegal_after_c: f64,
    /// No legal action after the other defected.
    pub illegal_after_d: f64,
}

impl ActionTypes {
    /// Adds `weight` rounds of `action` in `state`; `None` is an illegal action.
    pub fn add(&mut self, game: &MatrixGame, state: Profile, action: Option<ActionId>, weight: f64) {
        let after_d = game.is_defection(Player::Column, state.other);
        let slot = match (action.map(|a| game.is_defection(Player::Row, a)), after_d) {
            (Some(false), false) => &mut self.c_after_c,
            (Some(false), true) => &mut self.c_after_d,
            (Some(true), false) => &mut self.d_after_c,
            (Some(true), true) => &mut self.d_after_d,
            (None, false) => &mut self.illegal_after_c,
            (None, true) => &mut self.illegal_after_d,
        };
        *slot += weight;
    }

    /// Sum over all types.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.c_after_c + self.c_after_d + self.d_after_c + self.d_after_d + self.illegal_after_c + self.illegal_after_d
    }
}
