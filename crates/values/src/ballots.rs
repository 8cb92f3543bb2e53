//! Votes with numbers in place of names: the input of every ranking.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::card::check_text;
use super::edge::MAX_VOTES;
use super::{Answer, CardId, Counts, Edge, ValuesError, Vote};

/// A vote by the numbers of its voter, cards and context.
///
/// ```
/// use probity_values::{Answer, Deliberation};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let ballot = deliberation.ballots()?.rows[0];
/// assert_eq!((ballot.from, ballot.to, ballot.answer), (0, 1, Answer::Yes));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ballot {
    /// Index among [`Ballots::voters`].
    pub voter: u32,
    /// Index among [`Ballots::cards`].
    pub from: u32,
    /// The same.
    pub to: u32,
    /// Index among [`Ballots::contexts`].
    pub context: u32,
    /// The answer.
    pub answer: Answer,
}

/// An imported graph's sums of votes on an ordered pair; voters are unknown.
///
/// ```
/// use probity_values::Electorate;
///
/// // Votes of known voters are no tallies: those are the sums that published graphs hold.
/// assert!(Electorate::default().vote().ballots.tallies.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Index among [`Ballots::cards`].
    pub from: u32,
    /// The same.
    pub to: u32,
    /// Indices among [`Ballots::contexts`], ascending.
    pub contexts: Vec<u32>,
    /// The votes.
    pub counts: Counts,
    /// Whether the same graph has a sum for the reversed pair, too.
    ///
    /// A published graph omits the pairs that it does not keep, so this sum otherwise stands for the reversed pair,
    /// too.
    pub reverse_known: bool,
}

impl Tally {
    /// The context that its votes are of, where it is one.
    #[must_use]
    pub fn context(&self) -> Option<u32> {
        match self.contexts.as_slice() {
            &[one] => Some(one),
            _ => None,
        }
    }
}

/// All votes that count.
///
/// ```
/// use probity_values::Deliberation;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let ballots = deliberation.ballots()?;
/// assert_eq!((ballots.cards.len(), ballots.voters.len(), ballots.rows.len()), (2, 8, 8));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Ballots {
    /// The cards, in the order they were given in.
    pub cards: Vec<CardId>,
    /// Contexts, in the order of their names.
    pub contexts: Vec<String>,
    /// Voters, in the order of their names.
    pub voters: Vec<String>,
    /// One row a key, by voter, context and cards.
    pub rows: Vec<Ballot>,
    /// What is known of votes by their sums only.
    pub tallies: Vec<Tally>,
}

