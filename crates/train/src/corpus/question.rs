//! Questions and their answers.

use probity::agent::prompt::{QUESTION, pair, points};
use probity_game::{MatrixGame, Player, State};
use rand::{Rng, RngExt};
use serde::Serialize;

/// What a question is about; accuracy is reported for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What one cell pays.
    Cell,
    /// Both payoffs of a cell, added.
    CellSum,
    /// What a row pays each, added over the other's actions.
    RowSums,
    /// What a row pays both together.
    RowTotal,
    /// Which action brings a payoff against one action of the other.
    Find,
    /// Which action pays more against one action of the other.
    MoreAgainst,
    /// Which row adds up to more for oneself.
    MoreOwn,
    /// Which row adds up to more for the other.
    MoreOther,
    /// Which row adds up to more for both together.
    MoreBoth,
    /// Who picked what last.
    Recall,
    /// The label that is not the one named.
    NotThis,
    /// The decision itself: a fair coin.
    Decide,
}

impl Kind {
    /// Every kind with its share of the questions at full ease and at none.
    ///
    /// At full ease the questions are lookups and copies.
    const SHARES: [(Self, f64, f64); 12] = [
        (Self::Cell, 55.0, 8.0),
        (Self::CellSum, 0.0, 3.0),
        (Self::RowSums, 0.0, 5.0),
        (Self::RowTotal, 0.0, 3.0),
        (Self::Find, 15.0, 6.0),
        (Self::MoreAgainst, 0.0, 22.0),
        (Self::MoreOwn, 0.0, 12.0),
        (Self::MoreOther, 0.0, 11.0),
        (Self::MoreBoth, 0.0, 11.0),
        (Self::Recall, 10.0, 5.0),
        (Self::NotThis, 10.0, 3.0),
        (Self::Decide, 10.0, 11.0),
    ];

    fn draw(rng: &mut impl Rng, ease: f64) -> Self {
        let share = |easy: f64, full: f64| ease * easy + (1.0 - ease) * full;
        let mut at = rng.random_range(0.0..100.0);
        for (kind, easy, full) in Self::SHARES {
            at -= share(easy, full);
            if at < 0.0 {
                return kind;
            }
        }
        Self::Decide
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cell => "cell",
            Self::CellSum => "cell-sum",
            Self::RowSums => "row-sums",
            Self::RowTotal => "row-total",
            Self::Find => "find",
            Self::MoreAgainst => "more-against",
            Self::MoreOwn => "more-own",
            Self::MoreOther => "more-other",
            Self::MoreBoth => "more-both",
            Self::Recall => "recall",
            Self::NotThis => "not-this",
            Self::Decide => "decide",
        })
    }
}

/// A question with what answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LessonQuestion {
    /// What it is about.
    pub kind: Kind,
    /// What follows the rules: the last round and the question.
    pub asked: String,
    /// The right answers, equally right; more than one at a tie and at the decision.
    pub answers: Vec<String>,
}

impl LessonQuestion {
    fn new(kind: Kind, asked: String, answers: Vec<String>) -> Self {
        Self { kind, asked, answers }
    }
}

/// Whom a question is about: you, A, or both together.
pub(super) const WHOM: [&str; 3] = ["you", "A", "both"];

/// What a pair of payoffs brings one of [`WHOM`].
fn of(pair: [f64; 2], whose: usize) -> f64 {
    [pair[0], pair[1], pair[0] + pair[1]][whose]
}

/// Actions with what each brings in all.
pub(super) struct RowTotals<'a> {
    pub labels: &'a [String],
    pub totals: Vec<[f64; 2]>,
}

impl RowTotals<'_> {
    /// What a row brings each player.
    pub(super) fn sums(&self, row: usize) -> LessonQuestion {
        let [you, a] = self.totals[row];
        let asked = format!("You \"{}\" in all?", self.labels[row]);
        LessonQuestion::new(Kind::RowSums, asked, vec![format!("you {you}, A {a}")])
    }

    /// What a row brings both.
    pub(super) fn total(&self, row: usize) -> LessonQuestion {
        let asked = format!("You \"{}\" in all: both?", self.labels[row]);
        LessonQuestion::new(Kind::RowTotal, asked, vec![of(self.totals[row], 2).to_string()])
    }

    /// Which row brings more.
    pub(super) fn more(&self, whose: usize) -> LessonQuestion {
        let kind = [Kind::MoreOwn, Kind::MoreOther, Kind::MoreBoth][whose];
        LessonQuestion::new(kind, format!("More for {}?", WHOM[whose]), self.best(|row| of(self.totals[row], whose)))
    }

    /// The labels of the rows with the largest value.
    fn best(&self, value: impl Fn(usize) -> f64) -> Vec<String> {
        let best = (0..self.labels.len()).map(&value).fold(f64::NEG_INFINITY, f64::max);
        self.only(|row| value(row) == best)
    }

    /// The labels of the rows that fit.
    pub(super) fn only(&self, fits: impl Fn(usize) -> bool) -> Vec<String> {
        (0..self.labels.len()).filter(|&row| fits(row)).map(|row| self.labels[row].clone()).collect()
    }
}

/// Draws a question about a game in a state.
pub(super) fn about(rng: &mut impl Rng, game: &MatrixGame, state: State, ease: f64) -> LessonQuestion {
    let mut kind = Kind::draw(rng, ease);
    if state.is_none() && kind == Kind::Recall {
        kind = Kind::NotThis;
    }
    let (r, c) = (rng.random_range(0..2_usize), rng.random_range(0..2_usize));
    let whose = rng.random_range(0..3_usize);
    let (own, other) = (game.labels(Player::Row), &game.labels(Player::Column)[c]);
    let total = |row| [0, 1].map(|i| game.payoff(row, 0)[i] + game.payoff(row, 1)[i]);
    let rows = RowTotals { labels: own, totals: vec![total(0), total(1)] };
    match kind {
        Kind::Cell => LessonQuestion::new(kind, format!("{}?", pair(game, r, c)), vec![points(game, r, c)]),
        Kind::CellSum => {
            let asked = format!("{}: both?", pair(game, r, c));
            LessonQuestion::new(kind, asked, vec![of(game.payoff(r, c), 2).to_string()])
        }
        Kind::RowSums => rows.sums(r),
        Kind::RowTotal => rows.total(r),
        Kind::Find => {
            let one = usize::from(whose == 1);
            let wanted = game.payoff(r, c)[one];
            let asked = format!("A \"{other}\": {} {wanted}?", WHOM[one]);
            LessonQuestion::new(kind, asked, rows.only(|row| game.payoff(row, c)[one] == wanted))
        }
        Kind::MoreAgainst => {
            let asked = format!("A \"{other}\": more for {}?", WHOM[whose]);
            LessonQuestion::new(kind, asked, rows.best(|row| of(game.payoff(row, c), whose)))
        }
        Kind::MoreOwn => rows.more(0),
        Kind::MoreOther => rows.more(1),
        Kind::MoreBoth => rows.more(2),
        Kind::Recall => {
            let last = state.expect("checked above");
            let (who, label) =
                if whose == 0 { ("you", &own[last.own]) } else { ("A", &game.labels(Player::Column)[last.other]) };
            LessonQuestion::new(kind, format!("Last pick of {who}?"), vec![label.clone()])
        }
        Kind::NotThis => LessonQuestion::new(kind, format!("Not \"{}\"?", own[r]), vec![own[1 - r].clone()]),
        Kind::Decide => LessonQuestion::new(kind, QUESTION.into(), own.to_vec()),
    }
}
