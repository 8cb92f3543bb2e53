//! The moral graph of a deliberation: rankings, accounts and paths.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::OnceLock;

use serde::Serialize;

use super::compat::{self, Thresholds};
use super::robust::{Fit, Settings, Standing, Upgrade, Verdict};
use super::{Ballots, CardId, Counts, Deliberation, Method, ValuesCard, ValuesError};

/// A graph: what people said, and the fit to it.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// assert_eq!(graph.wisest_cards(None, 1)[0].title, "Presence");
/// # Ok(())
/// # }
/// ```
pub struct Graph {
    deliberation: Deliberation,
    ballots: Ballots,
    settings: Settings,
    fit: Fit,
    /// The place of every card of the ballots among the deliberation's.
    cards: Vec<usize>,
    /// Upgrades over all contexts and in each; computed on first use.
    upgrades: Vec<OnceLock<Vec<Upgrade>>>,
}

/// A ranking: the document of `probity values rank --json` and of C.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph, Method};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let ranking = graph.ranking(&Method::named("compat")?, None);
/// assert_eq!((ranking.method, ranking.ranking[0].title.as_str()), ("compat", "Presence"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// Which one: `robust` or `compat`.
    pub method: &'static str,
    /// Where; none for everywhere.
    pub context: Option<String>,
    /// How many cards are ranked.
    pub ranked: usize,
    /// The cards, the wisest first.
    pub ranking: Vec<Ranked>,
}

/// A card in a ranking.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let wisest = &graph.wisest_cards(None, 1)[0];
/// assert_eq!(wisest.id.as_str(), "2");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// Which card.
    pub id: CardId,
    /// Its title.
    pub title: String,
    /// Its score: logits in the robust ranking, PageRank in the published one.
    pub score: f64,
    /// What else the robust ranking knows.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Trust>,
}

/// How far a score is to be trusted.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph, Method};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let ranking = graph.ranking(&Method::named("robust")?, None);
/// let trust = ranking.ranking[0].standing.as_ref().unwrap();
/// assert_eq!((trust.voters, trust.contested), (8, false));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trust {
    /// Standard error, logits.
    pub error: f64,
    /// The score less the errors that caution asks for.
    pub bound: f64,
    /// Voters who judged the card.
    pub voters: u32,
    /// Whether it is on a cycle of upgrades that nothing resolves.
    pub contested: bool,
}

/// Two cards that were compared, with all that was said about them.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let pair = &graph.accounts(None)[0];
/// assert_eq!((pair.counts.wiser, pair.likelihood), (8, 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairAccount {
    /// The less wise card.
    ///
    /// For an open pair, it is the card that most voters were asked to leave.
    pub from: CardId,
    /// The other one.
    pub to: CardId,
    /// Where they were compared.
    pub contexts: Vec<String>,
    /// The votes, as published.
    pub counts: Counts,
    /// The votes of those who were asked the other way round.
    pub reversed: Counts,
    /// Answers of unknown kind, other than yes, in a published sum.
    pub unknown: u32,
    /// `(w - l) / (w + n + u + l)`.
    pub likelihood: f64,
    /// Whether the published thresholds keep it.
    pub published: bool,
    /// The probability that the second is wiser, by the votes on these two cards alone.
    pub probability: f64,
    /// What is made of that.
    pub verdict: Verdict,
}

/// What there is to know about a card.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let why = graph.explain(1, None);
/// assert_eq!((why.card.title.as_str(), why.wiser.len() + why.less_wise.len()), ("Presence", 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The card.
    pub card: ValuesCard,
    /// Its places: over all contexts first, then in each of its contexts.
    pub standings: Vec<Placed>,
    /// Its place in the published ranking, from 1, and how many cards that ranks.
    pub published: Option<[usize; 2]>,
    /// Upgrades from it.
    pub wiser: Vec<PairAccount>,
    /// Upgrades to it.
    pub less_wise: Vec<PairAccount>,
    /// Pairs of which votes do not say which is the wiser one.
    pub open: Vec<PairAccount>,
    /// The way from it to the wisest card that upheld upgrades lead to, both included.
    pub path: Vec<CardId>,
}

/// A card's place in a context.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// assert_eq!(graph.explain(1, None).standings[0].place, Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placed {
    /// The context; none for everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// From 1; none where too few voters judged it to be ranked.
    pub place: Option<usize>,
    /// How many cards are ranked there.
    pub of: usize,
    /// Logits.
    pub score: f64,
    /// How far that is to be trusted.
    #[serde(flatten)]
    pub trust: Trust,
}

