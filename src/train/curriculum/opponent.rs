//! Whom a learner plays against.

use serde::{Deserialize, Serialize};

use crate::game::{GameError, MatrixGame, Player, State, Strategy};

/// Whom a learner plays against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "OpponentDocument", into = "OpponentDocument")]
pub enum Opponent {
    /// A scripted player.
    Scripted(Strategy),
    /// A player of two actions who cooperates with these probabilities: in the first round, then after both cooperated,
    /// after it alone did, after the learner alone did, after none did.
    MemoryOne([f64; 5]),
    /// A second learner with an adapter of its own, trained at the same time under the same reward.
    Learner,
}

impl Opponent {
    /// The distribution over its actions, given the state as the learner sees it. Of a learner it is not known: a fair
    /// coin.
    ///
    /// # Errors
    /// As [`Strategy::policy`]; [`GameError::Belief`] for a memory-one player in a game of other than two actions.
    pub fn policy(&self, game: &MatrixGame, state: State) -> std::result::Result<Vec<f64>, GameError> {
        match self {
            Self::Scripted(strategy) => strategy.policy(game, state),
            Self::Learner => Strategy::Random.policy(game, state),
            Self::MemoryOne(p) => {
                if [Player::Row, Player::Column].iter().any(|&player| game.count(player) != 2) {
                    let problem =
                        "of a memory-one opponent: the game has other than two actions, expected two each".into();
                    return Err(GameError::Belief { problem });
                }
                let [row, column] = [Player::Row, Player::Column].map(|player| game.cooperative(player));
                // Its own last action first, as such players are written down (Press and Dyson 2012).
                let seen = state.map_or(0, |s| 1 + 2 * usize::from(s.other != column) + usize::from(s.own != row));
                Ok((0..2).map(|action| if action == column { p[seen] } else { 1.0 - p[seen] }).collect())
            }
        }
    }
}

/// The written form: a name, or the probabilities.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of an opponent, or { memory-one = [p0, pcc, pcd, pdc, pdd] } and nothing else"
)]
enum OpponentDocument {
    Name(String),
    MemoryOne(MemoryOne),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct MemoryOne {
    memory_one: Vec<f64>,
}

impl TryFrom<OpponentDocument> for Opponent {
    type Error = String;

    fn try_from(document: OpponentDocument) -> std::result::Result<Self, String> {
        match document {
            OpponentDocument::MemoryOne(MemoryOne { memory_one }) => {
                if let Some(p) = memory_one.iter().find(|p| !(0.0..=1.0).contains(*p)) {
                    return Err(format!("memory-one: {p} is no probability"));
                }
                let five = |p: Vec<f64>| format!("memory-one: {} probabilities, expected five", p.len());
                memory_one.try_into().map(Self::MemoryOne).map_err(five)
            }
            OpponentDocument::Name(name) if name == "learner" => Ok(Self::Learner),
            OpponentDocument::Name(name) => {
                let known = Strategy::ALL.map(Strategy::name).join(", ");
                let found = Strategy::ALL.into_iter().find(|s| s.name() == name);
                found.map(Self::Scripted).ok_or(format!("opponent {name:?}, expected {known}, learner, or memory-one"))
            }
        }
    }
}

impl From<Opponent> for OpponentDocument {
    fn from(opponent: Opponent) -> Self {
        match opponent {
            Opponent::Scripted(strategy) => Self::Name(strategy.name().into()),
            Opponent::MemoryOne(p) => Self::MemoryOne(MemoryOne { memory_one: p.to_vec() }),
            Opponent::Learner => Self::Name("learner".into()),
        }
    }
}
