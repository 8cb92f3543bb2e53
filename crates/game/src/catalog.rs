//! The well-known games.

use super::{GameError, MatrixGame};

/// A catalogue entry: a 2x2 game.
///
/// Action 0 is cooperation ("C"), action 1 defection ("D").
///
/// ```
/// use probity_game::CatalogGame;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chicken = CatalogGame::find("icn")?;
/// assert_eq!(chicken.title, "iterated chicken");
/// assert_eq!(chicken.labelled(["swerve", "drive"])?.payoff(1, 1), [0.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct CatalogGame {
    /// Short name, as used on the command line.
    pub name: &'static str,
    /// The name people know.
    pub title: &'static str,
    /// `[CC, CD, DC, DD]`, each `[row player's, column player's]` points.
    pub payoffs: [[f64; 2]; 4],
    /// Whether arXiv 2410.01639 trains and tests on it.
    pub protocol: bool,
}

/// The catalogue of games.
///
/// Five are from "Moral Alignment for LLM Agents" (arXiv 2410.01639, table of payoff matrices), which trains and tests
/// on them. The volunteer's dilemma is from the predecessor paper (arXiv 2301.08491).
pub const CATALOG: &[CatalogGame] = &[
    CatalogGame {
        name: "ipd",
        title: "iterated prisoner's dilemma",
        payoffs: [[3.0, 3.0], [0.0, 4.0], [4.0, 0.0], [1.0, 1.0]],
        protocol: true,
    },
    CatalogGame {
        name: "ish",
        title: "iterated stag hunt",
        payoffs: [[4.0, 4.0], [0.0, 3.0], [3.0, 0.0], [1.0, 1.0]],
        protocol: true,
    },
    CatalogGame {
        name: "icn",
        title: "iterated chicken",
        payoffs: [[2.0, 2.0], [1.0, 4.0], [4.0, 1.0], [0.0, 0.0]],
        protocol: true,
    },
    CatalogGame {
        name: "bos",
        title: "Bach or Stravinsky",
        payoffs: [[3.0, 2.0], [0.0, 0.0], [0.0, 0.0], [2.0, 3.0]],
        protocol: true,
    },
    CatalogGame {
        name: "icd",
        title: "iterated defective coordination",
        payoffs: [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [4.0, 4.0]],
        protocol: true,
    },
    CatalogGame {
        name: "volunteer",
        title: "volunteer's dilemma",
        payoffs: [[4.0, 4.0], [2.0, 5.0], [5.0, 2.0], [1.0, 1.0]],
        protocol: false,
    },
];

impl CatalogGame {
    /// The catalogue entry of that name.
    ///
    /// # Errors
    /// [`GameError::UnknownGame`] listing the known names.
    pub fn find(name: &str) -> Result<&'static Self, GameError> {
        let names = || CATALOG.iter().map(|game| game.name).collect::<Vec<_>>().join(", ");
        let found = CATALOG.iter().find(|game| game.name == name);
        found.ok_or_else(|| GameError::UnknownGame { given: name.into(), expected: names() })
    }

    /// The five games the protocol trains and tests on, in the paper's order.
    pub fn protocol() -> impl Iterator<Item = &'static Self> {
        CATALOG.iter().filter(|game| game.protocol)
    }

    /// The entry as a game, its actions labelled "C" and "D".
    #[must_use]
    pub fn game(&self) -> MatrixGame {
        self.labelled(["C", "D"]).expect("catalogue games are valid")
    }

    /// The entry as a game with the same labels for both players, cooperation first.
    ///
    /// # Errors
    /// [`GameError`] for an unfit label and for two equal labels.
    pub fn labelled(&self, labels: [&str; 2]) -> Result<MatrixGame, GameError> {
        let labels = labels.map(String::from).to_vec();
        let [cc, cd, dc, dd] = self.payoffs;
        MatrixGame::new(self.name, [labels.clone(), labels], vec![vec![cc, cd], vec![dc, dd]], [0, 0])
    }
}
