//! A deliberation: cards, stories, contexts, groups and votes.
//!
//! `docs/schema/deliberation.json` describes its versioned JSON document.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::card::{check_extra, check_text};
use super::compat::{self, Thresholds};
use super::{Answer, Ballots, CardId, Counts, Edge, MoralGraph, Story, ValuesCard, ValuesError, Vote};

/// The version of the document that this library writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// Cards, contexts, stories and votes.
///
/// It holds nothing derived: graphs and ranks are computed from it.
///
/// ```
/// use probity_values::{Answer, Deliberation, ValuesCard, Vote};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let card = |id: &str, title: &str| {
///     ValuesCard::new(id.into(), title, "A way to be a friend.", vec!["MOMENTS of silence".into()])
/// };
/// let vote = Vote {
///     voter: "ann".into(),
///     from: "1".into(),
///     to: "2".into(),
///     context: "When a friend grieves".into(),
///     answer: Answer::Yes,
/// };
/// let deliberation = Deliberation {
///     cards: vec![card("1", "Advice"), card("2", "Presence")],
///     votes: vec![vote],
///     ..Deliberation::default()
/// };
/// deliberation.check()?;
/// assert_eq!(Deliberation::from_json(&deliberation.to_json())?, deliberation);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deliberation {
    /// The cards, in the order they were added in.
    pub cards: Vec<ValuesCard>,
    /// Merged cards, each with the card that stands for it.
    ///
    /// A vote for the merged card counts for the other card.
    pub merged: BTreeMap<CardId, CardId>,
    /// Pairs of cards with different meanings, each in alphabetical order of ids.
    ///
    /// No search for duplicates merges them.
    pub apart: BTreeSet<(CardId, CardId)>,
    /// Contexts in the order of addition.
    ///
    /// The contexts of stories, votes and edges need not be listed.
    pub contexts: Vec<String>,
    /// Stories to vote on.
    pub stories: Vec<Story>,
    /// Groups that voters say they belong to, by voter.
    pub groups: BTreeMap<String, String>,
    /// All votes, the oldest first.
    ///
    /// The later of two answers to a question counts.
    pub votes: Vec<Vote>,
    /// Edges of imported graphs, whose voters are not known.
    pub edges: Vec<Edge>,
    /// Fields that an imported graph had beside its cards and edges.
    pub extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    cards: Vec<ValuesCard>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    merged: Vec<Merged>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    apart: BTreeSet<(CardId, CardId)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contexts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stories: Vec<Story>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    voters: Vec<Voter>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    votes: Vec<Vote>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    imported_edges: Vec<Edge>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Merged {
    card: CardId,
    into: CardId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Voter {
    voter: String,
    group: String,
}

impl Deliberation {
    /// Two cards, and eight votes that presence is wiser than advice.
    ///
    /// It is small enough to try a ranking or a document on.
    #[must_use]
    pub fn example() -> Self {
        let card = |id: &str, title: &str, policy: &str| {
            ValuesCard::new(id.into(), title, "A way to be a friend.", vec![policy.into()])
        };
        let vote = |voter: u32| Vote {
            voter: format!("voter {voter}"),
            from: "1".into(),
            to: "2".into(),
            context: "When a friend grieves".into(),
            answer: Answer::Yes,
        };
        let advice = card("1", "Advice", "STEPS that have helped others");
        let presence = card("2", "Presence", "MOMENTS of silence");
        Self { cards: vec![advice, presence], votes: (0..8).map(vote).collect(), ..Self::default() }
    }

    /// Reads a deliberation, or a published graph as one that only has imported edges.
    ///
    /// # Errors
    /// [`ValuesError::Document`] for any other document or version; the errors of [`Deliberation::check`].
    pub fn from_json(text: &str) -> Result<Self, ValuesError> {
        let malformed = |e: serde_json::Error| ValuesError::Document { problem: e.to_string() };
        /// The field by which the two documents are told apart.
        #[derive(Deserialize)]
        #[serde(expecting = "a deliberation or a published graph, an object")]
        struct Versioned {
            version: Option<Value>,
        }
        let Versioned { version } = serde_json::from_str(text).map_err(malformed)?;
        let Some(version) = version else { return MoralGraph::from_json(text).map(Self::from) };
        if version != VERSION {
            let problem = format!("version {version}, this program reads version {VERSION}");
            return Err(ValuesError::Document { problem });
        }
        let document: Document = serde_json::from_str(text).map_err(malformed)?;
        let mut read = Self {
            cards: document.cards,
            apart: document.apart,
            contexts: document.contexts,
            stories: document.stories,
            votes: document.votes,
            edges: document.imported_edges,
            extra: document.extra,
            ..Self::default()
        };
        for Merged { card, into } in document.merged {
            let id = card.to_string();
            if read.merged.insert(card, into).is_some() {
                return Err(ValuesError::Twice { what: "merged card", id });
            }
        }
        for Voter { voter, group } in document.voters {
            let id = voter.clone();
            if read.groups.insert(voter, group).is_some() {
                return Err(ValuesError::Twice { what: "voter", id });
            }
        }
        read.check()?;
        Ok(read)
    }

    /// Writes it, indented by two spaces.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            version: VERSION,
            cards: self.cards.clone(),
            merged: self.merged.iter().map(|(card, into)| Merged { card: card.clone(), into: into.clone() }).collect(),
            apart: self.apart.clone(),
            contexts: self.contexts.clone(),
            stories: self.stories.clone(),
            voters: self.groups.iter().map(|(v, g)| Voter { voter: v.clone(), group: g.clone() }).collect(),
            votes: self.votes.clone(),
            imported_edges: self.edges.clone(),
            extra: self.extra.clone(),
        };
        serde_json::to_string_pretty(&document).expect("plain data becomes JSON")
    }

    /// Checks every card, story, vote and edge, unique ids, and references.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), ValuesError> {
        self.cards.iter().try_for_each(ValuesCard::check)?;
        check_extra(|| "extra".into(), &self.extra, &["values", "edges", "version"])?;
        let known: HashSet<&CardId> = self.cards.iter().map(|card| &card.id).collect();
        let exists = |place: &dyn Fn() -> String, id: &CardId| match known.contains(id) {
            true => Ok(()),
            false => Err(ValuesError::NoCard { place: place(), id: id.to_string() }),
        };
        for (card, into) in &self.merged {
            let place = || format!("merged card {card}");
            exists(&place, card)?;
            exists(&place, into)?;
            if card == into || self.merged.contains_key(into) {
                let problem = format!("it is merged into {into}, expected another, unmerged card");
                return Err(ValuesError::Merge { place: place(), problem });
            }
        }
        for (one, other) in &self.apart {
            let place = || format!("cards {one} and {other}, kept apart");
            exists(&place, one)?;
            exists(&place, other)?;
            if one >= other || self.canonical(one) == self.canonical(other) {
                let problem = "expected two unmerged cards in alphabetical order".into();
                return Err(ValuesError::Merge { place: place(), problem });
            }
        }
        let mut contexts = HashSet::new();
        for context in &self.contexts {
            check_text(|| "context".into(), context)?;
            if !contexts.insert(context) {
                return Err(ValuesError::Twice { what: "context", id: context.clone() });
            }
        }
        let mut stories = HashSet::new();
        for story in &self.stories {
            story.check()?;
            let place = || format!("story {:?}", story.id);
            exists(&place, &story.from)?;
            exists(&place, &story.to)?;
            if !stories.insert(&story.id) {
                return Err(ValuesError::Twice { what: "story", id: story.id.clone() });
            }
        }
        for (voter, group) in &self.groups {
            check_text(|| "voter".into(), voter)?;
            check_text(|| format!("voter {voter:?}: group"), group)?;
        }
        self.ballots().map(drop)
    }

    /// The card that a card's votes count for: itself, or the one it is merged into.
    #[must_use]
    pub fn canonical<'a>(&'a self, id: &'a CardId) -> &'a CardId {
        self.merged.get(id).unwrap_or(id)
    }

    /// Merges a card, and the cards merged into it, into another card.
    ///
    /// If the other card is merged itself, its canonical card takes its place. The pair is no longer kept apart.
    /// Merging twice changes nothing.
    ///
    /// # Errors
    /// [`ValuesError::NoCard`]; [`ValuesError::Merge`] for a card and itself, and for a card that is merged into it.
    pub fn merge(&mut self, card: &CardId, into: &CardId) -> Result<(), ValuesError> {
        self.exists(card)?;
        self.exists(into)?;
        let into = self.canonical(into).clone();
        if *card == into {
            let problem = format!("it is merged into {into}, expected another, unmerged card");
            return Err(ValuesError::Merge { place: format!("merged card {card}"), problem });
        }
        self.merged.values_mut().filter(|other| *other == card).for_each(|other| *other = into.clone());
        self.merged.insert(card.clone(), into.clone());
        let merged = &self.merged;
        self.apart.retain(|(a, b)| merged.get(a).unwrap_or(a) != merged.get(b).unwrap_or(b));
        Ok(())
    }

    /// Undoes a merge, and keeps the two cards apart from then on.
    ///
    /// Returns the card that it was merged into, if any. Cards merged into this card earlier stay with the other card.
    ///
    /// # Errors
    /// [`ValuesError::NoCard`].
    pub fn split(&mut self, card: &CardId) -> Result<Option<CardId>, ValuesError> {
        self.exists(card)?;
        let was = self.merged.remove(card);
        if let Some(into) = &was {
            self.keep_apart(card, into)?;
        }
        Ok(was)
    }

    /// Notes that two cards do not mean the same, whatever a program finds.
    ///
    /// # Errors
    /// [`ValuesError::NoCard`]; [`ValuesError::Merge`] for merged or equal cards.
    pub fn keep_apart(&mut self, one: &CardId, other: &CardId) -> Result<(), ValuesError> {
        self.exists(one)?;
        self.exists(other)?;
        if self.canonical(one) == self.canonical(other) {
            let problem = "they are the same card, expected two unmerged cards".into();
            return Err(ValuesError::Merge { place: format!("cards {one} and {other}"), problem });
        }
        let (one, other) = if one < other { (one, other) } else { (other, one) };
        self.apart.insert((one.clone(), other.clone()));
        Ok(())
    }

    /// Whether two cards, or cards merged into them, are kept apart.
    #[must_use]
    pub fn are_apart(&self, one: &CardId, other: &CardId) -> bool {
        let [one, other] = [self.canonical(one), self.canonical(other)];
        self.apart.iter().any(|(a, b)| {
            let [a, b] = [self.canonical(a), self.canonical(b)];
            (a, b) == (one, other) || (b, a) == (one, other)
        })
    }

    fn exists(&self, id: &CardId) -> Result<(), ValuesError> {
        match self.cards.iter().any(|card| card.id == *id) {
            true => Ok(()),
            false => Err(ValuesError::NoCard { place: "deliberation".into(), id: id.to_string() }),
        }
    }

    /// An unused numeric id.
    ///
    /// It is one above the largest numeric id; 1 without numeric ids; the least unused number after an overflow.
    #[must_use]
    pub fn new_id(&self) -> CardId {
        let numbers: BTreeSet<u64> = self.cards.iter().filter_map(|card| card.id.as_str().parse().ok()).collect();
        let next = numbers.last().map_or(Some(1), |most| most.checked_add(1));
        let free = next.unwrap_or_else(|| (1..).find(|number| !numbers.contains(number)).expect("no store is so full"));
        CardId::from(free.to_string().as_str())
    }

    /// The cards that stand for themselves.
    pub fn canonical_cards(&self) -> impl Iterator<Item = &ValuesCard> {
        self.cards.iter().filter(|card| !self.merged.contains_key(&card.id))
    }

    /// Every context that anything names, in the order of their names.
    #[must_use]
    pub fn all_contexts(&self) -> Vec<&str> {
        let named = self.contexts.iter().map(String::as_str);
        let told = self.stories.iter().map(|story| story.context.as_str());
        let voted = self.votes.iter().map(|vote| vote.context.as_str());
        let imported = self.edges.iter().flat_map(|edge| edge.contexts.iter().map(String::as_str));
        let lived = self.cards.iter().flat_map(|card| card.contexts.iter().map(String::as_str));
        named.chain(lived).chain(told).chain(voted).chain(imported).collect::<BTreeSet<&str>>().into_iter().collect()
    }

    /// What rankings work on: the votes that count, for the cards they count for.
    ///
    /// A vote between two cards that are merged by now says nothing.
    ///
    /// # Errors
    /// As [`Ballots::read_merged`].
    pub fn ballots(&self) -> Result<Ballots, ValuesError> {
        Ballots::read_merged(self.cards.iter().map(|card| &card.id), &self.merged, &self.votes, &self.edges)
    }

    /// The published graph of it: its cards, and the edges that the thresholds keep.
    ///
    /// An imported edge is given back unchanged, whatever the thresholds, if its cards have no later votes and no
    /// merged cards.
    ///
    /// # Errors
    /// As [`Ballots::read`].
    pub fn published(&self, thresholds: Thresholds) -> Result<MoralGraph, ValuesError> {
        let ballots = self.ballots()?;
        fn pair<'a>(from: &'a CardId, to: &'a CardId) -> (&'a CardId, &'a CardId) {
            (from.min(to), from.max(to))
        }
        let card = |number: u32| &ballots.cards[number as usize];
        let voted = ballots.rows.iter().map(|row| pair(card(row.from), card(row.to)));
        // Answers about merged cards count for their canonical cards.
        let merged = self.edges.iter().filter_map(|edge| {
            let (from, to) = (self.canonical(&edge.from), self.canonical(&edge.to));
            ((from, to) != (&edge.from, &edge.to)).then(|| pair(from, to))
        });
        let touched: HashSet<(&CardId, &CardId)> = voted.chain(merged).collect();
        let as_it_came = |edge: &&Edge| {
            let (from, to) = (self.canonical(&edge.from), self.canonical(&edge.to));
            from != to && !touched.contains(&pair(from, to))
        };
        let mut edges: Vec<Edge> = self.edges.iter().filter(as_it_came).cloned().collect();
        let kept: HashSet<(CardId, CardId)> = edges.iter().map(|edge| (edge.from.clone(), edge.to.clone())).collect();
        // The import did not keep the reverse of an unchanged edge.
        let known = |edge: &Edge| {
            let (from, to) = (edge.from.clone(), edge.to.clone());
            kept.contains(&(from.clone(), to.clone())) || kept.contains(&(to, from))
        };
        edges.extend(compat::edges(&ballots, None, thresholds).into_iter().filter(|edge| !known(edge)));
        let cards = self.canonical_cards().cloned().collect();
        Ok(MoralGraph { cards, edges, extra: self.extra.clone() })
    }

    /// Adds what another deliberation holds.
    ///
    /// Entries of both must be equal; votes of the other alone come last.
    ///
    /// [`ValuesError::Contradiction`] naming the first difference, and then nothing is added; [`ValuesError::Edge`] for
    /// an edge that contradicts the reversed edge; the errors of [`Deliberation::check`].
    pub fn add(&mut self, other: Self) -> Result<(), ValuesError> {
        self.check_reversed(&other)?;
        let mut sum = self.clone();
        sum.cards = union(&self.cards, other.cards, |card| card.id.clone(), |id| format!("card {id}"))?;
        sum.stories = union(&self.stories, other.stories, |s| s.id.clone(), |id| format!("story {id:?}"))?;
        let pair = |edge: &Edge| (edge.from.clone(), edge.to.clone());
        sum.edges = union(&self.edges, other.edges, pair, |(from, to)| format!("edge {from} to {to}"))?;
        let known: HashSet<&String> = self.contexts.iter().collect();
        sum.contexts.extend(other.contexts.into_iter().filter(|context| !known.contains(context)));
        for (card, into) in other.merged {
            let place = format!("merged card {card}");
            if sum.merged.insert(card, into.clone()).is_some_and(|own| own != into) {
                return Err(ValuesError::Contradiction { place });
            }
        }
        sum.apart.extend(other.apart);
        for (voter, group) in other.groups {
            let place = format!("group of voter {voter:?}");
            if sum.groups.insert(voter, group.clone()).is_some_and(|own| own != group) {
                return Err(ValuesError::Contradiction { place });
            }
        }
        for (name, value) in other.extra {
            let place = format!("field {name:?}");
            if sum.extra.insert(name, value.clone()).is_some_and(|own| own != value) {
                return Err(ValuesError::Contradiction { place });
            }
        }
        sum.votes.extend(news(&self.votes, &other.votes)?.into_iter().cloned());
        sum.check()?;
        *self = sum;
        Ok(())
    }

    /// Checks that two graphs agree on a pair they have in opposite directions.
    ///
    /// An edge without its reverse describes both directions.
    fn check_reversed(&self, other: &Self) -> Result<(), ValuesError> {
        fn pairs(held: &Deliberation) -> HashMap<(&CardId, &CardId), Counts> {
            held.edges.iter().map(|edge| ((&edge.from, &edge.to), edge.counts)).collect()
        }
        let (own, others) = (pairs(self), pairs(other));
        for Edge { from, to, counts, .. } in &other.edges {
            let Some(reversed) = own.get(&(to, from)) else { continue };
            let alone = !own.contains_key(&(from, to)) && !others.contains_key(&(to, from));
            let same = (counts.wiser, counts.less_wise, counts.impressions)
                == (reversed.less_wise, reversed.wiser, reversed.impressions);
            if alone && !same {
                let problem = format!(
                    "{to} to {from} is there already with other votes, expected the same the other way round, or both in one graph"
                );
                return Err(ValuesError::Edge { place: format!("edge {from} to {to}"), problem });
            }
        }
        Ok(())
    }
}

