//! The ways of telling one game: seats, labels, layouts, orders.

use probity::agent::prompt::{Layout, Norm, Style};
use probity_game::{MatrixGame, Player};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::Result;
use crate::labels::{Maker, Split, any, draw_labels};

/// How the players' labels stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labelling {
    /// Both players have the same labels, in the same order.
    Shared,
    /// As shared, in reverse order for both.
    Turned,
    /// The other player's labels in reverse order: the same word is another action.
    OtherTurned,
    /// Each player has labels of its own.
    Distinct,
}

/// A game as a policy is asked to play it: always as the row player.
#[derive(Debug, Clone)]
pub struct Telling {
    /// The game, seen from the seat, with its labels.
    pub game: MatrixGame,
    /// The seat in the game as it was given.
    pub seat: Player,
    /// How the labels stand to each other.
    pub labelling: Labelling,
    /// Which pair of label sets it has, from 0.
    pub labels: usize,
    /// The layout and the orders of mention.
    pub style: Style,
}

/// Every layout in the usual order, and the other orders in the usual layout.
pub(super) fn styles() -> Vec<Style> {
    let layouts = Layout::ALL.map(|layout| Style::default().with(|o| o.layout = layout));
    let orders = [(true, false), (false, true), (true, true)].map(|(mention, answer)| {
        Style::default().with(|o| {
            o.mention_reversed = mention;
            o.answer_reversed = answer;
        })
    });
    [&layouts[..], &orders].concat()
}

/// Labels for both players, distinct from each other.
#[derive(Debug, Clone)]
pub struct LabelSet {
    /// For the player that is measured.
    pub own: Vec<String>,
    /// For the other one, where the players have labels of their own.
    pub other: Vec<String>,
}

impl LabelSet {
    /// Sets of labels that training never draws, with so many labels a player.
    #[must_use]
    pub fn drawn(sets: usize, most: usize, seed: u64) -> Vec<Self> {
        Self::of_kind(sets, most, seed, any)
    }

    /// The same, of one kind of labels.
    #[must_use]
    pub fn of_kind(sets: usize, most: usize, seed: u64, kind: fn(&mut ChaCha8Rng) -> Maker<ChaCha8Rng>) -> Vec<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut set = || {
            let mut own = draw_labels(&mut rng, 2 * most, Split::Test, kind);
            let other = own.split_off(most);
            Self { own, other }
        };
        (0..sets).map(|_| set()).collect()
    }
}

/// Every telling of a game: both seats, every labelling, every style, one norm.
///
/// # Errors
/// [`probity::Error::Game`] for labels that are unfit, or too few.
pub fn tellings(game: &MatrixGame, sets: &[LabelSet], norm: Norm) -> Result<Vec<Telling>> {
    let seats = if game.is_same_from_both_seats() {
        vec![(Player::Row, game.clone())]
    } else {
        vec![(Player::Row, game.clone()), (Player::Column, game.transposed())]
    };
    let mut all = Vec::new();
    for (seat, game) in seats {
        let [own, other] = [Player::Row, Player::Column].map(|player| game.count(player));
        let labellings = if own == other {
            &[Labelling::Shared, Labelling::Turned, Labelling::OtherTurned, Labelling::Distinct][..]
        } else {
            &[Labelling::Distinct]
        };
        for (labels, set) in sets.iter().enumerate() {
            let few = |labels: &[String], n: usize| labels.get(..n).unwrap_or(labels).to_vec();
            let (mine, theirs) = (few(&set.own, own), few(&set.other, other));
            let turned: Vec<String> = mine.iter().rev().cloned().collect();
            for &labelling in labellings {
                let told = match labelling {
                    Labelling::Shared => game.clone().with_labels(&mine, &mine)?,
                    Labelling::Turned => game.clone().with_labels(&turned, &turned)?,
                    Labelling::OtherTurned => game.clone().with_labels(&mine, &turned)?,
                    Labelling::Distinct => game.clone().with_labels(&mine, &theirs)?,
                };
                all.extend(styles().into_iter().map(|style| Telling {
                    game: told.clone(),
                    seat,
                    labelling,
                    labels,
                    style: style.with(|o| o.norm = norm),
                }));
            }
        }
    }
    Ok(all)
}
