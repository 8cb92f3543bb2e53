//! Profiles, the state of a memory-one game, and the running history.

use serde::{Deserialize, Serialize};

use super::{ActionId, GameError, MatrixGame, Player};

/// One round's actions, seen from one player: its own and the other's.
///
/// ```
/// use probity_game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let betrayed = Profile { own: 0, other: 1 };
/// assert_eq!(game.payoff(betrayed.own, betrayed.other), [0.0, 4.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// The player's own action.
    pub own: ActionId,
    /// The other player's action.
    pub other: ActionId,
}

/// The state of a memory-one game.
///
/// It is the last round's profile, or `None` before the first round.
pub type State = Option<Profile>;

/// The states of a memory-one game, in order.
///
/// The first round comes first, then every profile, own action outermost. Policies, scores and visits by state have
/// this order.
#[must_use]
pub fn states(game: &MatrixGame) -> Vec<State> {
    std::iter::once(None).chain(History::states(game).map(Some)).collect()
}

/// How many states there are: the first round's, and one for every profile.
#[must_use]
pub fn state_count(game: &MatrixGame) -> usize {
    1 + game.count(Player::Row) * game.count(Player::Column)
}

/// The number of a state in the order of [`states`]: 0 for the first round.
#[must_use]
pub fn state_number(game: &MatrixGame, state: State) -> usize {
    state.map_or(0, |last| 1 + last.own * game.count(Player::Column) + last.other)
}

/// All rounds so far, seen from the row player.
///
/// ```
/// use probity_game::{CatalogGame, History, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let mut history = History::default();
/// assert_eq!(history.state(), None);
/// history.push(&game, Profile { own: 0, other: 1 })?;
/// assert_eq!(history.state(), Some(Profile { own: 0, other: 1 }));
/// assert!(history.push(&game, Profile { own: 7, other: 1 }).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    rounds: Vec<Profile>,
}

impl History {
    /// Appends a round.
    ///
    /// # Errors
    /// [`GameError::UnknownAction`] for an id that is not an action of its player; the history is then unchanged.
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

    /// The states after the first round: every profile, own action outermost.
    pub fn states(game: &MatrixGame) -> impl Iterator<Item = Profile> {
        let columns = game.count(Player::Column);
        (0..game.count(Player::Row)).flat_map(move |own| (0..columns).map(move |other| Profile { own, other }))
    }
}
