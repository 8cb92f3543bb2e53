//! Attacks on a ranking, and its resampling, for both methods.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use serde::Serialize;

use super::compat::{self, Thresholds};
use super::robust::{Fit, Settings};
use super::{Answer, Ballot, Ballots, CardId, Counts, ValuesError};

/// A way to rank.
///
/// ```
/// use probity_values::Method;
///
/// assert_eq!(Method::named("robust").unwrap().name(), "robust");
/// assert!(Method::named("fairest").is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// As published.
    Compat(Thresholds),
    /// By the scores of a fit.
    Robust(Settings),
}

impl Method {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Compat(_) => "compat",
            Self::Robust(_) => "robust",
        }
    }

    /// The method of a name, as it is by default.
    ///
    /// # Errors
    /// [`ValuesError::Setting`] for any other name.
    pub fn named(name: &str) -> Result<Self, ValuesError> {
        match name {
            "compat" => Ok(Self::Compat(Thresholds::default())),
            "robust" => Ok(Self::Robust(Settings::default())),
            other => {
                Err(ValuesError::Setting { name: "method", given: other.into(), expected: "robust or compat".into() })
            }
        }
    }

    /// The cards with their scores, the wisest first, everywhere or in one context.
    #[must_use]
    pub fn rank(&self, ballots: &Ballots, context: Option<u32>) -> Vec<(u32, f64)> {
        match self {
            Self::Compat(thresholds) => {
                let edges = compat::edges(ballots, context, *thresholds);
                let number: HashMap<_, u32> = ballots.cards.iter().enumerate().map(|(i, id)| (id, i as u32)).collect();
                compat::rank(&edges).iter().map(|(id, score)| (number[id], *score)).collect()
            }
            Self::Robust(settings) => {
                let fit = Fit::new(ballots, settings);
                fit.rank(context).iter().map(|standing| (standing.card, standing.score)).collect()
            }
        }
    }
}

/// What false votes did.
///
/// ```
/// use probity_values::{Electorate, Method, attack};
///
/// let ballots = Electorate { voters: 50, cards: 6, ..Electorate::default() }.vote().ballots;
/// let attack = attack(&ballots, &Method::named("compat").unwrap(), 2).unwrap();
/// assert!(attack.after <= attack.before);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attack {
    /// Place of the last card without them, from 1: how many are ranked.
    pub before: usize,
    /// Its place with them.
    pub after: usize,
}

impl Attack {
    /// The share of all ranks that it climbed.
    #[must_use]
    pub fn climbed(&self) -> f64 {
        (self.before as f64 - self.after as f64) / self.before as f64
    }
}

/// Adds false voters, who say that the last card is wiser than the first.
///
/// They vote in the context with the most votes. `None` if fewer than two cards are ranked.
#[must_use]
pub fn attack(ballots: &Ballots, method: &Method, voters: usize) -> Option<Attack> {
    let honest = method.rank(ballots, None);
    let [(first, _), .., (last, _)] = honest.as_slice() else { return None };
    let mut votes = vec![0_u64; ballots.contexts.len()];
    ballots.rows.iter().for_each(|row| votes[row.context as usize] += 1);
    for tally in &ballots.tallies {
        tally.contexts.iter().for_each(|&c| votes[c as usize] += u64::from(tally.counts.impressions));
    }
    let mut led = ballots.clone();
    let context = match (0..votes.len()).max_by_key(|&c| (votes[c], std::cmp::Reverse(c))) {
        Some(context) => context as u32,
        None => {
            led.contexts.push("a false context".into());
            0
        }
    };
    for i in 0..voters {
        let voter = led.voters.len() as u32;
        led.voters.push(format!("false voter {}", i + 1));
        led.rows.push(Ballot { voter, from: *first, to: *last, context, answer: Answer::Yes });
    }
    let ranked = method.rank(&led, None);
    // A card that is no longer ranked comes last.
    let after = ranked.iter().position(|(card, _)| card == last).unwrap_or(ranked.len()) + 1;
    Some(Attack { before: honest.len(), after })
}

/// What becomes of a ranking when other voters of the same kind had come.
///
/// ```
/// use probity_values::{Electorate, Method, bootstrap};
///
/// let ballots = Electorate { voters: 50, cards: 6, ..Electorate::default() }.vote().ballots;
/// let resampled = bootstrap(&ballots, &Method::named("compat").unwrap(), 10, 7).unwrap();
/// assert!((0.0..=1.0).contains(&resampled.winner_kept));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    /// The share of resamples that has the same card first.
    pub winner_kept: f64,
    /// Best and worst place of every ranked card in 90% of the resamples.
    ///
    /// Places count from 1, in the ranking's order. A card without a rank in a resample takes the place after the last.
    pub places: Vec<(u32, [usize; 2])>,
}

