//! A two-player matrix game: labels, payoffs, cooperative actions.

use serde::{Deserialize, Serialize};

use super::{GameError, Profile};

/// Index of an action in its player's list.
///
/// It identifies the action, whatever its label and place in a table.
pub type ActionId = usize;

/// The most actions of one player.
///
/// Each action is an option of a decision. The engine decodes some thirty options at a time.
pub const MAX_ACTIONS: usize = 128;
/// The longest label in UTF-8 bytes.
pub const MAX_LABEL_BYTES: usize = 64;
/// The largest payoff magnitude; larger sums are inexact in an `f64`.
const MAX_PAYOFF: f64 = 1e12;

/// One of the two players.
///
/// ```
/// use probity_game::{CatalogGame, Player};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// assert_eq!(game.count(Player::Row), 2);
/// assert!(game.is_defection(Player::Column, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Player {
    /// Chooses the row; payoffs are `(row, column)`.
    Row = 0,
    /// Chooses the column.
    Column = 1,
}

/// A finite two-player game in normal form (m x n), with labelled actions.
///
/// Invariants (checked by [`MatrixGame::new`], so every value of this type is valid): 2 to [`MAX_ACTIONS`] actions a
/// player, a full rectangle of finite payoffs, labels that are distinct within a player.
///
/// ```
/// use probity_game::MatrixGame;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let labels = || vec!["share".to_owned(), "keep".to_owned()];
/// let payoffs = vec![vec![[3.0, 3.0], [0.0, 4.0]], vec![[4.0, 0.0], [1.0, 1.0]]];
/// let game = MatrixGame::new("bread", [labels(), labels()], payoffs, [0, 0])?;
/// assert_eq!(game.payoff(1, 0), [4.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "GameDocument", try_from = "GameDocument")]
pub struct MatrixGame {
    name: String,
    actions: [Vec<String>; 2],
    payoffs: Vec<Vec<[f64; 2]>>,
    cooperative: [ActionId; 2],
    /// `None` for the first of [`NAMES`] that is no label.
    other_name: Option<String>,
}

/// Names of the other player in a prompt.
///
/// The first one serves, unless it is a label.
const NAMES: [&str; 6] = ["A", "B", "C", "X", "Y", "Z"];

/// The versioned JSON form of a game.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GameDocument {
    version: u32,
    name: String,
    /// Labels of the row player's actions, then of the column player's.
    actions: [Vec<String>; 2],
    /// `payoffs[row][column] = [row player's, column player's]`.
    payoffs: Vec<Vec<[f64; 2]>>,
    /// The cooperative action of each player; every other action is a defection.
    ///
    /// Where it is absent, each player's [`MatrixGame::kindest`] action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cooperative: Option<[ActionId; 2]>,
    /// The other player's name in a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other_name: Option<String>,
}

impl From<MatrixGame> for GameDocument {
    fn from(g: MatrixGame) -> Self {
        let MatrixGame { name, actions, payoffs, cooperative, other_name } = g;
        Self { version: 1, name, actions, payoffs, cooperative: Some(cooperative), other_name }
    }
}

impl TryFrom<GameDocument> for MatrixGame {
    type Error = GameError;
    fn try_from(d: GameDocument) -> Result<Self, GameError> {
        if d.version != 1 {
            return Err(GameError::Version { found: d.version });
        }
        let mut game = Self::new(d.name, d.actions, d.payoffs, d.cooperative.unwrap_or_default())?;
        if d.cooperative.is_none() {
            for (player, name) in [(Player::Row, "row"), (Player::Column, "column")] {
                game.cooperative[player as usize] =
                    game.kindest(player).ok_or(GameError::Cooperation { player: name })?;
            }
        }
        match d.other_name {
            Some(name) => game.with_other_name(&name),
            None => Ok(game),
        }
    }
}

