//! Scripted players. Each is a memory-one policy, so an exact expectation over it is as easy as a sample from it.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{ActionId, GameError, MatrixGame, Player, State, draw};

/// A scripted player (arXiv 2410.01639 trains against tit-for-tat and evaluates against random). It plays the column of
/// the game it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Repeats what its opponent did last; cooperates in the first round.
    TitForTat,
    /// Cooperates always.
    AlwaysCooperate,
    /// Plays its first action that is not cooperation, always.
    AlwaysDefect,
    /// Picks uniformly among its actions.
    Random,
}

impl Strategy {
    /// Every strategy, in the order the demo plays them.
    pub const ALL: [Self; 4] = [Self::TitForTat, Self::AlwaysCooperate, Self::AlwaysDefect, Self::Random];

    /// The name used on the command line and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TitForTat => "tit-for-tat",
            Self::AlwaysCooperate => "always-cooperate",
            Self::AlwaysDefect => "always-defect",
            Self::Random => "random",
        }
    }

    /// The distribution over the column player's actions, given the state as the *row* player sees it.
    ///
    /// # Errors
    /// [`GameError::NotMirrored`] for tit-for-tat where the players' actions do not correspond one to one.
    pub fn policy(self, game: &MatrixGame, state: State) -> Result<Vec<f64>, GameError> {
        let n = game.count(Player::Column);
        let cooperative = game.cooperative(Player::Column);
        let pure = |action: ActionId| (0..n).map(|a| f64::from(a == action)).collect();
        Ok(match (self, state) {
            (Self::TitForTat, _) if game.count(Player::Row) != n => {
                return Err(GameError::NotMirrored { strategy: self.name() });
            }
            (Self::TitForTat, Some(last)) => pure(last.own),
            (Self::TitForTat, None) | (Self::AlwaysCooperate, _) => pure(cooperative),
            (Self::AlwaysDefect, _) => pure(usize::from(cooperative == 0)),
            (Self::Random, _) => vec![1.0 / n as f64; n],
        })
    }

    /// Draws the column player's action.
    ///
    /// # Errors
    /// As [`Strategy::policy`].
    pub fn play(self, game: &MatrixGame, state: State, rng: &mut impl Rng) -> Result<ActionId, GameError> {
        Ok(draw(&self.policy(game, state)?, rng.random()))
    }
}
