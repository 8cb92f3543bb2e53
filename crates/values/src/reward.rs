//! The moral graph as a reward: the wisest values score the actions.
//!
//! Source: section 6.2 of arXiv 2404.10636 proposes such a reward; the formula of [`Graph::judge`] is this library's
//! own.
//!
//! Pure: somebody else judges how well an action serves a policy, by a number from -1 to 1. These numbers, the contexts
//! of the situation and the graph give a value for each action and its origin, or the reason of an abstention.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::robust::Verdict;
use super::{CardId, Graph, PairAccount, ValuesError};

/// How values become a reward.
///
/// ```
/// use probity_values::ScoreTerms;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let terms = ScoreTerms::default().with(|terms| terms.values = 3);
/// terms.check()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ScoreTerms {
    /// Values of a context that count, the wisest by the lower bounds of their scores.
    pub values: usize,
    /// Sharpness of the shares: a softmax of the bounds times this.
    pub sharpness: f64,
    /// What serving a value instead of the wiser one costs.
    pub penalty: f64,
    /// The least opposite preferences of two values that make a tension.
    pub tension: f64,
    /// Actions whose values differ by less are not told apart.
    pub resolution: f64,
}

impl Default for ScoreTerms {
    fn default() -> Self {
        Self { values: 3, sharpness: 2.0, penalty: 0.5, tension: 0.1, resolution: 0.01 }
    }
}

impl ScoreTerms {
    /// Changes some terms.
    ///
    /// `ScoreTerms::default().with(|o| o.penalty = 0.0)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that every number can be.
    ///
    /// # Errors
    /// [`ValuesError::Setting`] naming the first invalid term.
    pub fn check(&self) -> Result<(), ValuesError> {
        let off =
            |name, given: String, expected: &str| Err(ValuesError::Setting { name, given, expected: expected.into() });
        if !(1..=64).contains(&self.values) {
            return off("values", self.values.to_string(), "1 to 64");
        }
        let all = [
            ("sharpness", self.sharpness),
            ("penalty", self.penalty),
            ("tension", self.tension),
            ("resolution", self.resolution),
        ];
        match all.into_iter().find(|(_, value)| !(0.0..=100.0).contains(value)) {
            Some((name, value)) => off(name, value.to_string(), "a number from 0 to 100"),
            None => Ok(()),
        }
    }
}

/// A context of a situation.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph, context_weights};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let weights = context_weights(&graph, &[(0, 0.8)]);
/// assert_eq!((weights[0].text.as_str(), weights[0].weight), ("When a friend grieves", 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContextWeight {
    /// The context, by its number in the graph.
    #[serde(skip)]
    pub context: u32,
    /// Its text.
    pub text: String,
    /// How much the situation is of that context; where it was named, 1.
    pub similarity: f64,
    /// Its share of the reward; those of all contexts add up to 1.
    pub weight: f64,
}

/// `[policy][action]` adherence of the actions to a card's policies.
///
/// From -1 (against the policy) to 1 (for it); 0 if the policy does not matter.
pub type Adherence = Vec<Vec<f64>>;

/// What the values of a graph make of some actions.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph, ScoreTerms, context_weights};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let contexts = context_weights(&graph, &[(0, 1.0)]);
/// // How well two actions serve the one policy of each card.
/// let adherence = BTreeMap::from([(0, vec![vec![0.0, 0.0]]), (1, vec![vec![0.9, -0.9]])]);
/// let judgement = graph.judge(contexts, &adherence, 2, &ScoreTerms::default())?;
/// let values = judgement.values.unwrap();
/// assert!(values[0] > values[1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Each action's value, from -1 - [`ScoreTerms::penalty`] to 1.
    ///
    /// None if the graph abstains.
    pub values: Option<Vec<f64>>,
    /// Why it abstains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstains: Option<Abstention>,
    /// The contexts that counted.
    pub contexts: Vec<ContextWeight>,
    /// The values that counted, with all they rest on.
    pub cards: Vec<Counted>,
    /// What serving a value instead of a wiser one costs.
    pub penalties: Vec<Penalty>,
}

impl Judgement {
    /// Nothing, for a reason.
    #[must_use]
    pub fn abstention(reason: Abstention) -> Self {
        Self { values: None, abstains: Some(reason), contexts: vec![], cards: vec![], penalties: vec![] }
    }
}

