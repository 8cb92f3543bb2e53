//! What was played: profiles, the state of a memory-one game, and the running history.

use serde::{Deserialize, Serialize};

use super::{ActionId, GameError, MatrixGame, Player};

/// One round's actions, seen from one player: its own and the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// The player's own action.
    pub own: ActionId,
    /// The other player's action.
    pub other: ActionId,
}

/// The state of a memory-one game: the last round's profile, or `None` before the first round.
pub type State = Option<Profile>;

/// The states of a memory-one game in order: the first round, then every profile, own action outermost. Whatever is kept by
/// state, policies, scores and visits, is kept in this order.
#[must_use]
pub fn states(game: &MatrixGame) -> Vec<State> {
    std::iter::once(None).chain(History::states(game).map(Some)).collect()
}

/// The number of a state in the order of [`states`]: 0 for the first round.
#[must_use]
pub fn state_number(game: &MatrixGame, state: State) -> usize {
    state.map_or(0, |last| 1 + last.own * game.count(Player::Column) + last.other)
}

/// All rounds so far, seen from the row player.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    rounds: Vec<Profile>,
}

impl History {
    /// Appends a round.
    ///
    /// # Errors
    /// [`GameError::UnknownAction`] when an id is not an action of its player; the history is then unchanged.
    pub fn push(&mut self, game: &MatrixGame, round: Profile) -> Result<(), GameError> {
        game.check_profile(round)?;
        self.rounds.push(round);
        Ok(())
    }

    /// The state the next decision is taken in.
    #[must_use]
    pub fn state(&self) -> State {
        self.rounds.last().copied()
    }

    /// Every round, oldest first.
    #[must_use]
    pub fn rounds(&self) -> &[Profile] {
        &self.rounds
    }

    /// The states of a memory-one game after its first round: every profile, own action outermost.
    pub fn states(game: &MatrixGame) -> impl Iterator<Item = Profile> {
        let columns = game.count(Player::Column);
        (0..game.count(Player::Row)).flat_map(move |own| (0..columns).map(move |other| Profile { own, other }))
    }
}
