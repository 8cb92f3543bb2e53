//! What there is to read in a game.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{MatrixGame, Player};

/// How much there is to read in a game: its shape and the range of its payoffs.
///
/// ```
/// use probity_game::{CatalogGame, Reach};
///
/// # fn main() -> Result<(), probity_game::GameError> {
/// assert_eq!(Reach::of(&CatalogGame::find("ipd")?.game()), Some(Reach::Digits));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Two actions each, whole payoffs from 0 to 9.
    Digits,
    /// Two actions each, whole payoffs from -99 to 99, not all of them digits.
    Numbers,
    /// Two to four actions each, not two and two; payoffs from 0 to 9.
    Actions,
}

impl Reach {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Digits, Self::Numbers, Self::Actions];

    /// The reach that a game needs; `None` for a game beyond all three.
    #[must_use]
    pub fn of(game: &MatrixGame) -> Option<Self> {
        let counts = [Player::Row, Player::Column].map(|player| game.count(player));
        let within =
            |least: f64, most: f64| game.payoffs().flatten().all(|p| p.fract() == 0.0 && (least..=most).contains(&p));
        match counts {
            [2, 2] if within(0.0, 9.0) => Some(Self::Digits),
            [2, 2] if within(-99.0, 99.0) => Some(Self::Numbers),
            [2..=4, 2..=4] if within(0.0, 9.0) => Some(Self::Actions),
            _ => None,
        }
    }

    /// The reach in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Digits => "two actions each and whole payoffs from 0 to 9",
            Self::Numbers => "two actions each and whole payoffs from -99 to 99",
            Self::Actions => "up to four actions each and whole payoffs from 0 to 9",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digits => "digits",
            Self::Numbers => "numbers",
            Self::Actions => "actions",
        })
    }
}
