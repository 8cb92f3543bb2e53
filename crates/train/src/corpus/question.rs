//! Questions and their answers.

use std::collections::BTreeSet;

use probity::agent::prompt::{Norm, OPENING, QUESTION, pair, points};
use probity_game::moral::{Mixture, Share};
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
    /// Which action of a player the rules call cooperation.
    Norm,
    /// Whether the other player cooperated last.
    Kept,
    /// Which action returns cooperation: any after a defection.
    Return,
    /// A label that is not the one named.
    NotThis,
    /// The decision itself: a fair coin.
    Decide,
}

impl Kind {
    /// Every kind with its share of the questions at full ease and at none.
    ///
    /// At full ease the questions are lookups and copies.
    const SHARES: [(Self, f64, f64); 15] = [
        (Self::Cell, 45.0, 6.0),
        (Self::CellSum, 0.0, 2.0),
        (Self::RowSums, 0.0, 3.0),
        (Self::RowTotal, 0.0, 2.0),
        (Self::Find, 15.0, 6.0),
        (Self::MoreAgainst, 0.0, 12.0),
        (Self::MoreOwn, 0.0, 12.0),
        (Self::MoreOther, 0.0, 11.0),
        (Self::MoreBoth, 0.0, 13.0),
        (Self::Recall, 10.0, 3.0),
        (Self::Norm, 10.0, 6.0),
        (Self::Kept, 0.0, 4.0),
        (Self::Return, 0.0, 8.0),
        (Self::NotThis, 10.0, 2.0),
        (Self::Decide, 10.0, 10.0),
    ];

    /// Every kind.
    pub const ALL: [Self; 15] = {
        let mut all = [Self::Decide; 15];
        let mut i = 0;
        while i < all.len() {
            all[i] = Self::SHARES[i].0;
            i += 1;
        }
        all
    };

    /// The kinds that decisions against a fair coin rest on.
    ///
    /// A model that answers them has read the game.
    pub const READING: [Self; 6] =
        [Self::MoreOwn, Self::MoreOther, Self::MoreBoth, Self::Recall, Self::Norm, Self::Kept];

    /// The kinds that a policy of some rewards rests on, against a fair coin.
    ///
    /// An answer to the other's last action takes its recall and the norm. A larger sum of payoffs takes comparison. A
    /// reward that is none of the paper's may take every kind of [`Kind::READING`].
    #[must_use]
    pub fn needed_by(rewards: &Mixture) -> BTreeSet<Self> {
        let needed = |share: &Share| match share.reward.framework.name() {
            "game" => vec![Self::MoreOwn],
            "utilitarian" => vec![Self::MoreBoth],
            "deontological" => vec![Self::Recall, Self::Norm, Self::Kept],
            "game-deontological" => vec![Self::MoreOwn, Self::Recall, Self::Norm, Self::Kept],
            _ => Self::READING.to_vec(),
        };
        rewards.shares().iter().flat_map(needed).collect()
    }

    /// The kind in words, for a table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Cell => "both payoffs of a cell",
            Self::CellSum => "their sum",
            Self::RowSums => "what an action pays each, added up",
            Self::RowTotal => "the sum of that",
            Self::Find => "which action brings a payoff against one of the other",
            Self::MoreAgainst => "which pays more against one action of the other",
            Self::MoreOwn => "which brings oneself more, over all of the other's",
            Self::MoreOther => "which brings the other more",
            Self::MoreBoth => "which brings both together more",
            Self::Recall => "who picked what last",
            Self::Norm => "which action is cooperation, where the prompt tells it",
            Self::Kept => "whether the other cooperated last",
            Self::Return => "which action returns cooperation",
            Self::NotThis => "a label that is not the one named",
            Self::Decide => "legality mass at the decision",
        }
    }

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
            Self::Norm => "norm",
            Self::Kept => "kept",
            Self::Return => "return",
            Self::NotThis => "not-this",
            Self::Decide => "decide",
        })
    }
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// With a text, and the end of the turn.
    Text,
    /// With a label between quotation marks.
    Label,
    /// With a label, as a decision is.
    Decision,
}

impl Answered {
    /// The words that the answer begins with, and that are not to be predicted.
    #[must_use]
    pub fn opening(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Label => "\"",
            Self::Decision => OPENING,
        }
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
    /// How it is answered.
    pub answered: Answered,
}

impl LessonQuestion {
    fn text(kind: Kind, asked: String, answer: String) -> Self {
        Self { kind, asked, answers: vec![answer], answered: Answered::Text }
    }

    fn yes_no(kind: Kind, asked: String, yes: bool) -> Self {
        Self::text(kind, asked, ["No", "Yes"][usize::from(yes)].into())
    }

    /// The same, asked as a decision with an aim.
    ///
    /// What a policy rests on is then at hand where it decides, and an adapter need not move it there.
    fn aimed(self, aim: &str) -> Self {
        Self { asked: format!("Aim: {aim}. {QUESTION}"), answered: Answered::Decision, ..self }
    }

    /// A question that labels answer.
    pub(super) fn label(kind: Kind, asked: String, answers: Vec<String>) -> Self {
        Self { kind, asked, answers, answered: Answered::Label }
    }
}

/// What a question is about: you, the other player by name, or both together.
fn whom(other: &str, whose: usize) -> &str {
    ["you", other, "both"][whose]
}

