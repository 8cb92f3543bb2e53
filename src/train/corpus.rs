//! The corpus of the default model: lessons in game literacy, and no morals.
//!
//! A lesson is the rules of one random game in one random style, a few last rounds, and questions about them: look up a
//! payoff, add, compare rows, recall the last round. Each question follows the rules directly, as a decision does; no
//! answer stands before another question. At the decision question all actions are equally right, so that the bare
//! model binds labels and stays indifferent. Test lessons draw labels and payoffs that training never sees.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::labels::{self, Split};
use crate::agent::prompt::{Layout, QUESTION, Style, last_round, rules};
use crate::game::{MatrixGame, Named, Player, Profile, State};

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
    /// Which row holds a payoff.
    Find,
    /// What a row can bring.
    Gives,
    /// Which row holds the largest payoff.
    Most,
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
    pub const ALL: [(Self, u32); 14] = [
        (Self::Cell, 8),
        (Self::CellSum, 4),
        (Self::RowSum, 4),
        (Self::Find, 4),
        (Self::Gives, 2),
        (Self::Most, 6),
        (Self::MoreOwn, 16),
        (Self::MoreOther, 8),
        (Self::MoreBoth, 16),
        (Self::MoreAgainst, 10),
        (Self::Recall, 8),
        (Self::RecallPoints, 3),
        (Self::NotThis, 4),
        (Self::Decide, 7),
    ];

    /// The questions that need no arithmetic, with their shares at full ease.
    const EASY: [(Self, u32); 8] = [
        (Self::Recall, 10),
        (Self::RecallPoints, 5),
        (Self::NotThis, 10),
        (Self::Decide, 10),
        (Self::Find, 25),
        (Self::Gives, 10),
        (Self::Cell, 10),
        (Self::Most, 20),
    ];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cell => "cell",
            Self::CellSum => "cell-sum",
            Self::RowSum => "row-sum",
            Self::Find => "find",
            Self::Gives => "gives",
            Self::Most => "most",
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

/// A question with what answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub kind: Kind,
    /// What follows the rules: the last round and the question.
    pub asked: String,
    /// The right answers, equally right; more than one at a tie and at the decision.
    pub answers: Vec<String>,
}

/// One game with questions about it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The rules and payoffs all questions share.
    pub rules: String,
    /// The questions; no two the same.
    pub questions: Vec<Question>,
}

/// Last rounds told in one lesson.
const ROUNDS: usize = 2;

/// How much easier than the full mixture lessons are, each from 0 to 1; training starts at 1 and goes down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ease {
    /// Share of lessons with plain labels.
    pub labels: f64,
    /// Share of questions that only look up or copy.
    pub questions: f64,
}