/// Why a graph does not judge.
///
/// ```
/// use probity_values::{Abstention, Judgement};
///
/// let judgement = Judgement::abstention(Abstention::NoValue);
/// assert!(judgement.values.is_none());
/// assert!(judgement.abstains.unwrap().to_string().contains("judged by enough people"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Abstention {
    /// The situation is of no context that people voted in.
    NoContext {
        /// The similarity of the nearest.
        nearest: f64,
    },
    /// Which contexts the situation is of cannot be told.
    Chance {
        /// Accuracy of the embedder on known contexts; 0.5 is chance, 1 certainty.
        accuracy: f64,
    },
    /// In its contexts no value was judged by enough people, or all are contested.
    NoValue,
    /// The wisest values want different things.
    Tension {
        /// Two of them.
        cards: [CardId; 2],
        /// The action that each prefers.
        actions: [usize; 2],
    },
    /// The actions serve the values alike, as far as can be told.
    Alike {
        /// How much their values differ.
        spread: f64,
    },
}

impl std::fmt::Display for Abstention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoContext { nearest } => {
                write!(f, "no context of the graph is near the situation (largest similarity {nearest:.2})")
            }
            Self::Chance { accuracy } => {
                write!(f, "the embedder finds only {:.0}% of known contexts: name the contexts", 100.0 * accuracy)
            }
            Self::NoValue => {
                f.write_str("no value was judged by enough people in these contexts, or all are contested")
            }
            Self::Tension { cards: [one, other], actions: [a, b] } => {
                write!(f, "values {one} and {other} want different things: actions {} and {}", a + 1, b + 1)
            }
            Self::Alike { spread } => {
                write!(f, "the actions serve the values alike, as far as can be told (they differ by {spread:.3})")
            }
        }
    }
}

/// A value that counted.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph, ScoreTerms, context_weights};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// let adherence = BTreeMap::from([(0, vec![vec![0.0, 0.0]]), (1, vec![vec![0.9, -0.9]])]);
/// let judgement = graph.judge(context_weights(&graph, &[(0, 1.0)]), &adherence, 2, &ScoreTerms::default())?;
/// assert_eq!(judgement.cards[0].title, "Presence");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counted {
    /// Which card.
    pub card: CardId,
    /// Its title.
    pub title: String,
    /// The context that it counted in.
    pub context: String,
    /// The lower bound of its score there, logits.
    pub bound: f64,
    /// The voters who judged it there.
    pub voters: u32,
    /// Its share of the reward; those of all values add up to 1.
    pub share: f64,
    /// Adherence of each action: the mean over the policies that matter.
    pub adherence: Vec<f64>,
    /// The same for each policy.
    pub policies: Vec<ServedPolicy>,
    /// The votes on its pairs in this context.
    pub votes: Vec<PairAccount>,
}

/// A policy and how well each action serves it.
///
/// ```
/// use probity_values::ServedPolicy;
///
/// let listens = ServedPolicy { policy: "MOMENTS of silence".into(), served: vec![0.9, -0.9] };
/// assert_eq!(serde_json::to_value(&listens).unwrap()["served"][1], -0.9);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServedPolicy {
    /// The policy.
    pub policy: String,
    /// For each action, from -1 to 1.
    pub served: Vec<f64>,
}

/// What serving a superseded value costs.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph, ScoreTerms, context_weights};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let graph = Graph::new(deliberation, &Settings::default())?;
/// // The second action serves the value that was found less wise.
/// let adherence = BTreeMap::from([(0, vec![vec![0.0, 0.9]]), (1, vec![vec![0.9, 0.0]])]);
/// let judgement = graph.judge(context_weights(&graph, &[(0, 1.0)]), &adherence, 2, &ScoreTerms::default())?;
/// let penalty = &judgement.penalties[0];
/// assert!(penalty.cost[0] == 0.0 && penalty.cost[1] > 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Penalty {
    /// The value that was left.
    pub from: CardId,
    /// The wiser one.
    pub to: CardId,
    /// Where.
    pub context: String,
    /// How probable it is that the second is wiser.
    pub probability: f64,
    /// What is taken off each action's value.
    pub cost: Vec<f64>,
}

impl Graph {
    /// The cards whose adherence [`Graph::judge`] needs, for some contexts.
    ///
    /// They are the wisest cards of each context, and the cards that those supersede.
    #[must_use]
    pub fn considered(&self, contexts: &[u32], terms: &ScoreTerms) -> BTreeSet<u32> {
        let mut cards = BTreeSet::new();
        for &context in contexts {
            let top: Vec<u32> = self.top(context, terms).into_iter().map(|(card, ..)| card).collect();
            cards.extend(self.superseded(context, &top).into_iter().map(|(from, ..)| from));
            cards.extend(top);
        }
        cards
    }