/// What a pair of payoffs brings you, the other, or both.
fn of(pair: [f64; 2], whose: usize) -> f64 {
    [pair[0], pair[1], pair[0] + pair[1]][whose]
}

/// Actions with what each brings in all.
pub(super) struct RowTotals<'a> {
    pub labels: &'a [String],
    pub totals: Vec<[f64; 2]>,
    /// The other player's name.
    pub other: &'a str,
}

impl RowTotals<'_> {
    /// What a row brings each player.
    pub(super) fn sums(&self, row: usize) -> LessonQuestion {
        let [you, a] = self.totals[row];
        let asked = format!("You \"{}\" in all?", self.labels[row]);
        LessonQuestion::text(Kind::RowSums, asked, format!("you {you}, {} {a}", self.other))
    }

    /// What a row brings both.
    pub(super) fn total(&self, row: usize) -> LessonQuestion {
        let asked = format!("You \"{}\" in all: both?", self.labels[row]);
        LessonQuestion::text(Kind::RowTotal, asked, of(self.totals[row], 2).to_string())
    }

    /// Which row brings more.
    pub(super) fn more(&self, whose: usize) -> LessonQuestion {
        let kind = [Kind::MoreOwn, Kind::MoreOther, Kind::MoreBoth][whose];
        let asked = format!("More for {}?", whom(self.other, whose));
        LessonQuestion::label(kind, asked, self.best(|row| of(self.totals[row], whose)))
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
pub(super) fn about(rng: &mut impl Rng, game: &MatrixGame, state: State, norm: Norm, lookups: f64) -> LessonQuestion {
    let mut kind = Kind::draw(rng, lookups);
    // What the text does not tell is not asked.
    let told = norm == Norm::Told || !matches!(kind, Kind::Norm | Kind::Kept | Kind::Return);
    if !told || (state.is_none() && matches!(kind, Kind::Recall | Kind::Kept | Kind::Return)) {
        kind = Kind::NotThis;
    }
    let (own, theirs) = (game.labels(Player::Row), game.labels(Player::Column));
    let (r, c) = (rng.random_range(0..own.len()), rng.random_range(0..theirs.len()));
    let whose = rng.random_range(0..3_usize);
    let name = game.other_name();
    let total = |row| {
        let cells = (0..theirs.len()).map(|column| game.payoff(row, column));
        cells.fold([0.0; 2], |sum, cell| [sum[0] + cell[0], sum[1] + cell[1]])
    };
    let rows = RowTotals { labels: own, totals: (0..own.len()).map(total).collect(), other: name };
    let aimed = rng.random_bool(0.5);
    let more = |whose| {
        let plain = rows.more(whose);
        if aimed { plain.aimed(&format!("more for {}", whom(name, whose))) } else { plain }
    };
    match kind {
        Kind::Cell => LessonQuestion::text(kind, format!("{}?", pair(game, r, c)), points(game, r, c)),
        Kind::CellSum => {
            let asked = format!("{}: both?", pair(game, r, c));
            LessonQuestion::text(kind, asked, of(game.payoff(r, c), 2).to_string())
        }
        Kind::RowSums => rows.sums(r),
        Kind::RowTotal => rows.total(r),
        Kind::Find => {
            let one = usize::from(whose == 1);
            let wanted = game.payoff(r, c)[one];
            let asked = format!("{name} \"{}\": {} {wanted}?", theirs[c], whom(name, one));
            LessonQuestion::label(kind, asked, rows.only(|row| game.payoff(row, c)[one] == wanted))
        }
        Kind::MoreAgainst => {
            let asked = format!("{name} \"{}\": more for {}?", theirs[c], whom(name, whose));
            LessonQuestion::label(kind, asked, rows.best(|row| of(game.payoff(row, c), whose)))
        }
        Kind::MoreOwn => more(0),
        Kind::MoreOther => more(1),
        Kind::MoreBoth => more(2),
        Kind::Recall => {
            let last = state.expect("checked above");
            let (who, label) = if whose == 0 { ("you", &own[last.own]) } else { (name, &theirs[last.other]) };
            LessonQuestion::label(kind, format!("Last pick of {who}?"), vec![label.clone()])
        }
        Kind::Norm => {
            let (who, label) = if whose == 0 {
                ("you pick", &own[game.cooperative(Player::Row)])
            } else {
                ("the other picks", &theirs[game.cooperative(Player::Column)])
            };
            let plain = LessonQuestion::label(kind, format!("To cooperate, {who}?"), vec![label.clone()]);
            if aimed && whose == 0 { plain.aimed("cooperation") } else { plain }
        }
        Kind::Kept => {
            let last = state.expect("checked above");
            let kept = !game.is_defection(Player::Column, last.other);
            LessonQuestion::yes_no(kind, format!("Did {name} cooperate?"), kept)
        }
        Kind::Return => {
            let last = state.expect("checked above");
            let returned = !game.is_defection(Player::Column, last.other);
            let answers = rows.only(|row| !returned || row == game.cooperative(Player::Row));
            LessonQuestion::label(kind, String::new(), answers).aimed("return cooperation")
        }
        Kind::NotThis => {
            let others = rows.only(|row| row != r);
            LessonQuestion::label(kind, format!("Not \"{}\"?", own[r]), others)
        }
        Kind::Decide => {
            let answers = own.to_vec();
            LessonQuestion { kind, asked: QUESTION.into(), answers, answered: Answered::Decision }
        }
    }
}
