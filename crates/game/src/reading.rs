//! What there is to read in a game.

use std::fmt;
use std::str::FromStr;

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

    /// The reach in words, after "games of".
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

/// What the labels of a game are written with.
///
/// ```
/// use probity_game::{CatalogGame, Wording};
///
/// # fn main() -> Result<(), probity_game::GameError> {
/// let game = CatalogGame::find("ipd")?;
/// assert_eq!(Wording::of(&game.labelled(["stay put", "leave"])?), Wording::Blanks);
/// assert_eq!(Wording::of(&game.labelled(["да", "нет"])?), Wording::BeyondAscii);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wording {
    /// ASCII, no blanks.
    Ascii,
    /// ASCII, some with blanks.
    Blanks,
    /// Some of them beyond ASCII.
    BeyondAscii,
}

impl Wording {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Ascii, Self::Blanks, Self::BeyondAscii];

    /// The wording of a game's labels, those of both players.
    #[must_use]
    pub fn of(game: &MatrixGame) -> Self {
        let labels = || [Player::Row, Player::Column].into_iter().flat_map(|player| game.labels(player));
        if labels().any(|label| !label.is_ascii()) {
            Self::BeyondAscii
        } else if labels().any(|label| label.contains(' ')) {
            Self::Blanks
        } else {
            Self::Ascii
        }
    }

    /// The wording in words, after "with".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Ascii => "ASCII labels without blanks",
            Self::Blanks => "ASCII labels with blanks",
            Self::BeyondAscii => "labels beyond ASCII",
        }
    }
}

impl fmt::Display for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascii => "ascii",
            Self::Blanks => "blanks",
            Self::BeyondAscii => "beyond-ascii",
        })
    }
}

/// A kind of games that a model reads, or does not read.
///
/// It is a reach under a wording, written `digits/ascii`.
///
/// ```
/// use probity_game::{CatalogGame, Reading};
///
/// # fn main() -> Result<(), probity_game::GameError> {
/// let reading = Reading::of(&CatalogGame::find("ipd")?.game());
/// assert_eq!(reading.map(|r| r.to_string()).as_deref(), Some("digits/ascii"));
/// assert_eq!("digits/ascii".parse().ok(), reading);
/// assert!("digits".parse::<Reading>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reading {
    /// Its payoffs and actions.
    pub reach: Reach,
    /// Its labels.
    pub wording: Wording,
}

impl Reading {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        Wording::ALL.into_iter().flat_map(|wording| Reach::ALL.map(|reach| Self { reach, wording }))
    }

    /// The kind of a game; `None` for a game beyond all of them.
    #[must_use]
    pub fn of(game: &MatrixGame) -> Option<Self> {
        Reach::of(game).map(|reach| Self { reach, wording: Wording::of(game) })
    }

    /// Whether a game is of one of these kinds.
    #[must_use]
    pub fn any_of(kinds: &[Self], game: &MatrixGame) -> bool {
        Self::of(game).is_some_and(|kind| kinds.contains(&kind))
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.reach, self.wording)
    }
}

impl FromStr for Reading {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::all().map(|reading| reading.to_string()).collect::<Vec<_>>().join(", ");
        Self::all()
            .find(|reading| reading.to_string() == text)
            .ok_or_else(|| format!("{text:?} is no kind of games; known are {}", known()))
    }
}

impl TryFrom<String> for Reading {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Reading> for String {
    fn from(reading: Reading) -> Self {
        reading.to_string()
    }
}
