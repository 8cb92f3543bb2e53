//! The most probable scores, and how uncertain they are.

use super::problem::{Problem, Slope};
use super::questions::Questions;
use super::system::{System, stream};
use crate::{Ballots, ValuesError};

/// What is assumed before any vote, and how exactly the uncertainty is computed.
///
/// The defaults were chosen on 60 simulated electorates, so that two false votes move no card by a twentieth of the
/// ranks. Narrower contexts and a larger lapse withstand more and follow an honest minority less.
///
/// ```
/// use probity_values::robust::Settings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::default().with(|settings| settings.fewest = 3);
/// settings.check()?;
/// assert!(Settings::default().with(|settings| settings.lapse = 2.0).check().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Standard deviation of scores among cards, logits.
    pub spread: f64,
    /// Of a card's score in a context about its score everywhere.
    pub context_spread: f64,
    /// Prior mean of the acquiescence, logits.
    ///
    /// It also holds for published sums: they were published because they hold many yes, so they reveal nothing about
    /// it. With the default and the default lapse, 61% say yes about two equal values. The study's voters said yes to
    /// 68% of stories that were told to persuade (recomputed from its data).
    pub acquiescence: f64,
    /// Standard deviation of the acquiescence about that, logits.
    pub acquiescence_spread: f64,
    /// The share of careless answers, yes or no with equal probability.
    ///
    /// Wichmann and Hill (2001) call it the lapse rate. It bounds the influence of an unexpected answer, such as a
    /// false vote.
    pub lapse: f64,
    /// The largest share of the others' votes that one voter's votes may weigh.
    ///
    /// In a context one vote always counts in full; over all contexts five do.
    pub cap: f64,
    /// Fewest voters, anywhere, for a card to be ranked.
    pub fewest: u32,
    /// How many standard errors the lower bound lies below the score.
    pub caution: f64,
    /// How probable the votes on an upgrade must make it to uphold it.
    pub upheld: f64,
    /// How many voters must have said yes to it.
    ///
    /// A voter who did not find one card wiser did not thereby find the other card wiser.
    pub agreed: u32,
    /// The probability of the reverse that overrules an upgrade on a cycle.
    pub overruled: f64,
    /// Random solutions for the standard errors, rounded up to a multiple of 8.
    ///
    /// With 0 the errors are infinite, and a graph refuses the settings.
    pub draws: usize,
    /// Seed of these.
    pub seed: u64,
}

impl Settings {
    /// Changes some settings.
    ///
    /// `Settings::default().with(|o| o.draws = 0)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that all of them can be.
    ///
    /// # Errors
    /// [`ValuesError::Setting`] naming the first invalid setting.
    pub fn check(&self) -> Result<(), ValuesError> {
        let spread = 1e-3..=1e3;
        let within = [
            ("spread", self.spread, spread.clone()),
            ("context_spread", self.context_spread, spread.clone()),
            ("acquiescence", self.acquiescence, -5.0..=5.0),
            ("acquiescence_spread", self.acquiescence_spread, spread),
            ("lapse", self.lapse, 1e-6..=0.9),
            ("cap", self.cap, 0.0..=1.0),
            ("caution", self.caution, 0.0..=10.0),
            ("upheld", self.upheld, 0.5..=1.0),
            ("overruled", self.overruled, 0.5..=1.0),
        ];
        for (name, given, range) in within {
            if !range.contains(&given) {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                return Err(ValuesError::Setting { name, given: given.to_string(), expected });
            }
        }
        if self.draws > MAX_DRAWS {
            let expected = format!("at most {MAX_DRAWS}");
            return Err(ValuesError::Setting { name: "draws", given: self.draws.to_string(), expected });
        }
        Ok(())
    }
}

/// Most random solutions.
const MAX_DRAWS: usize = 65_536;

impl Default for Settings {
    fn default() -> Self {
        Self {
            spread: 1.5,
            context_spread: 0.3,
            acquiescence: 0.6,
            acquiescence_spread: 1.0,
            lapse: 0.25,
            cap: 0.05,
            fewest: 5,
            caution: 1.0,
            upheld: 0.7,
            agreed: 2,
            overruled: 0.9,
            draws: 128,
            seed: 1,
        }
    }
}

/// Where a card stands in a context, or everywhere.
///
/// ```
/// use probity_values::robust::{Fit, Settings};
/// use probity_values::Deliberation;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let fit = Fit::new(&deliberation.ballots()?, &Settings::default());
/// let presence = fit.standing(None, 1).unwrap();
/// assert_eq!(presence.voters, 8);
/// assert!(presence.bound < presence.score);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Number of the card.
    pub card: u32,
    /// The score, logits.
    ///
    /// A card whose score is higher by 1 wins against a neutral voter with probability 73%.
    pub score: f64,
    /// Standard error of the score.
    pub error: f64,
    /// Score less the errors that caution asks for: what a reward may count on.
    pub bound: f64,
    /// Voters who judged it there.
    pub voters: u32,
}

