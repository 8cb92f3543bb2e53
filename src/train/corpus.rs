//! The corpus of the default model: lessons in game literacy, and no morals.
//!
//! A lesson is the prompt of one random game in one random style, then questions about it with their answers: look up
//! a payoff, add, compare rows, recall the last round. At the decision question the answer is a fair coin, so that the
//! bare model binds labels and stays indifferent. Test lessons draw labels and payoffs that training never sees.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::labels::{Split, draw};
use crate::agent::prompt::{Layout, QUESTION, Style, last_round, rules};
use crate::engine::chat::{Speaker, Turn};
use crate::game::{MatrixGame, Named, Player, Profile};

/// What a question is about; accuracy is reported for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One payoff of one cell.
    Cell,
    /// Both payoffs of a cell, added.
    CellSum,
    /// A row's payoffs, added over the other's actions.
    RowSum,
    /// Which row adds up to more for oneself.
    MoreOwn,
    /// Which row adds up to more for the other.
    MoreOther,
    /// Which row adds up to more for both together.
    MoreBoth,
    /// Which action pays more against one action of the other.
    MoreAgainst,
    /// Who picked what last.
    Recall,
    /// What the last round paid.
    RecallPoints,
    /// The label that is not the one named.
    NotThis,
    /// The decision itself: a fair coin.
    Decide,
}

impl Kind {
    /// Every kind with its share of the questions, in 1/100.
    pub const ALL: [(Self, u32); 11] = [
        (Self::Cell, 12),
        (Self::CellSum, 8),
        (Self::RowSum, 10),
        (Self::MoreOwn, 14),
        (Self::MoreOther, 8),
        (Self::MoreBoth, 14),
        (Self::MoreAgainst, 12),
        (Self::Recall, 8),
        (Self::RecallPoints, 4),
        (Self::NotThis, 4),
        (Self::Decide, 6),
    ];

    /// The questions that need no arithmetic, with their shares at full ease.
    const EASY: [(Self, u32); 5] =
        [(Self::Recall, 30), (Self::NotThis, 15), (Self::Decide, 20), (Self::Cell, 20), (Self::RecallPoints, 15)];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cell => "cell",
            Self::CellSum => "cell-sum",
            Self::RowSum => "row-sum",
            Self::MoreOwn => "more-own",
            Self::MoreOther => "more-other",
            Self::MoreBoth => "more-both",
            Self::MoreAgainst => "more-against",
            Self::Recall => "recall",
            Self::RecallPoints => "recall-points",
            Self::NotThis => "not-this",
            Self::Decide => "decide",
        })
    }
}

/// A question with its answer; `tie` where both answers are as good and the one given was drawn.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it is about.
    pub kind: Kind,
    /// Whether no answer is better than the other.
    pub tie: bool,
}

/// One training sequence.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// Question, answer, question, answer ...
    pub turns: Vec<Turn>,
    /// The questions in order.
    pub questions: Vec<Question>,
}

/// Draws the lesson number `index` of a stream of lessons. `ease`, 0 to 1, is the share of questions that only look up
/// or copy; training starts at 1 and goes down.
#[must_use]
pub fn lesson(seed: u64, index: u64, split: Split, questions: usize, ease: f64) -> Lesson {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let game = random_game(&mut rng, split);
    let style = random_style(&mut rng);
    let mut state = random_state(&mut rng);
    let mut out = Lesson { turns: Vec::new(), questions: Vec::new() };
    for i in 0..questions {
        let mut text = String::new();
        if i == 0 {
            text = rules(&game, style) + &last_round(&game, state);
        } else if rng.random_bool(0.25) {
            state = random_state(&mut rng);
            text = last_round(&game, state);
        }
        let (question, asked, answer) = ask(&mut rng, &game, state, ease);
        out.turns.push(Turn { speaker: Speaker::User, text: text + &asked });
        out.turns.push(Turn { speaker: Speaker::Assistant, text: answer });
        out.questions.push(question);
    }
    out
}

/// A random 2x2 game with integer payoffs from 0 to at most 9 and fresh labels.
///
/// Payoff tables of the catalogue, and their mirror images, belong to the test split: training never sees them.
pub fn random_game(rng: &mut impl Rng, split: Split) -> MatrixGame {
    let most = [2, 3, 4, 4, 4, 5, 5, 6, 7, 9][rng.random_range(0..10_usize)];
    let payoffs = loop {
        let mut cell = || f64::from(rng.random_range(0..=most));
        let mut table = vec![vec![[0.0; 2]; 2]; 2];
        for pair in table.iter_mut().flatten() {
            *pair = [cell(), cell()];
        }
        if rng.random_bool(0.5) {
            // Symmetric: what I get from (a, b), you get from (b, a).
            table[0][0][1] = table[0][0][0];
            table[1][1][1] = table[1][1][0];
            table[1][0] = [table[0][1][1], table[0][1][0]];
        }
        if !in_catalogue(&table) {
            break table;
        }
    };
    let own = draw(rng, 2, split);
    let other = if rng.random_bool(0.15) { draw(rng, 2, split) } else { own.clone() };
    MatrixGame::new("random", [own, other], payoffs, [0, 0]).expect("drawn labels and payoffs are valid")
}

