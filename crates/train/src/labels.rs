//! Disjoint labels for training and testing.
//!
//! A hash of its spelling assigns a label to one split for good. So no run, whatever its seed, trains on a label of an
//! evaluation.

use probity_game::{MatrixGame, Player};
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

/// Common words, drawn in lower case, capitalised or in capitals.
const WORDS: [&str; 163] = [
    "give",
    "take",
    "help",
    "wait",
    "stay",
    "leave",
    "left",
    "right",
    "up",
    "down",
    "red",
    "blue",
    "green",
    "black",
    "white",
    "sun",
    "moon",
    "star",
    "tree",
    "stone",
    "river",
    "hill",
    "north",
    "south",
    "east",
    "west",
    "apple",
    "pear",
    "plum",
    "cat",
    "dog",
    "fox",
    "bird",
    "fish",
    "open",
    "close",
    "push",
    "pull",
    "stop",
    "go",
    "yes",
    "no",
    "swap",
    "hold",
    "trade",
    "save",
    "spend",
    "work",
    "rest",
    "walk",
    "run",
    "sing",
    "read",
    "write",
    "hunt",
    "gather",
    "swerve",
    "straight",
    "opera",
    "football",
    "stag",
    "hare",
    "quiet",
    "loud",
    "accept",
    "refuse",
    "agree",
    "decline",
    "attack",
    "retreat",
    "protect",
    "betray",
    "confess",
    "silent",
    "invest",
    "withdraw",
    "contribute",
    "abstain",
    "offer",
    "reject",
    "punish",
    "forgive",
    "reward",
    "ignore",
    "trust",
    "doubt",
    "honest",
    "lie",
    "clean",
    "pollute",
    "fast",
    "slow",
    "high",
    "low",
    "first",
    "second",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "circle",
    "square",
    "triangle",
    "collect",
    "release",
    "compete",
    "volunteer",
    "negotiate",
    "operate",
    "coordinate",
    "isolate",
    "donate",
    "dedicate",
    "defend",
    "deflect",
    "deflate",
    "inspect",
    "infect",
    "respect",
    "suspect",
    "connect",
    "direct",
    "select",
    "correct",
    "object",
    "perfect",
    "cooking",
    "company",
    "cooper",
    "action",
    "option",
    "choice",
    "move",
    "strategy",
    "decision",
    "answer",
    "button",
    "door",
    "window",
    "bridge",
    "mountain",
    "valley",
    "forest",
    "garden",
    "market",
    "harbour",
    "station",
    "coffee",
    "tea",
    "water",
    "bread",
    "butter",
    "sugar",
    "pepper",
    "theatre",
    "concert",
    "museum",
    "library",
    "yellow",
    "purple",
    "orange",
    "silver",
    "golden",
];

const ONSETS: [&str; 20] =
    ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "bl", "dr", "fl", "st", "tr", "kr"];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const CODAS: [&str; 8] = ["n", "r", "k", "p", "t", "s", "x", "m"];

/// Letters of some scripts.
const SCRIPTS: [&str; 6] = [
    "aeioulnrstäöüéèñçøåß",
    "абвгдежзиклмнопрстуя",
    "αβγδεζηικλμνοπρστυφω",
    "あいうえおかきくけこさしすせそたなにのま",
    "가나다라마바사아자차카타파하고노도로모보",
    "人大山川日月火水木土上下左右中小心手天石",
];

/// The split a label belongs to.
#[must_use]
pub fn split_of(label: &str) -> Split {
    let hash = blake3::hash(label.as_bytes());
    if RESERVED.contains(&label) || hash.as_bytes()[0] < 26 { Split::Test } else { Split::Train }
}

/// A way to make up a label.
pub type Maker<R> = Box<dyn Fn(&mut R) -> String>;

/// Draws `n` distinct labels of one kind, none a prefix of another.
///
/// `kind` is [`any`], [`everyday`] or [`plain`]. A kind that has no more labels gives way to another draw of the kind,
/// and in the end to made-up words, of which there are always more.
pub fn draw_labels<R: Rng>(rng: &mut R, n: usize, split: Split, kind: fn(&mut R) -> Maker<R>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::with_capacity(n);
    let mut make = kind(rng);
    let (mut vain, mut exhausted) = (0, 0);
    while labels.len() < n {
        let label = make(rng);
        let clashes = labels.iter().any(|l| l.starts_with(&label) || label.starts_with(l.as_str()));
        if split_of(&label) == split && !clashes {
            labels.push(label);
            vain = 0;
            continue;
        }
        vain += 1;
        if vain == 64 {
            // A stem may have no numbers in the split.
            (vain, exhausted) = (0, exhausted + 1);
            make = if exhausted < 16 { kind(rng) } else { Box::new(|rng| syllables(rng)) };
            if exhausted <= 16 {
                labels.clear();
            }
        }
    }
    labels
}

