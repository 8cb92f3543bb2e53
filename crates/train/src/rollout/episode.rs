//! Rounds of play with sampled answers.

use probity::agent::prompt::{Style, encode, options, prompt};
use probity_engine::Error as EngineError;
use probity_engine::score::{Continuation, log_sum_exp};
use probity_engine::{Model, Token};
use probity_game::moral::Mixture;
use probity_game::{ActionId, MatrixGame, Player, Profile, sample};
use rand::{Rng, RngExt};

use crate::Result;
use crate::curriculum::Opponent;
use crate::decoder::MAX_POSITIONS;

/// An answer, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Tokens of the prompt.
    pub prompt: Vec<Token>,
    /// Tokens of the answer, at least one.
    pub answer: Vec<Token>,
    /// The action it is, if any.
    pub action: Option<ActionId>,
    /// What it earned.
    pub reward: f64,
}

impl Sample {
    /// The tokens read to predict the answer; the last is only predicted.
    #[must_use]
    pub fn sequence(&self) -> Vec<Token> {
        self.prompt.iter().chain(&self.answer[..self.answer.len() - 1]).copied().collect()
    }
}

/// A question to a player: the prompt, and the answers that are legal.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Whose turn it is: 0 the row player, 1 a learner in the other seat.
    pub seat: usize,
    /// Tokens of the prompt.
    pub prompt: &'a [Token],
    /// The legal answers.
    pub options: &'a [Continuation],
}

/// How one round leads to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// A round is played in the state that the one before it led to.
    Episode,
    /// Every round has the first round's state and style: a group of answers.
    Group,
}

/// Plays rounds of a game from a random state.
///
/// `answer` moves for the row player and for a second learner. `styles` draws each round's presentation. Returns the
/// samples of each seat.
///
/// A scripted opponent with a constant move has this move as its last move in the initial state; other opponents have a
/// random last move (as in the published code).
///
/// # Errors
/// [`probity::Error::Game`] for an opponent or reward of another game, [`EngineError::Template`],
/// [`EngineError::PromptTooLong`], and the errors of `answer`.
pub fn play<R: Rng>(
    model: &Model,
    game: &MatrixGame,
    (course, rounds): (Course, usize),
    (reward, opponent): (&Mixture, &Opponent),
    rng: &mut R,
    mut styles: impl FnMut(&mut R) -> Style,
    mut answer: impl FnMut(&Asked<'_>, &mut R) -> Result<Vec<Token>>,
) -> Result<Vec<Vec<Sample>>> {
    let turned = game.transposed();
    let seats: Vec<&MatrixGame> = if *opponent == Opponent::Learner { vec![game, &turned] } else { vec![game] };
    let options = seats.iter().map(|game| options(model, game)).collect::<probity::Result<Vec<_>>>()?;
    let own = rng.random_range(0..game.count(Player::Row));
    // An opponent with a constant move made it before the episode, too.
    let other = if opponent.is_steady() {
        sample(&opponent.policy(game, None)?, rng.random())
    } else {
        rng.random_range(0..game.count(Player::Column))
    };
    let mut last = Profile { own, other };
    let mut samples = vec![Vec::new(); seats.len()];
    let mut told: Vec<Style> = Vec::new();
    for round in 0..rounds {
        let mut moves = Vec::new();
        if round == 0 || course == Course::Episode {
            told = seats.iter().map(|_| styles(rng)).collect();
        }
        for (seat, game) in seats.iter().enumerate() {
            let seen = if seat == 0 { last } else { Profile { own: last.other, other: last.own } };
            let prompt = encode(model, &prompt(game, Some(seen), told[seat]))?.tokens;
            let tokens = prompt.len() + options[seat].iter().map(Continuation::count).max().unwrap_or(0);
            let context = model.shape().context.min(MAX_POSITIONS);
            if tokens > context {
                return Err(EngineError::PromptTooLong { tokens, context }.into());
            }
            let answer = answer(&Asked { seat, prompt: &prompt, options: &options[seat] }, rng)?;
            let action = options[seat].iter().position(|option| option.matches(&answer));
            moves.push((seen, action));
            samples[seat].push(Sample { prompt, answer, action, reward: 0.0 });
        }
        if *opponent != Opponent::Learner {
            let action = sample(&opponent.policy(game, Some(last))?, rng.random());
            moves.push((Profile { own: last.other, other: last.own }, Some(action)));
        }
        // An illegal answer repeats the player's last move.
        let [own, other] = [0, 1].map(|seat: usize| moves[seat].1.unwrap_or(moves[seat].0.own));
        for (seat, samples) in samples.iter_mut().enumerate() {
            let against = if seat == 0 { other } else { own };
            let (seen, action) = moves[seat];
            let sample = samples.last_mut().expect("just asked");
            sample.reward = reward.value(seats[seat], action, against, Some(seen));
        }
        if course == Course::Episode {
            last = Profile { own, other };
        }
    }
    Ok(samples)
}

/// A token drawn from the whole vocabulary at temperature 1.
pub fn draw_token(logits: &[f32], rng: &mut impl Rng) -> Token {
    let total = log_sum_exp(logits);
    let mut left: f64 = rng.random();
    let mut most = 0;
    for (token, &x) in logits.iter().enumerate() {
        left -= (f64::from(x) - total).exp();
        if left < 0.0 {
            return token as Token;
        }
        if x > logits[most] {
            most = token;
        }
    }
    most as Token
}
