//! The corpus of the default model: lessons in game literacy, and no morals.
//!
//! A lesson is a text to read, and conversations about it: look up a payoff, add, compare rows, recall the last round
//! and the norm. The text is the rules of a random game in a random style, or a mere list of actions. Every
//! conversation starts straight from the text, as a decision does. Its first question is the kind that accuracy is
//! measured on, with no earlier answer to lean on; later questions make it dense. Test lessons draw labels and games
//! that training never sees.
//!
//! Some lessons ask for a decision with an aim, such as more points for both. At the decision question without an aim
//! all actions are equally right: the bare model binds labels and stays indifferent.
//!
//! Lists come first. They make the rest learnable in minutes: with lists the model compared actions after 5 million
//! tokens and at once did so in games; with games alone it did not after 7 million.

mod list;
mod question;

pub use question::{Answered, Kind, LessonQuestion};

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::games::{Reach, Reading, Wording, random_game};
use super::labels::{self, Split};
use probity::agent::prompt::{Layout, Norm, Style, last_round, rules};
use probity_game::{MatrixGame, State, states};

/// A text with questions about it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The rules and payoffs, or the list, that all questions share.
    pub rules: String,
    /// Conversations that each start from the rules: questions that follow one another.
    pub chains: Vec<Vec<LessonQuestion>>,
}

impl Lesson {
    /// The size of its trie, roughly, by the weights of its texts.
    ///
    /// First what grows with the tokens, then what grows with the tokens that each of them looks back at.
    pub(crate) fn length(&self) -> [usize; 2] {
        let rules = weigh(&self.rules);
        let mut length = [rules, rules * rules / 2];
        for chain in &self.chains {
            let mut before = rules;
            for question in chain {
                let answers: usize = question.answers.iter().map(|answer| weigh(answer)).sum();
                let told = weigh(&question.asked) + answers;
                length = [length[0] + told, length[1] + told * (before + told / 2)];
                before += told;
            }
        }
        length
    }
}

/// A rough measure of a text's tokens: its bytes, those beyond ASCII three times.
///
/// A vocabulary joins the letters of English words, and few others.
pub(crate) fn weigh(text: &str) -> usize {
    text.len() + 2 * text.bytes().filter(|byte| !byte.is_ascii()).count()
}

/// Last rounds told in one lesson.
const ROUNDS: usize = 2;

/// What lessons are drawn from: shares from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mixture {
    /// Share of lessons with plain labels, in games of digits.
    pub plain: f64,
    /// Share of questions that only look up or copy.
    pub lookups: f64,
    /// Share of lessons on a list of actions in place of a game.
    pub lists: f64,
    /// Share of other games with payoffs beyond digits.
    pub numbers: f64,
    /// Share of other games with up to four actions.
    pub actions: f64,
    /// The only wording of other games' labels; without one, any.
    pub wording: Option<Wording>,
}

impl Mixture {
    /// Games of one kind.
    #[must_use]
    pub fn of(kind: Reading) -> Self {
        let share = |of| f64::from(u8::from(kind.reach == of));
        let [numbers, actions] = [Reach::Numbers, Reach::Actions].map(share);
        Self { numbers, actions, wording: Some(kind.wording), ..Self::default() }
    }

    fn reach(&self, rng: &mut impl Rng) -> Reach {
        let at = rng.random_range(0.0..1.0);
        if at < self.numbers {
            Reach::Numbers
        } else if at < self.numbers + self.actions {
            Reach::Actions
        } else {
            Reach::Digits
        }
    }
}

/// Draws lesson `index` of a stream: `chains` conversations of `turns` questions.
#[must_use]
pub fn lesson(seed: u64, index: u64, split: Split, [chains, turns]: [usize; 2], mixture: Mixture) -> Lesson {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    if rng.random_bool(mixture.lists) {
        return list::lesson(&mut rng, split, [chains, turns], mixture.plain);
    }
    let plain = rng.random_bool(mixture.plain);
    let reach = if plain { Reach::Digits } else { mixture.reach(&mut rng) };
    let mut game = random_game(&mut rng, split, reach);
    if plain {
        game = labels::labelled(&mut rng, game, split, labels::plain);
    } else if let Some(wording) = mixture.wording {
        while Wording::of(&game) != wording {
            game = labels::labelled(&mut rng, game, split, labels::any);
        }
    }
    let style = random_style(&mut rng);
    if style.norm == Norm::Told {
        // The norm is the prompt's alone: it may be any action.
        let any = [game.labels(probity_game::Player::Row), game.labels(probity_game::Player::Column)]
            .map(|labels| rng.random_range(0..labels.len()));
        game = game.with_cooperative(any).expect("actions of the game");
    }
    if rng.random_bool(0.2) {
        game = renamed(&mut rng, game);
    }
    let states = random_states(&mut rng, &game);
    let mut lesson = Lesson { rules: rules(&game, style), chains: Vec::with_capacity(chains) };
    while lesson.chains.len() < chains {
        let state = states[lesson.chains.len() * ROUNDS / chains];
        let mut chain: Vec<LessonQuestion> = Vec::with_capacity(turns);
        while chain.len() < turns {
            let question = question::about(&mut rng, &game, state, style.norm, mixture.lookups);
            if chain.iter().all(|q| q.asked != question.asked) {
                chain.push(question);
            }
        }
        chain[0].asked.insert_str(0, &last_round(&game, state, style.norm));
        lesson.chains.push(chain);
    }
    lesson
}

/// The same game with another name for the other player.
fn renamed(rng: &mut impl Rng, game: MatrixGame) -> MatrixGame {
    let names = ["B", "C", "X", "Y", "Bob", "Alice", "Ann", "Sam", "Kim", "the other player", "the bank", "Player 2"];
    let name = names.choose(rng).expect("there are names");
    // A label may be the name.
    game.clone().with_other_name(name).unwrap_or(game)
}

fn random_style(rng: &mut impl Rng) -> Style {
    Style::default().with(|o| {
        o.layout = Layout::ALL[rng.random_range(0..4_usize)];
        o.mention_reversed = rng.random();
        o.answer_reversed = rng.random();
        o.norm = if rng.random_bool(0.7) { Norm::Told } else { Norm::Untold };
    })
}

/// Different states, among them at times the first round.
fn random_states(rng: &mut impl Rng, game: &MatrixGame) -> [State; ROUNDS] {
    let mut left: Vec<State> = states(game).into_iter().filter(Option::is_some).collect();
    let mut states = std::array::from_fn(|_| left.swap_remove(rng.random_range(0..left.len())));
    if rng.random_bool(0.3) {
        states[0] = None;
    }
    states
}