impl MatrixGame {
    /// Builds a game and checks every invariant.
    ///
    /// `payoffs[r][c]` is `[row player's, column player's]` payoff in points; `cooperative` names, for each player, the
    /// cooperative action of the deontological and kindness rewards.
    ///
    /// # Errors
    /// [`GameError`] naming the first fault.
    pub fn new(
        name: impl Into<String>,
        actions: [Vec<String>; 2],
        payoffs: Vec<Vec<[f64; 2]>>,
        cooperative: [ActionId; 2],
    ) -> Result<Self, GameError> {
        for (labels, player) in actions.iter().zip(["row", "column"]) {
            if !(2..=MAX_ACTIONS).contains(&labels.len()) {
                return Err(GameError::ActionCount { player, found: labels.len() });
            }
            check_labels(labels)?;
        }
        let [rows, columns] = [actions[0].len(), actions[1].len()];
        if payoffs.len() != rows {
            return Err(GameError::Shape { place: "payoffs: the table".into(), found: payoffs.len(), expected: rows });
        }
        for (r, row) in payoffs.iter().enumerate() {
            if row.len() != columns {
                return Err(GameError::Shape {
                    place: format!("payoffs: row {}", r + 1),
                    found: row.len(),
                    expected: columns,
                });
            }
            for (c, cell) in row.iter().enumerate() {
                if let Some(bad) = cell.iter().find(|p| !p.is_finite() || p.abs() > MAX_PAYOFF) {
                    return Err(GameError::Payoff { row: r + 1, column: c + 1, value: bad.to_string() });
                }
            }
        }
        let game = Self { name: name.into(), actions, payoffs, cooperative, other_name: None };
        for player in [Player::Row, Player::Column] {
            game.check_action(player, game.cooperative(player))?;
        }
        Ok(game)
    }

    /// Reads the versioned JSON form.
    ///
    /// # Errors
    /// [`GameError::Document`] for JSON that does not parse, otherwise the errors of [`MatrixGame::new`].
    pub fn from_json(json: &str) -> Result<Self, GameError> {
        let document: GameDocument =
            serde_json::from_str(json).map_err(|e| GameError::Document { problem: e.to_string() })?;
        document.try_into()
    }

    /// As [`MatrixGame::from_json`], of a document that is parsed already.
    ///
    /// # Errors
    /// As [`MatrixGame::from_json`].
    pub fn from_document(document: serde_json::Value) -> Result<Self, GameError> {
        let document: GameDocument =
            serde_json::from_value(document).map_err(|e| GameError::Document { problem: e.to_string() })?;
        document.try_into()
    }