/// A game with drawn labels.
///
/// Half of the games with as many actions for both players have shared labels. A sixth have them in another order, so
/// that an action's label is no hint at the other player's. In all others no label is shared.
///
/// # Panics
/// Never: drawn labels are valid.
pub fn labelled<R: Rng>(rng: &mut R, game: MatrixGame, split: Split, kind: fn(&mut R) -> Maker<R>) -> MatrixGame {
    let [own, other] = [Player::Row, Player::Column].map(|player| game.count(player));
    let sixth = rng.random_range(0..6_u32);
    let (own, other) = if own == other && sixth < 4 {
        let labels = draw_labels(rng, own, split, kind);
        let mut others = labels.clone();
        if sixth == 3 {
            others.rotate_left(rng.random_range(1..own));
        }
        (labels, others)
    } else {
        let mut labels = draw_labels(rng, own + other, split, kind);
        let others = labels.split_off(own);
        (labels, others)
    };
    game.with_labels(&own, &other).expect("drawn labels are valid")
}

/// A game with drawn labels, which the players share where they shared the game's.
///
/// # Panics
/// Never: drawn labels are valid.
pub fn relabelled<R: Rng>(rng: &mut R, game: MatrixGame, split: Split, kind: fn(&mut R) -> Maker<R>) -> MatrixGame {
    let [own, other] = [Player::Row, Player::Column].map(|player| game.labels(player).to_vec());
    let mut drawn = draw_labels(rng, own.len() + other.len(), split, kind).into_iter();
    let new: Vec<String> = drawn.by_ref().take(own.len()).collect();
    let same = |label: &String| own.iter().position(|known| known == label).map(|action| new[action].clone());
    let others: Vec<String> = other.iter().map(|label| same(label).or_else(|| drawn.next()).expect("enough")).collect();
    game.with_labels(&new, &others).expect("drawn labels are valid")
}

/// Any of the kinds.
///
/// Made-up words, words, letters, a stem with a number, two words, other scripts.
pub fn any<R: Rng>(rng: &mut R) -> Maker<R> {
    match rng.random_range(0..24_u32) {
        0..=7 => Box::new(|rng| syllables(rng)),
        8..=11 => Box::new(|rng| word(rng)),
        12..=14 => Box::new(|rng| letters(rng)),
        15..=17 => numbered(rng),
        18..=20 => Box::new(|rng| two_words(rng)),
        _ => foreign(rng),
    }
}

/// Labels for adapters: any kind, and single letters a sixth of the time.
///
/// People use single letters often; the other kinds rarely draw them.
pub fn everyday<R: Rng>(rng: &mut R) -> Maker<R> {
    if !rng.random_ratio(1, 6) {
        return any(rng);
    }
    let first = if rng.random_bool(0.5) { b'A' } else { b'a' };
    Box::new(move |rng| char::from(first + rng.random_range(0..26_u8)).to_string())
}

/// Plain labels: two of 25 syllables, each one token of the vocabulary.
pub fn plain<R: Rng>(_: &mut R) -> Maker<R> {
    Box::new(|rng| (0..2).map(|_| [pick(rng, &ONSETS[..5]), pick(rng, &VOWELS)].concat()).collect())
}

fn word(rng: &mut impl Rng) -> String {
    let word = pick(rng, &WORDS);
    match rng.random_range(0..4_u32) {
        0 => word.to_uppercase(),
        1 => format!("{}{}", word[..1].to_uppercase(), &word[1..]),
        _ => word.to_owned(),
    }
}

/// Stems with numbers, such as `action3`, `x7`, `Left_12`.
///
/// The labels of a game share the stem.
fn numbered<R: Rng>(rng: &mut R) -> Maker<R> {
    let usual = ["action", "option", "choice", "move", "strategy", "a", "x", "s"];
    let stem = if rng.random_bool(0.5) { pick(rng, &usual).to_owned() } else { word(rng) };
    let joint = pick(rng, &["", "", "", "_", "-", " "]);
    let most = if rng.random_bool(0.8) { 10 } else { 100_u32 };
    Box::new(move |rng| format!("{stem}{joint}{}", rng.random_range(0..most)))
}

/// Two words with a blank between.
pub fn two_words(rng: &mut impl Rng) -> String {
    format!("{} {}", word(rng), pick(rng, &WORDS))
}

/// Words in letters beyond ASCII; the labels of a game share the script.
pub fn foreign<R: Rng>(rng: &mut R) -> Maker<R> {
    let script = SCRIPTS[rng.random_range(0..SCRIPTS.len())];
    Box::new(move |rng| {
        let letters: Vec<char> = script.chars().collect();
        (0..rng.random_range(2..=5_usize)).map(|_| letters[rng.random_range(0..letters.len())]).collect()
    })
}

fn syllables(rng: &mut impl Rng) -> String {
    let mut word = String::new();
    for _ in 0..[1, 2, 2, 2, 3, 4][rng.random_range(0..6_usize)] {
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
    (0..rng.random_range(1..9_u32)).map(|_| char::from(first + rng.random_range(0..26_u8))).collect()
}

fn pick<'a>(rng: &mut impl Rng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// The largest game has 128 actions each, and a tenth of the labels is for testing.
    #[test]
    fn every_kind_has_labels_for_the_largest_game() {
        for kind in [any, everyday, plain] {
            for seed in 0..20 {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let labels = draw_labels(&mut rng, 256, Split::Test, kind);
                assert!(labels.len() == 256 && labels.iter().all(|label| split_of(label) == Split::Test));
                let clash = |a: &String| labels.iter().filter(|b| b.starts_with(a.as_str())).count() > 1;
                assert!(!labels.iter().any(clash));
            }
        }
    }
}
