//! A game of a curriculum: one of the catalogue by its name, or a document.

use std::fmt;

use probity_game::{CatalogGame, MatrixGame};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A game that a config names, or writes down.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenGame(pub MatrixGame);

impl GivenGame {
    /// The game's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether it is the catalogue's game of its name.
    fn is_of_the_catalogue(&self) -> bool {
        CatalogGame::find(self.name()).is_ok_and(|known| known.game() == self.0)
    }
}

impl Serialize for GivenGame {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_of_the_catalogue() { to.serialize_str(self.name()) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for GivenGame {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// Tells the two written forms apart, so that an error in either is told as it is.
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = GivenGame;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a catalogue game, or a game's document")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<GivenGame, E> {
                CatalogGame::find(name).map(|known| GivenGame(known.game())).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GivenGame, A::Error> {
                MatrixGame::deserialize(MapAccessDeserializer::new(map)).map(GivenGame)
            }
        }

        from.deserialize_any(Written)
    }
}
