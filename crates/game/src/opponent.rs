//! The opponents of a learner.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{GameError, MatrixGame, State, Strategy, fair_coin};

/// Whom a learner plays against.
///
/// ```
/// use probity_game::Opponent;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let opponent: Opponent = serde_json::from_str(r#""tit-for-tat""#)?;
/// assert!(!opponent.is_steady());
/// assert!(serde_json::from_str::<Opponent>(r#""grim""#).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Opponent {
    /// A player who remembers one round.
    Strategy(Strategy),
    /// A second learner: another adapter, trained at the same time.
    ///
    /// It has the same reward.
    Learner,
}

/// [`Opponent::Learner`] in documents.
const LEARNER: &str = "learner";

impl Opponent {
    /// The distribution over its actions, given the state as the learner sees it.
    ///
    /// A learner's policy is unknown: a fair coin.
    ///
    /// # Errors
    /// As [`Strategy::policy`].
    pub fn policy(&self, game: &MatrixGame, state: State) -> Result<Vec<f64>, GameError> {
        match self {
            Self::Strategy(strategy) => strategy.policy(game, state),
            Self::Learner => Ok(fair_coin(game)),
        }
    }

    /// Whether it plays one action always.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        matches!(self, Self::Strategy(strategy) if strategy.is_steady())
    }

    /// The names that documents may give, as a list.
    #[must_use]
    pub fn names() -> String {
        format!("{}, {LEARNER}, or memory-one", Strategy::names().join(", "))
    }
}

impl fmt::Display for Opponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strategy(strategy) => f.write_str(strategy.name()),
            Self::Learner => f.write_str(LEARNER),
        }
    }
}

impl Serialize for Opponent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Strategy(strategy) => strategy.serialize(to),
            Self::Learner => to.serialize_str(LEARNER),
        }
    }
}

impl<'de> Deserialize<'de> for Opponent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// Tells the two written forms apart, so that an error in either is told as it is.
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Opponent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an opponent, or { memory-one = [p0, pcc, pcd, pdc, pdd] } and nothing else")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Opponent, E> {
                if name == LEARNER {
                    return Ok(Opponent::Learner);
                }
                let unknown = || E::custom(format!("opponent {name:?}, expected {}", Opponent::names()));
                Strategy::find(name).map(Opponent::Strategy).ok_or_else(unknown)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Opponent, A::Error> {
                Strategy::deserialize(MapAccessDeserializer::new(map)).map(Opponent::Strategy)
            }
        }

        from.deserialize_any(Written)
    }
}