/// A fit.
///
/// ```
/// use probity_values::robust::{Fit, Settings};
/// use probity_values::Deliberation;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let fit = Fit::new(&deliberation.ballots()?, &Settings::default());
/// assert!(fit.wiser(None, 0, 1).unwrap() > 0.5);
/// # Ok(())
/// # }
/// ```
pub struct Fit {
    /// How readily people said yes, logits, by the votes whose voters are known.
    pub acquiescence: f64,
    pub(super) problem: Problem,
    pub(super) settings: Settings,
    standings: Vec<Standing>,
    /// Deviations of all scores from the fit, a row of draws a score.
    deviations: Vec<f32>,
}

/// Right-hand sides that are solved for at once.
const LANES: usize = 8;
/// The relative residual at which the solver stops.
///
/// Newton's steps correct each other's errors. The draws' squares err by a ten-thousandth, their finite number by a
/// tenth.
const UNSOLVED: f64 = 1e-2;
/// A fit is done when no unknown moves by more, logits.
const STILL: f64 = 1e-7;
/// Newton steps, of which ten are many.
const MOST_STEPS: usize = 200;

impl Fit {
    /// Fits votes, and imported sums of votes.
    ///
    /// # Panics
    /// For settings that [`Settings::check`] refuses: a caller's mistake.
    #[must_use]
    pub fn new(ballots: &Ballots, settings: &Settings) -> Self {
        settings.check().expect("the settings were checked");
        let problem = Problem::new(ballots, settings);
        let x = most_probable(&problem);
        let system = System::new(&problem, problem.slope(&x).expected);
        let (count, batches) = (problem.scores(), settings.draws.div_ceil(LANES));
        // Part of a score's variance is known: the variance given all other unknowns. Only the rest, the variance of
        // its conditional expectation, is averaged over the draws (Siden et al. 2018).
        let mut explained = vec![0.0; count];
        let mut deviations = vec![0.0; count * batches * LANES];
        for batch in 0..batches {
            let right = system.perturbations::<LANES>(&mut stream(settings.seed, batch));
            let solved = system.solve(&right, UNSOLVED);
            for i in 0..count {
                let own = &mut deviations[(i * batches + batch) * LANES..][..LANES];
                for l in 0..LANES {
                    let expected = solved[i][l] - right[i][l] / system.diagonal[i];
                    explained[i] += expected * expected;
                    own[l] = solved[i][l] as f32;
                }
            }
        }
        let draws = (batches * LANES).max(1) as f64;
        let Questions { places, voters, .. } = &problem.questions;
        let standing = |i: usize| {
            let known = settings.draws > 0;
            let error = if known { (1.0 / system.diagonal[i] + explained[i] / draws).sqrt() } else { f64::INFINITY };
            let (card, score) = (places[i].1, x[i]);
            Standing { card, score, error, bound: score - settings.caution * error, voters: voters[i] }
        };
        let standings = (0..count).map(standing).collect();
        let acquiescence = problem.acquiescence(false, x[count]);
        Self { acquiescence, problem, settings: settings.clone(), standings, deviations }
    }

    /// The cards with enough voters in a context, or over all (`None`).
    ///
    /// The wisest come first, then the order of the cards.
    #[must_use]
    pub fn rank(&self, context: Option<u32>) -> Vec<Standing> {
        let known = |card: u32| self.standing(None, card).is_some_and(|s| s.voters >= self.settings.fewest);
        let here = self
            .problem
            .questions
            .places
            .iter()
            .zip(&self.standings)
            .filter(|((c, card), _)| *c == context && known(*card));
        let mut ranked: Vec<Standing> = here.map(|(_, &standing)| standing).collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.card.cmp(&b.card)));
        ranked
    }

    /// Fewest voters that a card has to have to be ranked.
    #[must_use]
    pub fn fewest(&self) -> u32 {
        self.settings.fewest
    }

    /// Where a card stands; `None` where it was not voted on there.
    #[must_use]
    pub fn standing(&self, context: Option<u32>, card: u32) -> Option<Standing> {
        self.number(context, card).map(|i| self.standings[i])
    }

    /// The number of a card's score.
    fn number(&self, context: Option<u32>, card: u32) -> Option<usize> {
        self.problem.questions.number.get(&(context, card)).map(|&i| i as usize)
    }

    /// The probability that `to` is wiser than `from`, in a context or over all.
    ///
    /// `None` if a card has no votes there, or without draws.
    #[must_use]
    pub fn wiser(&self, context: Option<u32>, from: u32, to: u32) -> Option<f64> {
        let (from, to) = (self.number(context, from)?, self.number(context, to)?);
        let draws = self.deviations.len() / self.standings.len();
        if draws == 0 {
            return None;
        }
        let apart = self.standings[to].score - self.standings[from].score;
        let [to, from] = [to, from].map(|i| &self.deviations[i * draws..][..draws]);
        let square: f64 = to.iter().zip(from).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let error = (square / draws as f64).sqrt();
        // A tie without error is 0.5.
        Some(if apart == 0.0 { 0.5 } else { normal_cdf(apart / error) })
    }
}