    /// The versioned JSON form.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a game is plain data")
    }

    /// The same game with other labels.
    ///
    /// Labels of the row player serve both players if only they are given and both players have equally many actions. A
    /// player without labels keeps the game's.
    ///
    /// # Errors
    /// As [`MatrixGame::with_labels`].
    pub fn relabelled(self, row: Option<&[String]>, column: Option<&[String]>) -> Result<Self, GameError> {
        let [own, other] = [Player::Row, Player::Column].map(|p| self.labels(p).to_vec());
        let own = row.map_or(own, <[String]>::to_vec);
        let other = match (column, row) {
            (Some(column), _) => column.to_vec(),
            (None, Some(row)) if row.len() == other.len() => row.to_vec(),
            (None, _) => other,
        };
        self.with_labels(&own, &other)
    }

    /// The same game under other labels.
    ///
    /// # Errors
    /// [`GameError`] for a list of the wrong length or an unfit label.
    pub fn with_labels(mut self, row: &[String], column: &[String]) -> Result<Self, GameError> {
        for ((slot, labels), player) in self.actions.iter_mut().zip([row, column]).zip(["row", "column"]) {
            if labels.len() != slot.len() {
                return Err(GameError::Shape {
                    place: format!("labels: the {player} player's list"),
                    found: labels.len(),
                    expected: slot.len(),
                });
            }
            check_labels(labels)?;
            *slot = labels.to_vec();
        }
        self.check_other_name()?;
        Ok(self)
    }

    /// The same game under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same game with other cooperative actions, the row player's first.
    ///
    /// # Errors
    /// [`GameError::UnknownAction`].
    pub fn with_cooperative(mut self, cooperative: [ActionId; 2]) -> Result<Self, GameError> {
        self.check_action(Player::Row, cooperative[0])?;
        self.check_action(Player::Column, cooperative[1])?;
        self.cooperative = cooperative;
        Ok(self)
    }

    /// The same game with another name for the other player in a prompt.
    ///
    /// # Errors
    /// [`GameError`] for a name that would be no label, and for the label of an action.
    pub fn with_other_name(mut self, name: &str) -> Result<Self, GameError> {
        check_labels(&[name.to_owned()])?;
        self.other_name = Some(name.to_owned());
        self.check_other_name()?;
        Ok(self)
    }

    /// The other player's name in a prompt.
    ///
    /// It is never a label: without a name of its own the game takes the first letter of a list that is none.
    #[must_use]
    pub fn other_name(&self) -> &str {
        let free = || NAMES.into_iter().find(|name| !self.is_label(name)).unwrap_or("the other player");
        self.other_name.as_deref().unwrap_or_else(free)
    }

    fn check_other_name(&self) -> Result<(), GameError> {
        match &self.other_name {
            Some(name) if self.is_label(name) => Err(GameError::Label {
                label: name.clone(),
                problem: "is the other player's name, too, expected a name that is no label",
            }),
            _ => Ok(()),
        }
    }

    fn is_label(&self, name: &str) -> bool {
        self.actions.iter().flatten().any(|label| label.eq_ignore_ascii_case(name))
    }

    /// The game from the other seat: rows become columns, payoff pairs swap.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let [rows, columns] = [self.count(Player::Row), self.count(Player::Column)];
        let payoffs = (0..columns)
            .map(|c| {
                (0..rows)
                    .map(|r| {
                        let [a, b] = self.payoffs[r][c];
                        [b, a]
                    })
                    .collect()
            })
            .collect();
        let [row, column] = self.actions.clone();
        let [cr, cc] = self.cooperative;
        let (name, other_name) = (self.name.clone(), self.other_name.clone());
        Self { name, actions: [column, row], payoffs, cooperative: [cc, cr], other_name }
    }

    /// The game with a player in the row player's place.
    #[must_use]
    pub fn seen_from(self, player: Player) -> Self {
        match player {
            Player::Row => self,
            Player::Column => self.transposed(),
        }
    }

    /// The game's name, free text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Labels of a player's actions, in order of action id.
    #[must_use]
    pub fn labels(&self, player: Player) -> &[String] {
        &self.actions[player as usize]
    }

    /// How many actions a player has.
    #[must_use]
    pub fn count(&self, player: Player) -> usize {
        self.actions[player as usize].len()
    }

    /// `[row player's, column player's]` payoff of a cell.
    ///
    /// # Panics
    /// For an action id out of range; ids are checked where they enter the library.
    #[must_use]
    pub fn payoff(&self, row: ActionId, column: ActionId) -> [f64; 2] {
        self.payoffs[row][column]
    }

    /// `[row player's, column player's]` payoffs of all cells, row by row.
    pub fn payoffs(&self) -> impl Iterator<Item = [f64; 2]> {
        self.payoffs.iter().flatten().copied()
    }

    /// The action that brings the other player the most points in all.
    ///
    /// The points are summed over the other player's actions. `None` where several do. It is the cooperative action of
    /// a document that names none.
    ///
    /// ```
    /// use probity_game::{CatalogGame, Player};
    ///
    /// # fn main() -> Result<(), probity_game::GameError> {
    /// assert_eq!(CatalogGame::find("ipd")?.game().kindest(Player::Row), Some(0));
    /// // In Bach or Stravinsky the paper calls one's own favourite cooperation; the other player's is kinder.
    /// assert_eq!(CatalogGame::find("bos")?.game().kindest(Player::Row), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn kindest(&self, player: Player) -> Option<ActionId> {
        let given = |own: ActionId| -> f64 {
            match player {
                Player::Row => self.payoffs[own].iter().map(|cell| cell[1]).sum(),
                Player::Column => self.payoffs.iter().map(|row| row[own][0]).sum(),
            }
        };
        let all: Vec<f64> = (0..self.count(player)).map(given).collect();
        let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Payoffs are decimal fractions: sums in another order differ in their last bits.
        let near = |v: f64| most - v <= 1e-9 * most.abs().max(1.0);
        let mut kindest = (0..all.len()).filter(|&own| near(all[own]));
        kindest.next().filter(|_| kindest.next().is_none())
    }

    /// The action of a player that counts as cooperation.
    #[must_use]
    pub fn cooperative(&self, player: Player) -> ActionId {
        self.cooperative[player as usize]
    }

    /// Whether an action counts as a defection, that is, as anything but cooperation.
    #[must_use]
    pub fn is_defection(&self, player: Player, action: ActionId) -> bool {
        action != self.cooperative(player)
    }

    /// Whether both players face the same game.
    ///
    /// They do if both have as many actions and `payoff(a, b)` mirrors `payoff(b, a)`.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        let mirror = self.transposed();
        self.payoffs == mirror.payoffs
    }

    /// Whether the game is symmetric in its cooperative actions, too.
    #[must_use]
    pub fn is_same_from_both_seats(&self) -> bool {
        self.is_symmetric() && self.cooperative[0] == self.cooperative[1]
    }

    /// The id of a label.
    ///
    /// # Errors
    /// [`GameError::UnknownAction`] listing the legal labels.
    pub fn action(&self, player: Player, label: &str) -> Result<ActionId, GameError> {
        self.labels(player).iter().position(|l| l == label).ok_or_else(|| self.unknown(player, format!("{label:?}")))
    }

    /// Checks that an id is an action of a player.
    ///
    /// # Errors
    /// [`GameError::UnknownAction`] listing the legal labels.
    pub fn check_action(&self, player: Player, id: ActionId) -> Result<(), GameError> {
        if id < self.count(player) { Ok(()) } else { Err(self.unknown(player, format!("number {id}"))) }
    }

    /// Checks that both ids of a round are actions of their players.
    ///
    /// # Errors
    /// [`GameError::UnknownAction`] listing the legal labels.
    pub fn check_profile(&self, round: Profile) -> Result<(), GameError> {
        self.check_action(Player::Row, round.own)?;
        self.check_action(Player::Column, round.other)
    }

    fn unknown(&self, player: Player, given: String) -> GameError {
        let player_name = match player {
            Player::Row => "row",
            Player::Column => "column",
        };
        GameError::UnknownAction { given, player: player_name, expected: self.labels(player).join(", ") }
    }
}