/// Resamples the voters with replacement and ranks again, `resamples` times.
///
/// The voters of published sums are unknown, so each of their votes is drawn by itself. `None` if nothing is ranked.
#[must_use]
pub fn bootstrap(ballots: &Ballots, method: &Method, resamples: usize, seed: u64) -> Option<Bootstrap> {
    // Places need no standard errors of their own.
    let method = &match method {
        Method::Compat(_) => method.clone(),
        Method::Robust(settings) => Method::Robust(settings.clone().with(|o| o.draws = 0)),
    };
    let honest = method.rank(ballots, None);
    let winner = honest.first()?.0;
    let mut by_voter: Vec<Vec<Ballot>> = vec![Vec::new(); ballots.voters.len()];
    ballots.rows.iter().for_each(|row| by_voter[row.voter as usize].push(*row));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut kept, mut places) = (0, vec![Vec::with_capacity(resamples); ballots.cards.len()]);
    for _ in 0..resamples {
        let mut drawn = Ballots { rows: Vec::with_capacity(ballots.rows.len()), ..ballots.clone() };
        for voter in 0..by_voter.len() as u32 {
            let rows = &by_voter[rng.random_range(0..by_voter.len())];
            drawn.rows.extend(rows.iter().map(|row| Ballot { voter, ..*row }));
        }
        drawn.tallies.iter_mut().for_each(|tally| tally.counts = redrawn(tally.counts, &mut rng));
        let ranked = method.rank(&drawn, None);
        kept += usize::from(ranked.first().is_some_and(|&(card, _)| card == winner));
        let mut place = vec![ranked.len() + 1; ballots.cards.len()];
        ranked.iter().enumerate().for_each(|(i, &(card, _))| place[card as usize] = i + 1);
        places.iter_mut().zip(place).for_each(|(places, place)| places.push(place));
    }
    let interval = |&(card, _): &(u32, f64)| {
        let places = &mut places[card as usize];
        places.sort_unstable();
        let at =
            |share: f64| places.get((share * (resamples.max(1) - 1) as f64).round() as usize).copied().unwrap_or(0);
        (card, [at(0.05), at(0.95)])
    };
    let places = honest.iter().map(interval).collect();
    Some(Bootstrap { winner_kept: kept as f64 / resamples.max(1) as f64, places })
}

/// Both questions asked of one ranking.
///
/// ```
/// use probity_values::{Electorate, Method, stability};
///
/// let ballots = Electorate { voters: 50, cards: 6, ..Electorate::default() }.vote().ballots;
/// let stability = stability(&ballots, &Method::named("compat").unwrap(), 10).unwrap();
/// assert_eq!(stability.ranked, stability.intervals.len());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stability {
    /// The name of the ranking.
    pub method: &'static str,
    /// Cards that it ranks.
    pub ranked: usize,
    /// How far false voters lead it.
    pub attacks: Vec<AttackBy>,
    /// The share of resamples that has the same card first.
    pub winner_kept: f64,
    /// For every ranked card its best and worst place in 90% of the resamples.
    pub intervals: Vec<Places>,
}

/// What so many false voters did.
///
/// ```
/// use probity_values::{Electorate, Method, stability};
///
/// let ballots = Electorate { voters: 50, cards: 6, ..Electorate::default() }.vote().ballots;
/// let stability = stability(&ballots, &Method::named("compat").unwrap(), 10).unwrap();
/// assert!(stability.attacks[0].voters >= 1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackBy {
    /// How many.
    pub voters: usize,
    /// The place of the last card with them, from 1.
    pub after: usize,
    /// The share of all ranks that it climbed.
    pub climbed: f64,
}

/// The places of a card.
///
/// ```
/// use probity_values::{Electorate, Method, stability};
///
/// let ballots = Electorate { voters: 50, cards: 6, ..Electorate::default() }.vote().ballots;
/// let stability = stability(&ballots, &Method::named("compat").unwrap(), 10).unwrap();
/// let [best, worst] = stability.intervals[0].places;
/// assert!(best <= worst);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Places {
    /// The card.
    pub id: CardId,
    /// Best and worst, from 1.
    pub places: [usize; 2],
}

/// How far 2 and 10 false voters lead a ranking, and how far it is chance.
///
/// `None` if it ranks fewer than two cards.
#[must_use]
pub fn stability(ballots: &Ballots, method: &Method, resamples: usize) -> Option<Stability> {
    let led = [2, 10].map(|voters| (voters, attack(ballots, method, voters)));
    let ranked = led[0].1?.before;
    let by = |(voters, led): (usize, Option<Attack>)| {
        led.map(|led| AttackBy { voters, after: led.after, climbed: led.climbed() })
    };
    let kept = bootstrap(ballots, method, resamples, 1)?;
    let places = |&(card, places): &(u32, [usize; 2])| Places { id: ballots.cards[card as usize].clone(), places };
    Some(Stability {
        method: method.name(),
        ranked,
        attacks: led.into_iter().map(by).collect::<Option<_>>()?,
        winner_kept: kept.winner_kept,
        intervals: kept.places.iter().map(places).collect(),
    })
}

/// Resamples the votes on a pair: a binomial draw for each kind in turn.
fn redrawn(counts: Counts, rng: &mut ChaCha8Rng) -> Counts {
    let Counts { wiser, not_wiser, less_wise, unsure, impressions } = counts;
    // The rest are votes on the reversed pair other than yes.
    let (mut draws, mut among) = (u64::from(impressions), u64::from(impressions));
    let [wiser, not_wiser, less_wise, unsure] = [wiser, not_wiser, less_wise, unsure].map(|count| {
        let share = if among == 0 { 0.0 } else { f64::from(count) / among as f64 };
        let drawn = Binomial::new(draws, share).map_or(0, |binomial| binomial.sample(rng));
        draws -= drawn;
        among -= u64::from(count);
        drawn as u32
    });
    Counts { wiser, not_wiser, less_wise, unsure, impressions }
}
