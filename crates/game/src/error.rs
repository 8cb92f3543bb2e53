//! Why a game was refused.

use super::{MAX_ACTIONS, MAX_LABEL_BYTES};

/// Why a game was refused. Each message says where and what would be right.
///
/// ```
/// use probity_game::{CatalogGame, GameError};
///
/// let error = CatalogGame::find("go").unwrap_err();
/// assert!(matches!(error, GameError::UnknownGame { .. }));
/// assert!(error.to_string().contains("ipd"));
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GameError {
    /// A player has fewer than two actions or more than [`MAX_ACTIONS`].
    #[error("actions: the {player} player has {found} actions, expected 2 to {MAX_ACTIONS}")]
    ActionCount {
        /// `row` or `column`.
        player: &'static str,
        /// How many were given.
        found: usize,
    },
    /// The payoff table is not rectangular, or does not match the action lists.
    #[error("{place} has {found} entries, expected {expected}")]
    Shape {
        /// `payoffs: the table`, `payoffs: row N`, or a player's list of labels.
        place: String,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// A payoff is NaN, infinite or beyond 1e12.
    #[error("payoffs: row {row}, column {column} holds {value}, expected a finite number within +-1e12")]
    Payoff {
        /// Row, counted from 1.
        row: usize,
        /// Column, counted from 1.
        column: usize,
        /// The offending value as text.
        value: String,
    },
    /// A label is empty.
    #[error("labels: one is empty, expected at least one character")]
    EmptyLabel,
    /// A label is too long.
    #[error("labels: {label:?}... has {bytes} bytes, expected at most {MAX_LABEL_BYTES}")]
    LongLabel {
        /// Its first characters.
        label: String,
        /// Its length, bytes.
        bytes: usize,
    },
    /// A label holds control characters, quotes or outer white space.
    #[error("labels: {label:?} {problem}")]
    Label {
        /// The label.
        label: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// Two actions of one player share a label.
    #[error("labels: {label:?} is given twice, expected different labels for one player's actions")]
    RepeatedLabel {
        /// The label.
        label: String,
    },
    /// An action id or label that the game does not have.
    #[error("action: {given} is not an action of the {player} player, expected one of {expected}")]
    UnknownAction {
        /// What was given.
        given: String,
        /// `row` or `column`.
        player: &'static str,
        /// The legal labels.
        expected: String,
    },
    /// A mirroring strategy in a game whose players have unequal action counts.
    #[error("strategy: {strategy} copies actions, expected both players to have the same number of them")]
    NotMirrored {
        /// The strategy's name.
        strategy: &'static str,
    },
    /// A probability vector of the wrong length, or not a distribution.
    #[error("belief: {problem}")]
    Belief {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// No catalogue game of that name.
    #[error("game: {given:?} is not in the catalogue, expected one of {expected}")]
    UnknownGame {
        /// What was given.
        given: String,
        /// The catalogue's names.
        expected: String,
    },
    /// A document that leaves the cooperative action to payoffs that do not tell it.
    #[error(
        "game: no single action of the {player} player brings the other player the most points in all, expected \
         \"cooperative\": [the row player's action, the column player's], counted from 0"
    )]
    Cooperation {
        /// Whose action it is.
        player: &'static str,
    },
    /// A document that is no game.
    #[error("game: {problem}")]
    Document {
        /// What the parser says.
        problem: String,
    },
    /// A document written by another version of the format.
    #[error("game: version {found} of the format, expected 1")]
    Version {
        /// The version found.
        found: u32,
    },
}
