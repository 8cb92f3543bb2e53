//! How a curriculum's games are told: labels, layouts, seats and norms.

use probity::agent::prompt::{Layout, Norm, Style};
use probity_game::moral::Mixture;
use probity_game::{MatrixGame, Player};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::corpus::Kind;
use crate::labels::{Split, everyday, labelled, relabelled};

/// Which labels the actions get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Drawn anew for every game from the training split of the pool.
    ///
    /// Half of the games have labels that both players share, see [`labelled`].
    Pool,
    /// The labels that a game's document has.
    Own,
    /// These, in order of action id, for both players.
    Fixed(Vec<String>),
}

impl Labels {
    /// A game with these labels; those of the pool are drawn from a split.
    ///
    /// # Errors
    /// [`probity::Error::Game`] for fixed labels that are unfit.
    pub fn apply(&self, game: MatrixGame, split: Split, rng: &mut ChaCha8Rng) -> Result<MatrixGame> {
        Ok(match self {
            Self::Pool => labelled(rng, game, split, everyday),
            Self::Own => game,
            Self::Fixed(labels) => game.with_labels(labels, labels)?,
        })
    }

    /// A game of the run under labels that no step trains on.
    ///
    /// Both players share them where they shared the game's.
    pub(super) fn unseen(&self, game: MatrixGame, rng: &mut ChaCha8Rng) -> MatrixGame {
        match self {
            // Drawn anew for this game as for any other.
            Self::Pool => game,
            Self::Own | Self::Fixed(_) => loop {
                let labels =
                    |game: &MatrixGame| [Player::Row, Player::Column].map(|p| game.labels(p).to_vec()).concat();
                let new = relabelled(rng, game.clone(), Split::Train, everyday);
                if labels(&new).iter().all(|label| !labels(&game).contains(label)) {
                    return new;
                }
            },
        }
    }
}

/// How the prompt presents the games.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Styles {
    /// Every layout and order of mention.
    All,
    /// The original layout, every order of mention: what the paper trains on.
    OriginalLayout,
}

impl Styles {
    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = Style> {
        Style::all().filter(move |style| self.of(*style) == *style)
    }

    /// One of them.
    pub(super) fn draw(self, rng: &mut impl Rng) -> Style {
        let styles: Vec<Style> = Style::all().collect();
        self.of(styles[rng.random_range(0..styles.len())])
    }

    /// A style, brought in line.
    fn of(self, style: Style) -> Style {
        match self {
            Self::All => style,
            Self::OriginalLayout => style.with(|o| o.layout = Layout::Original),
        }
    }
}

/// From whose seat a game is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seats {
    /// From the row player's or the column player's, each as often.
    #[default]
    Both,
    /// From the row player's: so the paper trains.
    Row,
}

impl Seats {
    /// All of them.
    pub(super) fn all(self) -> &'static [Player] {
        match self {
            Self::Both => &[Player::Row, Player::Column],
            Self::Row => &[Player::Row],
        }
    }
}

/// Whether prompts tell which actions are cooperation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norms {
    /// All of them do.
    #[default]
    Told,
    /// None does: so the paper trains.
    Untold,
    /// Half of them do.
    Both,
    /// All of them do where the reward asks for the norm, and half of them elsewhere.
    ///
    /// A model that does not find the norm in the payoffs learns nothing from such a prompt without it.
    AsAsked,
}

impl Norms {
    /// All of them, under a reward.
    pub(super) fn all(self, reward: &Mixture) -> &'static [Norm] {
        match self {
            Self::Told => &[Norm::Told],
            Self::Untold => &[Norm::Untold],
            Self::AsAsked if asks_norm(reward) => &[Norm::Told],
            Self::Both | Self::AsAsked => &Norm::ALL,
        }
    }
}

/// Whether a reward asks which actions are cooperation.
pub(super) fn asks_norm(reward: &Mixture) -> bool {
    Kind::needed_by(reward).contains(&Kind::Norm)
}
