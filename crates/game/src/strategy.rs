//! Scripted players.
//!
//! Each is a memory-one policy, so an exact expectation over it is as easy as a sample.
//!
//! To add a scripted player, write an entry of [`STRATEGIES`] and run `make tables`. A player of two actions needs no
//! entry: [`Strategy::MemoryOne`] covers every such player.

use std::fmt;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{ActionId, GameError, MatrixGame, Player, State, sample};

/// An entry of the table.
///
/// ```
/// use probity_game::STRATEGIES;
///
/// let random = STRATEGIES.iter().find(|entry| entry.name == "random").unwrap();
/// assert!(!random.steady);
/// assert!(random.rule.contains("same probability"));
/// ```
pub struct StrategyEntry {
    /// The name in commands and documents.
    pub name: &'static str,
    /// What it does.
    pub rule: &'static str,
    /// Whether it plays one action always.
    pub steady: bool,
    /// Its distribution over its actions, in the state as the row player sees it.
    policy: fn(&MatrixGame, State) -> Result<Vec<f64>, GameError>,
}

/// Every scripted player, in the order in which the demo plays them.
pub static STRATEGIES: &[StrategyEntry] = &[
    StrategyEntry {
        name: "tit-for-tat",
        rule: "cooperates in the first round, then repeats its opponent's last action",
        steady: false,
        policy: |game, state| match state {
            _ if game.count(Player::Row) != game.count(Player::Column) => {
                Err(GameError::NotMirrored { strategy: "tit-for-tat" })
            }
            Some(last) => Ok(certain(game, last.own)),
            None => Ok(certain(game, game.cooperative(Player::Column))),
        },
    },
    StrategyEntry {
        name: "always-cooperate",
        rule: "cooperates",
        steady: true,
        policy: |game, _| Ok(certain(game, game.cooperative(Player::Column))),
    },
    StrategyEntry {
        name: "always-defect",
        rule: "plays its first defection",
        steady: true,
        policy: |game, _| Ok(certain(game, usize::from(game.cooperative(Player::Column) == 0))),
    },
    StrategyEntry {
        name: "random",
        rule: "plays each of its actions with the same probability",
        steady: false,
        policy: |game, _| Ok(super::fair_coin(game)),
    },
];

/// All probability on one of the column player's actions.
fn certain(game: &MatrixGame, action: ActionId) -> Vec<f64> {
    (0..game.count(Player::Column)).map(|a| f64::from(a == action)).collect()
}

/// A player who remembers one round.
///
/// It plays the column player of the given game.
///
/// ```
/// use probity_game::{CatalogGame, Profile, Strategy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let state = Some(Profile { own: 1, other: 0 });
/// let tit_for_tat = Strategy::find("tit-for-tat").unwrap();
/// assert_eq!(tit_for_tat.policy(&game, state)?, [0.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "StrategyDocument", into = "StrategyDocument")]
pub enum Strategy {
    /// An entry of [`STRATEGIES`].
    Scripted(&'static StrategyEntry),
    /// A player of two actions, by five probabilities to cooperate.
    ///
    /// In order: in the first round, after mutual cooperation, after only the player itself cooperated, after only its
    /// opponent cooperated, after mutual defection (Press and Dyson 2012).
    MemoryOne([f64; 5]),
}

impl Strategy {
    /// Every scripted player, in the order in which the demo plays them.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        STRATEGIES.iter().map(Self::Scripted)
    }

    /// The scripted player of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|strategy| strategy.name() == name)
    }

    /// The names of the scripted players, in their order.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        STRATEGIES.iter().map(|entry| entry.name).collect()
    }

    /// The name in commands and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scripted(entry) => entry.name,
            Self::MemoryOne(_) => "memory-one",
        }
    }

    /// Whether it plays one action always.
    #[must_use]
    pub fn is_steady(self) -> bool {
        matches!(self, Self::Scripted(entry) if entry.steady)
    }

    /// The distribution over the column player's actions.
    ///
    /// `state` is the state as the *row* player sees it.
    ///
    /// # Errors
    /// [`GameError::NotMirrored`] for tit-for-tat where the players' actions do not correspond one to one;
    /// [`GameError::Belief`] for a memory-one player in a game of other than two actions.
    pub fn policy(self, game: &MatrixGame, state: State) -> Result<Vec<f64>, GameError> {
        let probabilities = match self {
            Self::Scripted(entry) => return (entry.policy)(game, state),
            Self::MemoryOne(probabilities) => probabilities,
        };
        if [Player::Row, Player::Column].iter().any(|&player| game.count(player) != 2) {
            let problem = "of a memory-one opponent: the game has other than two actions, expected two each".into();
            return Err(GameError::Belief { problem });
        }
        let defected = |player, action| usize::from(game.is_defection(player, action));
        let seen =
            state.map_or(0, |last| 1 + 2 * defected(Player::Column, last.other) + defected(Player::Row, last.own));
        let cooperates = probabilities[seen];
        let cooperative = game.cooperative(Player::Column);
        Ok((0..2).map(|action| if action == cooperative { cooperates } else { 1.0 - cooperates }).collect())
    }

    /// Draws the column player's action.
    ///
    /// # Errors
    /// As [`Strategy::policy`].
    pub fn play(self, game: &MatrixGame, state: State, rng: &mut impl Rng) -> Result<ActionId, GameError> {
        Ok(sample(&self.policy(game, state)?, rng.random()))
    }
}

impl PartialEq for Strategy {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scripted(a), Self::Scripted(b)) => std::ptr::eq(*a, *b),
            (Self::MemoryOne(a), Self::MemoryOne(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scripted(entry) => f.write_str(entry.name),
            Self::MemoryOne(probabilities) => f.debug_tuple("memory-one").field(probabilities).finish(),
        }
    }
}

/// The written form: a name, or the probabilities.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a strategy, or { memory-one = [p0, pcc, pcd, pdc, pdd] } and nothing else"
)]
enum StrategyDocument {
    Name(String),
    MemoryOne(MemoryOneDocument),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct MemoryOneDocument {
    memory_one: Vec<f64>,
}

impl TryFrom<StrategyDocument> for Strategy {
    type Error = String;

    fn try_from(document: StrategyDocument) -> Result<Self, String> {
        match document {
            StrategyDocument::MemoryOne(MemoryOneDocument { memory_one }) => {
                if let Some(p) = memory_one.iter().find(|p| !(0.0..=1.0).contains(*p)) {
                    return Err(format!("memory-one: {p} is no probability"));
                }
                let five = |p: Vec<f64>| format!("memory-one: {} probabilities, expected five", p.len());
                memory_one.try_into().map(Self::MemoryOne).map_err(five)
            }
            StrategyDocument::Name(name) => Self::find(&name)
                .ok_or_else(|| format!("strategy {name:?}, expected {} or memory-one", Self::names().join(", "))),
        }
    }
}

impl From<Strategy> for StrategyDocument {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Scripted(entry) => Self::Name(entry.name.into()),
            Strategy::MemoryOne(p) => Self::MemoryOne(MemoryOneDocument { memory_one: p.to_vec() }),
        }
    }
}