fn in_catalogue(table: &[Vec<[f64; 2]>]) -> bool {
    let cell = |r: usize, c: usize| table[r][c];
    Named::protocol().iter().any(|named| {
        let [cc, cd, dc, dd] = named.payoffs;
        [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .any(|(r, c)| [cell(r, c), cell(r, 1 - c), cell(1 - r, c), cell(1 - r, 1 - c)] == [cc, cd, dc, dd])
    })
}

fn random_style(rng: &mut impl Rng) -> Style {
    Style {
        layout: Layout::ALL[rng.random_range(0..4_usize)],
        mention_reversed: rng.random(),
        answer_reversed: rng.random(),
    }
}

fn random_state(rng: &mut impl Rng) -> Option<Profile> {
    let profile = Profile { own: rng.random_range(0..2), other: rng.random_range(0..2) };
    rng.random_bool(0.9).then_some(profile)
}

fn draw_kind(rng: &mut impl Rng, shares: &[(Kind, u32)]) -> Kind {
    let total: u32 = shares.iter().map(|(_, share)| share).sum();
    let mut at = rng.random_range(0..total);
    for &(kind, share) in shares {
        if at < share {
            return kind;
        }
        at -= share;
    }
    Kind::Decide
}

/// Draws a question about the game in this state: what it is, its words, its answer.
fn ask(rng: &mut impl Rng, game: &MatrixGame, state: Option<Profile>, ease: f64) -> (Question, String, String) {
    let mut kind = if rng.random_bool(ease) { draw_kind(rng, &Kind::EASY) } else { draw_kind(rng, &Kind::ALL) };
    if state.is_none() && matches!(kind, Kind::Recall | Kind::RecallPoints) {
        kind = Kind::MoreAgainst;
    }
    let own = |a: usize| &game.labels(Player::Row)[a];
    let other = |a: usize| &game.labels(Player::Column)[a];
    let (r, c) = (rng.random_range(0..2_usize), rng.random_range(0..2_usize));
    let [mine, theirs] = game.payoff(r, c);
    let row = |r: usize| {
        let ([a, b], [x, y]) = (game.payoff(r, 0), game.payoff(r, 1));
        [a + x, b + y]
    };
    let whose = rng.random_range(0..3_usize);
    let owner = ["Your points", "A's points", "Points together"][whose];
    let gains = ["you", "A", "both"][whose];
    let of = |pair: [f64; 2], whose: usize| [pair[0], pair[1], pair[0] + pair[1]][whose];
    let mut tie = false;
    let mut more = |rng: &mut dyn FnMut() -> bool, values: [f64; 2]| {
        tie = values[0] == values[1];
        let first = if tie { rng() } else { values[0] > values[1] };
        own(usize::from(!first)).clone()
    };
    let mut coin = || rng.random::<bool>();
    let (asked, answer) = match kind {
        Kind::Cell => {
            let i = usize::from(whose == 1);
            let asked = format!("{} for \"{}\" against \"{}\"?", ["Your points", "A's points"][i], own(r), other(c));
            (asked, [mine, theirs][i].to_string())
        }
        Kind::CellSum => {
            (format!("Points together for \"{}\" against \"{}\"?", own(r), other(c)), (mine + theirs).to_string())
        }
        Kind::RowSum => (format!("{owner} for \"{}\" in all?", own(r)), of(row(r), whose).to_string()),
        Kind::MoreOwn => ("Which pick gives you more in all?".into(), more(&mut coin, [row(0)[0], row(1)[0]])),
        Kind::MoreOther => ("Which pick gives A more in all?".into(), more(&mut coin, [row(0)[1], row(1)[1]])),
        Kind::MoreBoth => {
            ("Which pick gives both more in all?".into(), more(&mut coin, [of(row(0), 2), of(row(1), 2)]))
        }
        Kind::MoreAgainst => {
            let values = [of(game.payoff(0, c), whose), of(game.payoff(1, c), whose)];
            (format!("Which pick gives {gains} more against \"{}\"?", other(c)), more(&mut coin, values))
        }
        Kind::Recall => {
            let last = state.expect("checked above");
            if coin() {
                ("What did A pick?".into(), other(last.other).clone())
            } else {
                ("What did you pick?".into(), own(last.own).clone())
            }
        }
        Kind::RecallPoints => {
            let last = state.expect("checked above");
            let i = usize::from(whose == 1);
            (
                format!("{} last round?", ["Your points", "A's points"][i]),
                game.payoff(last.own, last.other)[i].to_string(),
            )
        }
        Kind::NotThis => (format!("Which pick is not \"{}\"?", own(r)), own(1 - r).clone()),
        Kind::Decide => {
            tie = true;
            (QUESTION.into(), own(r).clone())
        }
    };
    (Question { kind, tie }, asked, answer)
}
