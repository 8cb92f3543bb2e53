//! Labels to train and to test on: never the same ones.
//!
//! A label belongs to one split for good, by a hash of its spelling, so that no run, whatever its seed, trains on a
//! label that an evaluation calls unseen.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Which labels may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Nine in ten, for training.
    Train,
    /// One in ten, and everything on the reserved list, for evaluation.
    Test,
}

/// Labels that documentation and examples use; reserved for the test split.
const RESERVED: [&str; 12] =
    ["zork", "blip", "share", "keep", "C", "D", "action1", "action2", "action3", "action4", "cooperate", "defect"];

const WORDS: [&str; 64] = [
    "give", "take", "help", "wait", "stay", "leave", "left", "right", "up", "down", "red", "blue", "green", "black",
    "white", "sun", "moon", "star", "tree", "stone", "river", "hill", "north", "south", "east", "west", "apple",
    "pear", "plum", "cat", "dog", "fox", "bird", "fish", "open", "close", "push", "pull", "stop", "go", "yes", "no",
    "swap", "hold", "trade", "save", "spend", "work", "rest", "walk", "run", "sing", "read", "write", "hunt", "gather",
    "swerve", "straight", "opera", "football", "stag", "hare", "quiet", "loud",
];

const ONSETS: [&str; 20] =
    ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "bl", "dr", "fl", "st", "tr", "kr"];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const CODAS: [&str; 8] = ["n", "r", "k", "p", "t", "s", "x", "m"];

/// The split a label belongs to.
#[must_use]
pub fn split_of(label: &str) -> Split {
    let hash = blake3::hash(label.as_bytes());
    if RESERVED.contains(&label) || hash.as_bytes()[0] < 26 { Split::Test } else { Split::Train }
}

/// Draws `n` labels of one kind from a split: distinct, and none the beginning of another.
pub fn draw(rng: &mut impl Rng, n: usize, split: Split) -> Vec<String> {
    let kind = rng.random_range(0..20_u32);
    let mut labels: Vec<String> = Vec::with_capacity(n);
    while labels.len() < n {
        let label = match kind {
            0..=13 => syllables(rng),
            14..=15 => pick(rng, &WORDS).to_owned(),
            16..=17 => letters(rng),
            _ => format!(
                "{}{}",
                pick(rng, &["action", "option", "choice", "move", "a", "x"]),
                rng.random_range(0..10_u32)
            ),
        };
        let clashes = labels.iter().any(|l| l.starts_with(&label) || label.starts_with(l.as_str()));
        if split_of(&label) == split && !clashes {
            labels.push(label);
        }
    }
    labels
}

fn syllables(rng: &mut impl Rng) -> String {
    let mut word = String::new();
    for _ in 0..[1, 2, 2, 2, 2, 3][rng.random_range(0..6_usize)] {
        word += pick(rng, &ONSETS);
        word += pick(rng, &VOWELS);
    }
    if rng.random_bool(0.5) || word.len() < 3 {
        word += pick(rng, &CODAS);
    }
    word
}

fn letters(rng: &mut impl Rng) -> String {
    let upper = rng.random_bool(0.3);
    let first = if upper { b'A' } else { b'a' };
    (0..rng.random_range(1..6_u32)).map(|_| char::from(first + rng.random_range(0..26_u8))).collect()
}

fn pick<'a>(rng: &mut impl Rng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}