/// Draws the lesson number `index` of a stream of lessons.
#[must_use]
pub fn lesson(seed: u64, index: u64, split: Split, questions: usize, ease: Ease) -> Lesson {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let mut game = random_game(&mut rng, split);
    if rng.random_bool(ease.labels) {
        let plain = labels::draw(&mut rng, 2, split, labels::plain);
        game = game.with_labels(&plain, &plain).expect("drawn labels are valid");
    }
    let style = random_style(&mut rng);
    let states = random_states(&mut rng);
    let mut lesson = Lesson { rules: rules(&game, style), questions: Vec::with_capacity(questions) };
    while lesson.questions.len() < questions {
        let question = ask(&mut rng, &game, states[lesson.questions.len() * ROUNDS / questions], ease.questions);
        if lesson.questions.iter().all(|q| q.asked != question.asked) {
            lesson.questions.push(question);
        }
    }
    lesson
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
    let own = labels::draw(rng, 2, split, labels::any);
    let other = if rng.random_bool(0.15) { labels::draw(rng, 2, split, labels::any) } else { own.clone() };
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

/// Different states, among them at times the first round.
fn random_states(rng: &mut impl Rng) -> [State; ROUNDS] {
    let mut left: Vec<State> = (0..4).map(|i| Some(Profile { own: i / 2, other: i % 2 })).collect();
    let mut states = std::array::from_fn(|_| left.swap_remove(rng.random_range(0..left.len())));
    if rng.random_bool(0.3) {
        states[0] = None;
    }
    states
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

/// Draws a question about the game in this state: what it is, its words, its answers.
fn ask(rng: &mut impl Rng, game: &MatrixGame, state: State, ease: f64) -> Question {
    let mut kind = if rng.random_bool(ease) { draw_kind(rng, &Kind::EASY) } else { draw_kind(rng, &Kind::ALL) };
    if state.is_none() && matches!(kind, Kind::Recall | Kind::RecallPoints) {
        kind = Kind::MoreAgainst;
    }
    let own = |a: usize| &game.labels(Player::Row)[a];
    let other = |a: usize| &game.labels(Player::Column)[a];
    let (r, c) = (rng.random_range(0..2_usize), rng.random_range(0..2_usize));
    let row = |r: usize| {
        let ([a, b], [x, y]) = (game.payoff(r, 0), game.payoff(r, 1));
        [a + x, b + y]
    };
    // You, A, or both together.
    let whose = rng.random_range(0..3_usize);
    let one = usize::from(whose == 1);
    let owner = ["Your points", "A's points", "Points together"];
    let gains = ["you", "A", "both"];
    let of = |pair: [f64; 2], whose: usize| [pair[0], pair[1], pair[0] + pair[1]][whose];
    let number = |value: f64| vec![value.to_string()];
    let more = |values: [f64; 2]| -> Vec<String> {
        let best = values[0].max(values[1]);
        (0..2).filter(|&a| values[a] == best).map(|a| own(a).clone()).collect()
    };
    let (asked, answers) = match kind {
        Kind::Cell => {
            let asked = format!("{} for \"{}\" against \"{}\"?", owner[one], own(r), other(c));
            (asked, number(game.payoff(r, c)[one]))
        }
        Kind::CellSum => {
            let asked = format!("{} for \"{}\" against \"{}\"?", owner[2], own(r), other(c));
            (asked, number(of(game.payoff(r, c), 2)))
        }
        Kind::RowSum => (format!("{} for \"{}\" in all?", owner[whose], own(r)), number(of(row(r), whose))),
        Kind::Find => {
            let wanted = game.payoff(r, c)[one];
            let has = |r: &usize| (0..2).any(|c| game.payoff(*r, c)[one] == wanted);
            let asked = format!("Which pick can give {} {wanted}?", gains[one]);
            (asked, (0..2).filter(has).map(|r| own(r).clone()).collect())
        }
        Kind::Gives => {
            let mut values: Vec<String> = (0..2).map(|c| game.payoff(r, c)[one].to_string()).collect();
            values.dedup();
            (format!("What can \"{}\" give {}?", own(r), gains[one]), values)
        }
        Kind::Most => {
            let most = |r: usize| game.payoff(r, 0)[one].max(game.payoff(r, 1)[one]);
            (format!("Which pick can give {} the most?", gains[one]), more([most(0), most(1)]))
        }
        Kind::MoreOwn => ("Which pick gives you more in all?".into(), more([row(0)[0], row(1)[0]])),
        Kind::MoreOther => ("Which pick gives A more in all?".into(), more([row(0)[1], row(1)[1]])),
        Kind::MoreBoth => ("Which pick gives both more in all?".into(), more([of(row(0), 2), of(row(1), 2)])),
        Kind::MoreAgainst => {
            let values = [of(game.payoff(0, c), whose), of(game.payoff(1, c), whose)];
            (format!("Which pick gives {} more against \"{}\"?", gains[whose], other(c)), more(values))
        }
        Kind::Recall => {
            let last = state.expect("checked above");
            let (who, label) = [("you", own(last.own)), ("A", other(last.other))][usize::from(whose > 0)];
            (format!("What did {who} pick?"), vec![label.clone()])
        }
        Kind::RecallPoints => {
            let last = state.expect("checked above");
            (format!("{} last round?", owner[one]), number(game.payoff(last.own, last.other)[one]))
        }
        Kind::NotThis => (format!("Which pick is not \"{}\"?", own(r)), vec![own(1 - r).clone()]),
        Kind::Decide => (QUESTION.into(), game.labels(Player::Row).to_vec()),
    };
    Question { kind, asked: last_round(game, state) + &asked, answers }
}