    /// Scores the actions by the wisest values of the contexts.
    ///
    /// `R(o) = sum_k w_k (sum_v pi_k(v) adh(v, o) - penalty mean_{u -> v} P_k(u -> v) max(0, adh(u, o) - adh(v, o)) /
    /// 2)`. `pi_k` is the softmax of the bounds of the wisest values in context `k`, and `adh` the mean adherence over
    /// a card's policies. `R` lies between `-1 - penalty` and 1. Nothing is clipped, so the listed parts add up to `R`.
    ///
    /// `adherence` covers the cards of [`Graph::considered`]; `actions` is the number of actions.
    ///
    /// # Errors
    /// [`ValuesError::Setting`] for invalid terms, and for adherences that are missing, of another shape, or outside of
    /// -1 to 1.
    pub fn judge(
        &self,
        contexts: Vec<ContextWeight>,
        adherence: &BTreeMap<u32, Adherence>,
        actions: usize,
        terms: &ScoreTerms,
    ) -> Result<Judgement, ValuesError> {
        terms.check()?;
        let numbers: Vec<u32> = contexts.iter().map(|context| context.context).collect();
        let considered = self.considered(&numbers, terms);
        let mut means: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for &card in &considered {
            means.insert(card, self.mean(card, adherence.get(&card), actions)?);
        }
        let mut judgement =
            Judgement { values: None, abstains: None, contexts, cards: Vec::new(), penalties: Vec::new() };
        // A context without a ranked card leaves its weight to the others.
        let heard = |context: u32| !self.top(context, terms).is_empty();
        let loud: f64 = judgement.contexts.iter().filter(|near| heard(near.context)).map(|near| near.weight).sum();
        let mut values = vec![0.0; actions];
        for near in &judgement.contexts {
            let context = near.context;
            let weight = near.weight / loud;
            let top = self.top(context, terms);
            let accounts = if top.is_empty() { Vec::new() } else { self.accounts(Some(context)) };
            let shares = softmax(top.iter().map(|&(_, bound, _)| terms.sharpness * bound));
            for (&(card, bound, voters), share) in top.iter().zip(shares) {
                let share = weight * share;
                values.iter_mut().zip(&means[&card]).for_each(|(value, served)| *value += share * served);
                let id = &self.card(card).id;
                judgement.cards.push(Counted {
                    card: id.clone(),
                    title: self.card(card).title.clone(),
                    context: near.text.clone(),
                    bound,
                    voters,
                    share,
                    adherence: means[&card].clone(),
                    policies: self
                        .card(card)
                        .policies
                        .iter()
                        .zip(&adherence[&card])
                        .map(|(policy, served)| ServedPolicy { policy: policy.as_str().into(), served: served.clone() })
                        .collect(),
                    votes: accounts.iter().filter(|pair| [&pair.from, &pair.to].contains(&id)).cloned().collect(),
                });
            }
            let wiser: Vec<u32> = top.iter().map(|&(card, ..)| card).collect();
            let upgrades = self.superseded(context, &wiser);
            let each = terms.penalty * weight / upgrades.len() as f64;
            for (from, to, probability) in upgrades {
                // Adherences differ by at most 2.
                let cost = |o: usize| each * probability * (means[&from][o] - means[&to][o]).max(0.0) / 2.0;
                let cost: Vec<f64> = (0..actions).map(cost).collect();
                values.iter_mut().zip(&cost).for_each(|(value, cost)| *value -= cost);
                if cost.iter().any(|&cost| cost > 0.0) {
                    let [from, to] = [from, to].map(|card| self.card(card).id.clone());
                    let context = near.text.clone();
                    judgement.penalties.push(Penalty { from, to, context, probability, cost });
                }
            }
        }
        judgement.cards.sort_by(|a, b| b.share.total_cmp(&a.share));
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let spread = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
        judgement.abstains = if judgement.cards.is_empty() {
            Some(Abstention::NoValue)
        } else if let Some(tension) = tension(&judgement.cards, terms.tension) {
            Some(tension)
        } else if actions > 1 && spread < terms.resolution {
            Some(Abstention::Alike { spread })
        } else {
            judgement.values = Some(values);
            None
        };
        Ok(judgement)
    }

