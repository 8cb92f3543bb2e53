//! Verdicts on upgrades, and the cycles among upheld upgrades.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Fit;
use crate::cycles::components;

/// What is to be made of an upgrade.
///
/// ```
/// use probity_values::robust::Verdict;
///
/// assert_eq!(Verdict::Upheld.to_string(), "upheld");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Too few or too divided votes, or probable by answers no alone.
    Open,
    /// Probable enough by its votes, with more than one voter's yes.
    Upheld,
    /// Upheld by its votes, contradicted by the votes on all other pairs.
    ///
    /// It lies on a cycle of upgrades and runs clearly against the order of the scores.
    Overruled,
    /// Upheld by its votes, on a cycle without a clear order.
    ///
    /// Voters are in conflict, and a reward ignores the cards.
    Contested,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Upheld => "upheld",
            Self::Overruled => "overruled",
            Self::Contested => "contested",
        })
    }
}

/// A compared pair of cards, in the direction that its votes favour.
///
/// ```
/// use probity_values::robust::{Fit, Settings, Verdict};
/// use probity_values::Deliberation;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let upgrades = Fit::new(&deliberation.ballots()?, &Settings::default()).upgrades(None);
/// assert_eq!((upgrades[0].from, upgrades[0].to, upgrades[0].verdict), (0, 1, Verdict::Upheld));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upgrade {
    /// Number of the less wise card.
    pub from: u32,
    /// Of the wiser one.
    pub to: u32,
    /// Probability that `to` is the wiser card, by this pair's votes; 0.5 to 1.
    pub probability: f64,
    /// What that makes of it.
    pub verdict: Verdict,
}

/// The answers about a pair of cards, one way.
#[derive(Clone, Copy, Default)]
struct Answers {
    /// Weights of the yes and of all, by known voters and by those of published sums.
    weights: [(f64, f64); 2],
    /// How many voters said yes.
    upgrades: u32,
}

impl Fit {
    /// Every pair with votes in a context, or over all, in the order of the cards.
    ///
    /// Upheld upgrades make a graph. Its strongly connected components of more than one card are its cycles. On a
    /// cycle, an upgrade is overruled if all votes together make its reverse probable enough. Upgrades that are still
    /// on a cycle after that are contested.
    #[must_use]
    pub fn upgrades(&self, context: Option<u32>) -> Vec<Upgrade> {
        // From the lesser number to the greater, and back.
        let mut pairs: BTreeMap<(u32, u32), [Answers; 2]> = BTreeMap::new();
        for question in &self.problem.questions.asked {
            let [(here, from), (_, to)] =
                [question.from, question.to].map(|i| self.problem.questions.places[i as usize]);
            if context.is_none() || here == context {
                let answers = pairs.entry((from.min(to), from.max(to))).or_default();
                let answers = &mut answers[usize::from(from > to)];
                let (yes, all) = &mut answers.weights[usize::from(question.chosen)];
                *yes += question.yes;
                *all += question.all;
                answers.upgrades = answers.upgrades.saturating_add(question.upgrades);
            }
        }
        if context.is_none() {
            // A voter with yes in several contexts is one voter.
            for (&(from, to), answers) in &mut pairs {
                for (answers, pair) in answers.iter_mut().zip([(from, to), (to, from)]) {
                    answers.upgrades = self.problem.questions.agreed.get(&pair).copied().unwrap_or(0);
                }
            }
        }
        let grid = Grid::new(self);
        let mut upgrades: Vec<Upgrade> =
            pairs.into_iter().map(|(pair, answers)| self.judge(&grid, pair, answers)).collect();
        for i in on_cycles(&upgrades) {
            let Upgrade { from, to, .. } = upgrades[i];
            if self.wiser(context, to, from).is_some_and(|p| p >= self.settings.overruled) {
                upgrades[i].verdict = Verdict::Overruled;
            }
        }
        for i in on_cycles(&upgrades) {
            upgrades[i].verdict = Verdict::Contested;
        }
        upgrades
    }

    /// What the votes on one pair say, before any others are asked.
    fn judge(&self, grid: &Grid, (first, second): (u32, u32), [there, back]: [Answers; 2]) -> Upgrade {
        let mut logs = grid.prior;
        for (answers, tables) in [there, back].iter().zip(&grid.answers) {
            for ((yes, all), table) in answers.weights.into_iter().zip(tables).filter(|((_, all), _)| *all > 0.0) {
                for (log, [of_yes, of_no]) in logs.iter_mut().zip(table) {
                    *log += yes * of_yes + (all - yes) * of_no;
                }
            }
        }
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let [less, more] = [&logs[..POINTS / 2], &logs[POINTS / 2..]]
            .map(|half| half.iter().map(|log| (log - most).exp()).sum::<f64>());
        let probability = more / (less + more);
        let (from, to, probability, agreed) = if probability < 0.5 {
            (second, first, 1.0 - probability, back.upgrades)
        } else {
            (first, second, probability, there.upgrades)
        };
        let upheld = probability >= self.settings.upheld && agreed >= self.settings.agreed;
        let verdict = if upheld { Verdict::Upheld } else { Verdict::Open };
        Upgrade { from, to, probability, verdict }
    }
}

/// The integral over the lead of the second card, apart from the answers.
struct Grid {
    /// Logarithms of the prior, up to a constant.
    prior: [f64; POINTS],
    /// Log-probabilities of a yes and of a no.
    ///
    /// By direction (the pair, the reversed pair) and kind (known voters, published sums).
    answers: [[[[f64; 2]; POINTS]; 2]; 2],
}

impl Grid {
    fn new(fit: &Fit) -> Self {
        // The prior of the difference of two cards has twice the variance of one.
        let precision = 0.5 * fit.problem.precision[0];
        let reach = GRID / precision.sqrt();
        let apart: [f64; POINTS] = std::array::from_fn(|i| reach * ((i as f64 + 0.5) / POINTS as f64 * 2.0 - 1.0));
        let answers =
            |sign: f64, acquiescence: f64| apart.map(|apart| fit.problem.log_answers(sign * apart + acquiescence));
        let both = |sign: f64| [answers(sign, fit.acquiescence), answers(sign, fit.settings.acquiescence)];
        Self { prior: apart.map(|apart| -precision * apart * apart / 2.0), answers: [both(1.0), both(-1.0)] }
    }
}

/// Reach of the integral in prior standard deviations, and its points (even).
const GRID: f64 = 4.0;
const POINTS: usize = 160;

/// The upheld upgrades within a strongly connected component.
fn on_cycles(upgrades: &[Upgrade]) -> Vec<usize> {
    let upheld: Vec<usize> = (0..upgrades.len()).filter(|&i| upgrades[i].verdict == Verdict::Upheld).collect();
    let component = components(upheld.iter().map(|&i| (upgrades[i].from, upgrades[i].to)));
    upheld.into_iter().filter(|&i| component[&upgrades[i].from] == component[&upgrades[i].to]).collect()
}