/// The votes of another log that this one lacks.
///
/// For each question, the answers of one log must be a prefix of the other's. If both logs continued by themselves, the
/// later answer is unknown; that does not matter if both end with equal answers.
fn news<'a>(own: &'a [Vote], other: &'a [Vote]) -> Result<Vec<&'a Vote>, ValuesError> {
    fn answers(votes: &[Vote]) -> HashMap<(&str, &CardId, &CardId, &str), Vec<Answer>> {
        let mut answers: HashMap<_, Vec<Answer>> = HashMap::new();
        for vote in votes {
            answers.entry(question(vote)).or_default().push(vote.answer);
        }
        answers
    }
    fn question(vote: &Vote) -> (&str, &CardId, &CardId, &str) {
        (&vote.voter, &vote.from, &vote.to, &vote.context)
    }
    let (known, told) = (answers(own), answers(other));
    let mut seen: HashMap<_, usize> = HashMap::new();
    let mut new = Vec::new();
    for vote in other {
        let (known, told) = (known.get(&question(vote)).map_or(&[][..], Vec::as_slice), &told[&question(vote)]);
        let place = seen.entry(question(vote)).or_default();
        *place += 1;
        if told.starts_with(known) {
            new.extend((*place > known.len()).then_some(vote));
        } else if !known.starts_with(told) && known.last() != told.last() {
            let Vote { voter, from, to, .. } = vote;
            return Err(ValuesError::Contradiction { place: format!("vote of {voter:?} on {from} to {to}") });
        }
    }
    Ok(new)
}

/// Two lists in one; what has the same key must be the same.
fn union<T: Clone + PartialEq, K: Eq + std::hash::Hash>(
    own: &[T],
    others: Vec<T>,
    key: impl Fn(&T) -> K,
    place: impl Fn(&K) -> String,
) -> Result<Vec<T>, ValuesError> {
    let mut all = own.to_vec();
    let mut known: HashMap<K, usize> = own.iter().enumerate().map(|(i, item)| (key(item), i)).collect();
    for item in others {
        let id = key(&item);
        match known.get(&id) {
            Some(&i) if all[i] == item => {}
            Some(_) => return Err(ValuesError::Contradiction { place: place(&id) }),
            None => {
                known.insert(id, all.len());
                all.push(item);
            }
        }
    }
    Ok(all)
}

impl From<MoralGraph> for Deliberation {
    fn from(MoralGraph { cards, edges, extra }: MoralGraph) -> Self {
        Self { cards, edges, extra, ..Self::default() }
    }
}
