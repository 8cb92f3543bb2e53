//! The corpus of the default model: lessons in game literacy, and no morals.
//!
//! A lesson is a text to read, and conversations about it: look up a payoff, add, compare rows, recall the last round.
//! The text is the rules of a random game in a random style, or a mere list of actions. Every conversation starts
//! straight from the text, as a decision does. Its first question is the kind that accuracy is measured on, with no
//! earlier answer to lean on; later questions make it dense. At the decision question all actions are equally right, so
//! that the bare model binds labels and stays indifferent. Test lessons draw labels and payoffs that training never
//! sees.
//!
//! Lists come first. They make the rest learnable in minutes: with lists the model compared actions after 5 million
//! tokens and at once did so in games; with games alone it did not after 7 million.

mod list;
mod question;

pub use question::{Kind, LessonQuestion};

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::labels::{self, Split};
use probity::agent::prompt::{Layout, Style, last_round, rules};
use probity_game::{CatalogGame, MatrixGame, Profile, State};

/// A text with questions about it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The rules and payoffs, or the list, that all questions share.
    pub rules: String,
    /// Conversations that each start from the rules: questions that follow one another.
    pub chains: Vec<Vec<LessonQuestion>>,
}

/// Last rounds told in one lesson.
const ROUNDS: usize = 2;

/// Ease of lessons, each from 0 (the full mixture) to 1 (the start).
#[derive(Debug, Clone, Copy, Default)]
pub struct Ease {
    /// Share of lessons with plain labels.
    pub labels: f64,
    /// Share of questions that only look up or copy.
    pub questions: f64,
    /// Share of lessons on a list of actions in place of a game.
    pub lists: f64,
}

/// Draws lesson `index` of a stream: `chains` conversations of `turns` questions.
#[must_use]
pub fn lesson(seed: u64, index: u64, split: Split, [chains, turns]: [usize; 2], ease: Ease) -> Lesson {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    if rng.random_bool(ease.lists) {
        return list::lesson(&mut rng, split, [chains, turns], ease.labels);
    }
    let mut game = random_game(&mut rng, split);
    if rng.random_bool(ease.labels) {
        let plain = labels::draw_labels(&mut rng, 2, split, labels::plain);
        game = game.with_labels(&plain, &plain).expect("drawn labels are valid");
    }
    let style = random_style(&mut rng);
    let states = random_states(&mut rng);
    let mut lesson = Lesson { rules: rules(&game, style), chains: Vec::with_capacity(chains) };
    while lesson.chains.len() < chains {
        let state = states[lesson.chains.len() * ROUNDS / chains];
        let mut chain: Vec<LessonQuestion> = Vec::with_capacity(turns);
        while chain.len() < turns {
            let mut question = question::about(&mut rng, &game, state, ease.questions);
            if chain.is_empty() {
                question.asked.insert_str(0, &last_round(&game, state));
            }
            if chain.iter().all(|q| !q.asked.ends_with(&question.asked)) {
                chain.push(question);
            }
        }
        lesson.chains.push(chain);
    }
    lesson
}

/// A random 2x2 game with integer payoffs from 0 to at most 9 and fresh labels.
///
/// Payoff tables of the protocol's five games, and their mirror images, belong to the test split: training never sees
/// them.
pub fn random_game(rng: &mut impl Rng, split: Split) -> MatrixGame {
    let most = [2, 3, 4, 4, 4, 5, 5, 6, 7, 9][rng.random_range(0..10_usize)];
    let payoffs = loop {
        let mut cell = || f64::from(rng.random_range(0..=most));
        let mut table = vec![vec![[0.0; 2]; 2]; 2];
        for pair in table.iter_mut().flatten() {
            *pair = [cell(), cell()];
        }
        if rng.random_bool(0.5) {
            // A symmetric game: my payoff from (a, b) is yours from (b, a).
            table[0][0][1] = table[0][0][0];
            table[1][1][1] = table[1][1][0];
            table[1][0] = [table[0][1][1], table[0][1][0]];
        }
        if !in_protocol(&table) {
            break table;
        }
    };
    let own = labels::draw_labels(rng, 2, split, labels::any);
    let other = if rng.random_bool(0.15) { labels::draw_labels(rng, 2, split, labels::any) } else { own.clone() };
    MatrixGame::new("random", [own, other], payoffs, [0, 0]).expect("drawn labels and payoffs are valid")
}

fn in_protocol(table: &[Vec<[f64; 2]>]) -> bool {
    let cell = |r: usize, c: usize| table[r][c];
    CatalogGame::protocol().any(|named| {
        let [cc, cd, dc, dd] = named.payoffs;
        [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .any(|(r, c)| [cell(r, c), cell(r, 1 - c), cell(1 - r, c), cell(1 - r, 1 - c)] == [cc, cd, dc, dd])
    })
}

fn random_style(rng: &mut impl Rng) -> Style {
    Style::default().with(|o| {
        o.layout = Layout::ALL[rng.random_range(0..4_usize)];
        o.mention_reversed = rng.random();
        o.answer_reversed = rng.random();
    })
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