/// Refuses a label that would break out of its quotation marks in a prompt.
fn check_labels(labels: &[String]) -> Result<(), GameError> {
    for (i, label) in labels.iter().enumerate() {
        if label.is_empty() {
            return Err(GameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL_BYTES {
            return Err(GameError::LongLabel { label: label.chars().take(32).collect(), bytes: label.len() });
        }
        let problem = if label.trim() != label {
            Some("starts or ends with white space")
        } else if label.chars().any(|c| c.is_control() || c == '"' || c == '\u{2028}' || c == '\u{2029}') {
            Some("holds a control character, a line break or a double quote")
        } else if label.chars().any(|c| is_invisible(c) || (c.is_whitespace() && c != ' ')) {
            Some("holds a character that is invisible, looks like a blank or changes the direction of writing")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(GameError::Label { label: label.clone(), problem });
        }
        if labels[..i].contains(label) {
            return Err(GameError::RepeatedLabel { label: label.clone() });
        }
    }
    Ok(())
}

/// Whether a character shows nothing of its own.
///
/// With it, two labels that look the same would be two actions. These are the format characters and the ignorable ones
/// of Unicode 17 (`DerivedCoreProperties.txt`), the empty Braille cell and the note without a head.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}' | '\u{891}'
        | '\u{8E2}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{2800}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}'
        | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D159}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}