    /// The wisest uncontested values of a context, with bounds and voters.
    fn top(&self, context: u32, terms: &ScoreTerms) -> Vec<(u32, f64, u32)> {
        let mut wisest = self.wisest(Some(context));
        wisest.truncate(terms.values);
        wisest.into_iter().map(|standing| (standing.card, standing.bound, standing.voters)).collect()
    }

    /// Upheld upgrades to some cards in a context, with their probabilities.
    fn superseded(&self, context: u32, to: &[u32]) -> Vec<(u32, u32, f64)> {
        let upheld = self.upgrades(Some(context)).iter().filter(|upgrade| upgrade.verdict == Verdict::Upheld);
        upheld.filter(|upgrade| to.contains(&upgrade.to)).map(|u| (u.from, u.to, u.probability)).collect()
    }

    /// Adherence of each action to a card: the mean over policies that matter.
    fn mean(&self, card: u32, adherence: Option<&Adherence>, actions: usize) -> Result<Vec<f64>, ValuesError> {
        let policies = self.card(card).policies.len();
        let shape = |rows: &&Adherence| {
            let within = |row: &Vec<f64>| row.len() == actions && row.iter().all(|x| (-1.0..=1.0).contains(x));
            rows.len() == policies && rows.iter().all(within)
        };
        let rows = adherence.filter(shape).ok_or_else(|| ValuesError::Setting {
            name: "adherence",
            given: format!("the adherence of card {}", self.card(card).id),
            expected: format!("{policies} policies by {actions} actions, each from -1 to 1"),
        })?;
        let applicable: Vec<&Vec<f64>> = rows.iter().filter(|row| row.iter().any(|&x| x != 0.0)).collect();
        let mean = |o| applicable.iter().map(|row| row[o]).sum::<f64>() / applicable.len().max(1) as f64;
        Ok((0..actions).map(mean).collect())
    }
}

/// A tension: weighty values with clear and opposite preferences.
///
/// The weights of a value over contexts, and of a side over values, add up.
fn tension(cards: &[Counted], least: f64) -> Option<Abstention> {
    /// What has less than this share does not hold up the rest.
    const SHARE: f64 = 0.2;
    let best = |card: &Counted| {
        (0..card.adherence.len()).max_by(|&a, &b| card.adherence[a].total_cmp(&card.adherence[b]).then(b.cmp(&a)))
    };
    let wants: Vec<(&Counted, usize)> = cards.iter().filter_map(|card| Some((card, best(card)?))).collect();
    let preferred: BTreeSet<usize> = wants.iter().map(|&(_, action)| action).collect();
    // Among the cards that clearly prefer one action to another, the card with the largest weight.
    let side = |own: usize, theirs: usize| {
        let clear = |card: &Counted| card.adherence[own] - card.adherence[theirs] >= least;
        let cards = wants.iter().filter(|&&(card, action)| action == own && clear(card)).map(|&(card, _)| card);
        let weight: f64 = cards.clone().map(|card| card.share).sum();
        cards.max_by(|a, b| a.share.total_cmp(&b.share)).filter(|_| weight >= SHARE)
    };
    let pairs = preferred.iter().flat_map(|&a| preferred.range(a + 1..).map(move |&b| (a, b)));
    let mut at_odds = pairs.filter_map(|(a, b)| Some((a, b, side(a, b)?, side(b, a)?)));
    at_odds.next().map(|(a, b, one, other)| Abstention::Tension {
        cards: [one.card.clone(), other.card.clone()],
        actions: [a, b],
    })
}

/// Shares that add up to 1.
pub(super) fn softmax(logits: impl Iterator<Item = f64>) -> Vec<f64> {
    let logits: Vec<f64> = logits.collect();
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// The shares of contexts: a softmax of similarities, temperature 0.1.
#[must_use]
pub fn context_weights(graph: &Graph, similarities: &[(u32, f64)]) -> Vec<ContextWeight> {
    const TEMPERATURE: f64 = 0.1;
    let shares = softmax(similarities.iter().map(|(_, similarity)| similarity / TEMPERATURE));
    let near = |(&(context, similarity), weight): (&(u32, f64), f64)| ContextWeight {
        context,
        text: graph.ballots().contexts[context as usize].clone(),
        similarity,
        weight,
    };
    similarities.iter().zip(shares).map(near).collect()
}