impl Graph {
    /// Fits the votes of a deliberation.
    ///
    /// # Errors
    /// [`ValuesError::Setting`], also for settings without draws; the errors of [`Deliberation::check`].
    pub fn new(deliberation: Deliberation, settings: &Settings) -> Result<Self, ValuesError> {
        settings.check()?;
        if settings.draws == 0 {
            // Without errors there are no lower bounds, which decide the wisest values.
            let (given, expected) = ("0".into(), "at least 1".into());
            return Err(ValuesError::Setting { name: "draws", given, expected });
        }
        let ballots = deliberation.ballots()?;
        let place: HashMap<&CardId, usize> =
            deliberation.cards.iter().enumerate().map(|(i, card)| (&card.id, i)).collect();
        let cards = ballots.cards.iter().map(|id| place[id]).collect();
        let fit = Fit::new(&ballots, settings);
        let upgrades = (0..=ballots.contexts.len()).map(|_| OnceLock::new()).collect();
        Ok(Self { deliberation, ballots, settings: settings.clone(), fit, cards, upgrades })
    }

    /// What people said.
    #[must_use]
    pub fn deliberation(&self) -> &Deliberation {
        &self.deliberation
    }

    /// The votes that count.
    #[must_use]
    pub fn ballots(&self) -> &Ballots {
        &self.ballots
    }

    /// The fit.
    #[must_use]
    pub fn fit(&self) -> &Fit {
        &self.fit
    }

    /// The number of a context that somebody voted in.
    ///
    /// # Errors
    /// [`ValuesError::NoContext`] for a context without votes.
    pub fn context(&self, text: &str) -> Result<u32, ValuesError> {
        self.ballots.context(text).ok_or_else(|| ValuesError::NoContext { text: text.into() })
    }

    /// A card by its number among those of the ballots.
    #[must_use]
    pub fn card(&self, number: u32) -> &ValuesCard {
        &self.deliberation.cards[self.cards[number as usize]]
    }

    /// The number of a card, or of the one it is merged into.
    ///
    /// # Errors
    /// [`ValuesError::NoCard`].
    pub fn number(&self, id: &CardId) -> Result<u32, ValuesError> {
        let id = self.deliberation.canonical(id);
        let found = self.ballots.cards.iter().position(|card| card == id).map(|i| i as u32);
        found.ok_or_else(|| ValuesError::NoCard { place: "graph".into(), id: id.to_string() })
    }

    /// All cards that are ranked, the wisest first.
    #[must_use]
    pub fn ranking(&self, method: &Method, context: Option<u32>) -> Ranking {
        let ranking: Vec<Ranked> = match method {
            Method::Robust(settings) if *settings == self.settings => {
                let contested = self.contested(context);
                let ranked = self.fit.rank(context);
                ranked
                    .iter()
                    .map(|s| self.ranked(s.card, s.score, Some(trust(s, contested[s.card as usize]))))
                    .collect()
            }
            other => {
                let ranked = other.rank(&self.ballots, context);
                ranked.into_iter().map(|(card, score)| self.ranked(card, score, None)).collect()
            }
        };
        let context = context.map(|context| self.ballots.contexts[context as usize].clone());
        Ranking { method: method.name(), context, ranked: ranking.len(), ranking }
    }

    /// The cards that a reward may count on in a context, or over all.
    ///
    /// They are ranked by the lower bounds of their scores. Contested cards are left out, and so are cards with fewer
    /// voters there than a ranked card needs.
    #[must_use]
    pub fn wisest(&self, context: Option<u32>) -> Vec<Standing> {
        let contested = self.contested(context);
        let mut wisest = self.fit.rank(context);
        let fewest = self.fit.fewest();
        wisest.retain(|standing| !contested[standing.card as usize] && standing.voters >= fewest);
        wisest.sort_by(|a, b| b.bound.total_cmp(&a.bound).then(a.card.cmp(&b.card)));
        wisest
    }

    /// The first of [`Graph::wisest`], with their titles.
    #[must_use]
    pub fn wisest_cards(&self, context: Option<u32>, most: usize) -> Vec<Ranked> {
        let wisest = self.wisest(context);
        wisest.iter().take(most).map(|s| self.ranked(s.card, s.score, Some(trust(s, false)))).collect()
    }

    /// Every pair of cards that was voted on in a context, or anywhere, judged.
    #[must_use]
    pub fn upgrades(&self, context: Option<u32>) -> &[Upgrade] {
        self.upgrades[context.map_or(0, |c| c as usize + 1)].get_or_init(|| self.fit.upgrades(context))
    }