/// Newton's method without negative curvature; overshooting steps are halved.
fn most_probable(problem: &Problem) -> Vec<f64> {
    let mut x = vec![0.0; problem.len()];
    let mut height = problem.log_posterior(&x);
    for _ in 0..MOST_STEPS {
        let Slope { gradient, observed, .. } = problem.slope(&x);
        let right: Vec<[f64; 1]> = gradient.iter().map(|&g| [g]).collect();
        let step = System::new(problem, observed).solve(&right, UNSOLVED);
        let mut length = 1.0;
        let largest = step.iter().map(|[s]| s.abs()).fold(0.0, f64::max);
        loop {
            let next: Vec<f64> = x.iter().zip(&step).map(|(x, [s])| x + length * s).collect();
            let there = problem.log_posterior(&next);
            // The sum of many logarithms has a rounding error.
            if there >= height - 1e-12 * height.abs() || length * largest <= STILL {
                (x, height) = (next, there);
                break;
            }
            length /= 2.0;
        }
        if length * largest <= STILL {
            break;
        }
    }
    x
}

/// The normal distribution function; absolute error below 8e-8.
///
/// Abramowitz and Stegun 7.1.26.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = poly * (-z * z).exp() / 2.0;
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Electorate;

    /// Gauss and Jordan's inverse.
    fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let n = a.len();
        a.iter_mut().enumerate().for_each(|(i, row)| row.extend((0..n).map(|j| f64::from(u8::from(i == j)))));
        for i in 0..n {
            let pivot = a[i][i];
            a[i].iter_mut().for_each(|x| *x /= pivot);
            let own = a[i].clone();
            for (j, row) in a.iter_mut().enumerate() {
                let share = row[i];
                if j != i {
                    row.iter_mut().zip(&own).for_each(|(x, o)| *x -= share * o);
                }
            }
        }
        a.into_iter().map(|row| row[n..].to_vec()).collect()
    }

    #[test]
    fn errors_and_comparisons_are_those_of_the_inverse() {
        let ballots = Electorate { cards: 12, contexts: 2, voters: 40, ..Electorate::default() }.vote().ballots;
        let settings = Settings::default().with(|o| o.draws = 512);
        let problem = Problem::new(&ballots, &settings);
        let x = most_probable(&problem);
        let Slope { gradient, expected, .. } = problem.slope(&x);
        let system = System::new(&problem, expected);
        assert!(gradient.iter().all(|g| g.abs() < 1e-5), "{gradient:?}");
        let n = problem.len();
        let columns: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let mut unit = vec![[0.0]; n];
                unit[i] = [1.0];
                // The solution for a unit vector is a column of the inverse.
                system.solve(&unit, 1e-12).into_iter().map(|[x]| x).collect()
            })
            .collect();
        let covariance = inverse(inverse(columns.clone()));
        let fit = Fit::new(&ballots, &settings);
        for (i, &(context, card)) in problem.questions.places.iter().enumerate() {
            assert!((covariance[i][i] - columns[i][i]).abs() < 1e-9);
            let standing = fit.standing(context, card).unwrap();
            assert!((standing.score - x[i]).abs() < 1e-9);
            let exact = columns[i][i].sqrt();
            assert!((standing.error / exact - 1.0).abs() < 0.05, "{} is not {exact}", standing.error);
        }
        let (a, b) = (fit.standing(None, 3).unwrap(), fit.standing(None, 7).unwrap());
        let at = |card| problem.questions.places.iter().position(|&place| place == (None, card)).unwrap();
        let (i, j) = (at(3), at(7));
        let apart = (columns[i][i] + columns[j][j] - 2.0 * columns[i][j]).sqrt();
        let exact = normal_cdf((b.score - a.score) / apart);
        let told = fit.wiser(None, 3, 7).unwrap();
        assert!((told - exact).abs() < 0.03, "{told} is not {exact}");
        assert!((told + fit.wiser(None, 7, 3).unwrap() - 1.0).abs() < 1e-7);
    }

    /// The gradient of the log posterior, against differences.
    #[test]
    fn the_gradient_is_that_of_the_posterior() {
        let ballots = Electorate { cards: 6, contexts: 2, voters: 20, ..Electorate::default() }.vote().ballots;
        let problem = Problem::new(&ballots, &Settings::default());
        let x: Vec<f64> = (0..problem.len()).map(|i| (i as f64 * 0.7).sin()).collect();
        let gradient = problem.slope(&x).gradient;
        for i in 0..x.len() {
            let at = |step: f64| {
                let mut y = x.clone();
                y[i] += step;
                problem.log_posterior(&y)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((gradient[i] - difference).abs() < 1e-6 * (1.0 + difference.abs()), "{} {difference}", gradient[i]);
        }
    }
}
