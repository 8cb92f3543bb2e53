//! The upgrades that a voter is asked about.

use std::collections::{HashMap, HashSet};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::card::check_text;
use super::{CardId, Deliberation, ValuesError, compat};

/// A question to a voter: was it wiser to move from one card to the other?
///
/// ```
/// use probity_values::{Deliberation, Story, pairs_to_judge};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// # let context = "When a friend grieves".into();
/// # let text = "I used to give advice. Now I sit with her.".into();
/// # let story = Story { id: "s".into(), from: "1".into(), to: "2".into(), context, text, provenance: None };
/// let told = Deliberation { stories: vec![story], ..deliberation };
/// let pair = &pairs_to_judge(&told, "a new voter", 1, 7)?[0];
/// assert!(pair.story.is_some());
/// // Nobody is asked about a pair twice.
/// assert!(pairs_to_judge(&told, "voter 0", 1, 7)?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PairToJudge {
    /// The card that is left.
    pub from: CardId,
    /// The card that is gone to.
    pub to: CardId,
    /// Where.
    pub context: String,
    /// The id of a story of it, where there is one.
    pub story: Option<String>,
}

/// Draws up to `count` questions for a voter; equal seeds draw equally.
///
/// Each question comes from one of three lists: with probability 0.3 the pairs with the most yes, with 0.3 the pairs
/// furthest behind another upgrade to the same card, with 0.4 the pairs with the fewest votes, as in the authors'
/// moral-graph-elicitation. Questions come from stories, and from imported edges without a story. Unlike
/// there, no voter is asked twice, or about both directions of a pair in one draw.
///
/// # Errors
/// [`ValuesError::Text`] for an invalid name of a voter; [`ValuesError::NoCard`] for a story about an unknown card; the
/// errors of [`super::Ballots::read`].
pub fn pairs_to_judge(
    held: &Deliberation,
    voter: &str,
    count: usize,
    seed: u64,
) -> Result<Vec<PairToJudge>, ValuesError> {
    check_text(|| "voter".into(), voter)?;
    let ballots = held.ballots()?;
    let counted = compat::count(&ballots, None);
    let number: HashMap<&CardId, u32> = ballots.cards.iter().enumerate().map(|(i, id)| (id, i as u32)).collect();
    let asked = |from: &CardId, to: &CardId, context: &str, story: Option<&str>| PairToJudge {
        from: held.canonical(from).clone(),
        to: held.canonical(to).clone(),
        context: context.to_owned(),
        story: story.map(str::to_owned),
    };
    let told = held.stories.iter().map(|s| asked(&s.from, &s.to, &s.context, Some(&s.id)));
    let imported =
        held.edges.iter().flat_map(|e| e.contexts.iter().map(|context| asked(&e.from, &e.to, context, None)));
    let key = |asked: &PairToJudge| (asked.from.clone(), asked.to.clone(), asked.context.clone());
    let answered = held.votes.iter().filter(|vote| vote.voter == voter);
    let mut seen: HashSet<(CardId, CardId, String)> = answered
        .map(|vote| (held.canonical(&vote.from).clone(), held.canonical(&vote.to).clone(), vote.context.clone()))
        .collect();
    let mut rest: Vec<PairToJudge> =
        told.chain(imported).filter(|asked| asked.from != asked.to && seen.insert(key(asked))).collect();
    if let Some(id) = rest.iter().flat_map(|asked| [&asked.from, &asked.to]).find(|id| !number.contains_key(id)) {
        return Err(ValuesError::NoCard { place: "story".into(), id: id.to_string() });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Ties are broken by chance.
    rest.shuffle(&mut rng);
    let counts = |asked: &PairToJudge| {
        counted.get(&(number[&asked.from], number[&asked.to])).map(|(counts, _)| *counts).unwrap_or_default()
    };
    let mut most: HashMap<&CardId, u32> = HashMap::new();
    for &(from, to) in counted.keys() {
        let wiser = counted[&(from, to)].0.wiser;
        let most = most.entry(&ballots.cards[to as usize]).or_default();
        *most = wiser.max(*most);
    }
    let mut drawn: Vec<PairToJudge> = Vec::new();
    while drawn.len() < count && !rest.is_empty() {
        let list = rng.random::<f64>();
        let urgency = |asked: &PairToJudge| {
            let counts = counts(asked);
            if list < 0.3 {
                f64::from(counts.wiser)
            } else if list < 0.6 {
                match most.get(&asked.to).copied().unwrap_or(0) {
                    0 => 0.0,
                    most => f64::from(most - counts.wiser) / f64::from(most),
                }
            } else {
                -f64::from(counts.wiser + counts.not_wiser + counts.unsure)
            }
        };
        let mut best = 0;
        for i in 1..rest.len() {
            if urgency(&rest[i]) > urgency(&rest[best]) {
                best = i;
            }
        }
        let next = rest.swap_remove(best);
        rest.retain(|other| (&other.from, &other.to) != (&next.to, &next.from));
        drawn.push(next);
    }
    Ok(drawn)
}