    /// The same pairs with all that was said about them.
    #[must_use]
    pub fn accounts(&self, context: Option<u32>) -> Vec<PairAccount> {
        let counted = compat::count(&self.ballots, context);
        let asked = |pair: &(u32, u32)| {
            let Counts { wiser, not_wiser, unsure, .. } = counted[pair].0;
            wiser + not_wiser + unsure
        };
        let account = |upgrade: &Upgrade| {
            let Upgrade { mut from, mut to, mut probability, verdict } = *upgrade;
            if verdict == Verdict::Open && asked(&(to, from)) > asked(&(from, to)) {
                // An open pair takes the direction that most people were asked about.
                (from, to, probability) = (to, from, 1.0 - probability);
            }
            let (counts, contexts) = &counted[&(from, to)];
            let reversed = counted[&(to, from)].0;
            let known = [counts, &reversed].map(|c| c.wiser.saturating_add(c.not_wiser).saturating_add(c.unsure));
            PairAccount {
                from: self.card(from).id.clone(),
                to: self.card(to).id.clone(),
                contexts: contexts.iter().map(|&c| self.ballots.contexts[c as usize].clone()).collect(),
                counts: *counts,
                reversed,
                unknown: counts.impressions.saturating_sub(known[0].saturating_add(known[1])),
                likelihood: counts.likelihood(),
                published: Thresholds::default().keep(counts),
                probability,
                verdict,
            }
        };
        self.upgrades(context).iter().map(account).collect()
    }

    /// The shortest path of upheld upgrades from a card to the wisest reachable.
    ///
    /// It is the card alone if no upgrade leads from it.
    #[must_use]
    pub fn path(&self, card: u32, context: Option<u32>) -> Vec<u32> {
        let mut next: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for upgrade in self.upgrades(context).iter().filter(|upgrade| upgrade.verdict == Verdict::Upheld) {
            next.entry(upgrade.from).or_default().push(upgrade.to);
        }
        let mut before: HashMap<u32, u32> = HashMap::new();
        let mut queue = VecDeque::from([card]);
        let bound = |card| self.fit.standing(context, card).map_or(f64::NEG_INFINITY, |standing| standing.bound);
        let mut wisest = card;
        while let Some(here) = queue.pop_front() {
            if bound(here) > bound(wisest) {
                wisest = here;
            }
            for &there in next.get(&here).into_iter().flatten() {
                if there != card && !before.contains_key(&there) {
                    before.insert(there, here);
                    queue.push_back(there);
                }
            }
        }
        let mut path = vec![wisest];
        while let Some(&here) = before.get(&path[path.len() - 1]) {
            path.push(here);
        }
        path.reverse();
        path
    }

    /// The account of a card, with its upgrades in one context or over all.
    #[must_use]
    pub fn explain(&self, card: u32, context: Option<u32>) -> Explanation {
        let everywhere = std::iter::once(None).chain((0..self.ballots.contexts.len() as u32).map(Some));
        let placed = |context: Option<u32>| {
            let standing = self.fit.standing(context, card)?;
            let ranked = self.fit.rank(context);
            Some(Placed {
                context: context.map(|c| self.ballots.contexts[c as usize].clone()),
                place: ranked.iter().position(|other| other.card == card).map(|i| i + 1),
                of: ranked.len(),
                score: standing.score,
                trust: trust(&standing, self.contested(context)[card as usize]),
            })
        };
        let published = Method::Compat(Thresholds::default()).rank(&self.ballots, context);
        let id = &self.card(card).id;
        let mut accounts = self.accounts(context);
        accounts.retain(|account| account.from == *id || account.to == *id);
        let (open, told): (Vec<_>, Vec<_>) = accounts.into_iter().partition(|account| account.verdict == Verdict::Open);
        let (wiser, less_wise) = told.into_iter().partition(|account| account.from == *id);
        Explanation {
            card: self.card(card).clone(),
            standings: everywhere.filter_map(placed).collect(),
            published: published.iter().position(|&(other, _)| other == card).map(|i| [i + 1, published.len()]),
            wiser,
            less_wise,
            open,
            path: self.path(card, context).into_iter().map(|card| self.card(card).id.clone()).collect(),
        }
    }

    /// For every card whether it is on a contested upgrade.
    fn contested(&self, context: Option<u32>) -> Vec<bool> {
        let mut contested = vec![false; self.cards.len()];
        for upgrade in self.upgrades(context).iter().filter(|upgrade| upgrade.verdict == Verdict::Contested) {
            contested[upgrade.from as usize] = true;
            contested[upgrade.to as usize] = true;
        }
        contested
    }

    fn ranked(&self, card: u32, score: f64, standing: Option<Trust>) -> Ranked {
        let ValuesCard { id, title, .. } = self.card(card);
        Ranked { id: id.clone(), title: title.clone(), score, standing }
    }
}

fn trust(standing: &Standing, contested: bool) -> Trust {
    let Standing { error, bound, voters, .. } = *standing;
    Trust { error, bound, voters, contested }
}