impl Ballots {
    /// Reads a log of votes and the edges of imported graphs.
    ///
    /// The later of two answers to a question counts.
    ///
    /// # Errors
    /// [`ValuesError::Itself`], [`ValuesError::NoCard`], [`ValuesError::Twice`] for cards of one id,
    /// [`ValuesError::Text`] for an invalid name of a context or voter, [`ValuesError::Edge`] for a repeated edge or
    /// impossible counts.
    pub fn read<'a>(
        cards: impl IntoIterator<Item = &'a CardId>,
        votes: impl IntoIterator<Item = &'a Vote>,
        imported: &'a [Edge],
    ) -> Result<Self, ValuesError> {
        Self::read_merged(cards, &BTreeMap::new(), votes, imported)
    }

    /// The same where some cards are merged into others, which have their votes then.
    ///
    /// Votes between two cards that are merged by now are dropped.
    ///
    /// # Errors
    /// As [`Ballots::read`]; [`ValuesError::Edge`] if merged edges have too many votes together.
    pub fn read_merged<'a>(
        cards: impl IntoIterator<Item = &'a CardId>,
        merged: &BTreeMap<CardId, CardId>,
        votes: impl IntoIterator<Item = &'a Vote>,
        imported: &'a [Edge],
    ) -> Result<Self, ValuesError> {
        let mut known: HashMap<&CardId, u32> = HashMap::new();
        let mut ballots = Self::default();
        let (gone, cards): (Vec<_>, Vec<_>) = cards.into_iter().partition(|card| merged.contains_key(*card));
        for card in cards {
            if known.insert(card, ballots.cards.len() as u32).is_some() {
                return Err(ValuesError::Twice { what: "card", id: card.to_string() });
            }
            ballots.cards.push(card.clone());
        }
        for card in gone {
            let into = find(&known, &merged[card], || format!("merged card {card}"))?;
            if known.insert(card, into).is_some() {
                return Err(ValuesError::Twice { what: "card", id: card.to_string() });
            }
        }
        let (mut contexts, mut voters) = (HashMap::new(), HashMap::new());
        for (i, vote) in votes.into_iter().enumerate() {
            let place = || format!("vote {}", i + 1);
            if vote.from == vote.to {
                return Err(ValuesError::Itself { place: place(), id: vote.from.to_string() });
            }
            if !contexts.contains_key(vote.context.as_str()) {
                check_text(|| format!("{}: context", place()), &vote.context)?;
            }
            if !voters.contains_key(vote.voter.as_str()) {
                check_text(|| format!("{}: voter", place()), &vote.voter)?;
            }
            let (from, to) = (find(&known, &vote.from, place)?, find(&known, &vote.to, place)?);
            if from == to {
                continue;
            }
            ballots.rows.push(Ballot {
                voter: number(&mut voters, &mut ballots.voters, &vote.voter),
                from,
                to,
                context: number(&mut contexts, &mut ballots.contexts, &vote.context),
                answer: vote.answer,
            });
        }
        let pairs: HashSet<(&CardId, &CardId)> = imported.iter().map(|edge| (&edge.from, &edge.to)).collect();
        let mut seen = HashSet::new();
        let mut votes: HashMap<(u32, u32), u64> = HashMap::new();
        for (i, edge) in imported.iter().enumerate() {
            let place = || format!("edge {} ({} to {})", i + 1, edge.from, edge.to);
            edge.check(place)?;
            let bad = |problem| Err(ValuesError::Edge { place: place(), problem });
            let (from, to) = (find(&known, &edge.from, place)?, find(&known, &edge.to, place)?);
            if !seen.insert((&edge.from, &edge.to)) {
                return bad("this pair is there twice, expected one edge a pair".into());
            }
            if from == to {
                continue;
            }
            let reverse_known = pairs.contains(&(&edge.to, &edge.from));
            // Otherwise they are impressions of the reversed pair, too.
            for pair in std::iter::once((from, to)).chain((!reverse_known).then_some((to, from))) {
                let all = votes.entry(pair).or_default();
                *all += u64::from(edge.counts.impressions);
                if *all > u64::from(MAX_VOTES) {
                    return bad(format!("{all} impressions with the edges before it, expected at most {MAX_VOTES}"));
                }
            }
            let number = |context: &'a String| number(&mut contexts, &mut ballots.contexts, context);
            let mut contexts: Vec<u32> = edge.contexts.iter().map(number).collect();
            contexts.sort_unstable();
            contexts.dedup();
            ballots.tallies.push(Tally { from, to, contexts, counts: edge.counts, reverse_known });
        }
        ballots.sort();
        Ok(ballots)
    }

    /// Numbers voters and contexts in alphabetical order.
    ///
    /// The order of votes must not matter, except between two answers to one question.
    fn sort(&mut self) {
        let [contexts, voters] = [&mut self.contexts, &mut self.voters].map(renumbered);
        for row in &mut self.rows {
            (row.context, row.voter) = (contexts[row.context as usize], voters[row.voter as usize]);
        }
        let question = |row: &Ballot| (row.voter, row.context, row.from, row.to);
        self.rows.sort_by_key(question);
        self.rows.dedup_by(|later, earlier| {
            let same = question(later) == question(earlier);
            if same {
                *earlier = *later;
            }
            same
        });
        for tally in &mut self.tallies {
            tally.contexts.iter_mut().for_each(|c| *c = contexts[*c as usize]);
            tally.contexts.sort_unstable();
        }
    }

    /// The number of a context.
    #[must_use]
    pub fn context(&self, text: &str) -> Option<u32> {
        self.contexts.iter().position(|c| c == text).map(|i| i as u32)
    }
}

fn find(known: &HashMap<&CardId, u32>, id: &CardId, place: impl Fn() -> String) -> Result<u32, ValuesError> {
    known.get(id).copied().ok_or_else(|| ValuesError::NoCard { place: place(), id: id.to_string() })
}

/// Sorts names, and returns the new number of each old one.
fn renumbered(names: &mut Vec<String>) -> Vec<u32> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_unstable_by(|&a, &b| names[a].cmp(&names[b]));
    let mut numbers = vec![0; names.len()];
    order.iter().enumerate().for_each(|(new, &old)| numbers[old] = new as u32);
    *names = order.iter().map(|&old| std::mem::take(&mut names[old])).collect();
    numbers
}

/// The number of a name, a new one where it has none.
fn number<'a>(numbers: &mut HashMap<&'a str, u32>, names: &mut Vec<String>, name: &'a str) -> u32 {
    *numbers.entry(name).or_insert_with(|| {
        names.push(name.to_owned());
        names.len() as u32 - 1
    })
}
