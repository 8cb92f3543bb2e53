//! The fifty queries of a game, the same for every policy and game.

use crate::Profile;

/// How many queries there are: ten episodes of five steps.
pub const QUERIES: usize = EPISODES * STEPS;

const EPISODES: usize = 10;
const STEPS: usize = 5;

// The paper's code draws all of it from numpy: stream k is `default_rng(SeedSequence(100).spawn(6)[k])`.

/// Stream 2: both actions before each episode, the learner's first; 1 is defection.
const BEFORE: [[u8; 2]; EPISODES] = [[0, 0], [0, 1], [0, 0], [1, 1], [1, 0], [1, 0], [0, 1], [0, 0], [1, 1], [0, 0]];

/// Stream 5: the opponent's action in each step, `choice([C, D])`.
const OTHER: &[u8; QUERIES] = b"DCDDDDCDCDDCCDDDDCDDDDDDCCCDDDCDDCCCDDDCCCCDCCCDCD";

/// Stream 3: whether defection is named first where the prompt mentions actions.
const MENTION: &[u8; QUERIES] = b"00110100111111100010010100100111100010110110100111";

/// Stream 4: whether defection is named first in the answer format.
const ANSWER: &[u8; QUERIES] = b"01111001000001111100000001111011110011100010111011";

/// One query of the evaluation.
///
/// ```
/// use probity_game::protocol::queries;
///
/// let cooperated = queries().filter(|query| query.other_last == 0).count();
/// assert_eq!(cooperated, 23);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Its number, from 0.
    pub number: usize,
    /// The state that an episode begins in, in its first step.
    pub begins: Option<Profile>,
    /// What the other player did in the round before: 0 cooperation, 1 defection.
    pub other_last: usize,
    /// What the other player does in this round.
    pub other_now: usize,
    /// Whether defection is named first where the rules mention the actions.
    pub mention_reversed: bool,
    /// Whether defection is named first in the answer format.
    pub answer_reversed: bool,
}

/// The fifty queries, in order.
///
/// Source: arXiv 2410.01639, its code's evaluation with seed 100.
pub fn queries() -> impl ExactSizeIterator<Item = Query> {
    (0..QUERIES).map(|i| {
        let other = |i: usize| usize::from(OTHER[i] == b'D');
        let begins = i.is_multiple_of(STEPS).then(|| {
            let [own, other] = BEFORE[i / STEPS].map(usize::from);
            Profile { own, other }
        });
        Query {
            number: i,
            begins,
            other_last: begins.map_or_else(|| other(i - 1), |state| state.other),
            other_now: other(i),
            mention_reversed: MENTION[i] == b'1',
            answer_reversed: ANSWER[i] == b'1',
        }
    })
}
