//! The equations of the fit: which votes speak of which scores, and the linear systems that this makes.

use std::collections::{HashMap, HashSet};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Settings;
use crate::values::{Ballot, Ballots, Tally};

/// A score's context, `None` for everywhere, and its card.
pub(super) type Place = (Option<u32>, u32);

/// All answers to one question: an ordered pair of cards in a context.
struct Question {
    /// Scores of the two cards, by number.
    from: u32,
    to: u32,
    /// Weight of the yes among the answers; a not sure is half of one.
    yes: f64,
    /// Weight of all of them.
    all: f64,
}

/// What is fitted, and to what. The unknowns are the scores and, after them, the acquiescence.
pub(super) struct Problem {
    /// Where each score belongs.
    pub places: Vec<Place>,
    /// How many voters each card was judged by, in the score's context or anywhere.
    pub voters: Vec<u32>,
    questions: Vec<Question>,
    lapse: f64,
    /// For a score in a context the number of its card's score everywhere.
    everywhere: Vec<Option<u32>>,
    /// Precisions of the priors: of a score everywhere, of one in a context about it, of the acquiescence.
    precision: [f64; 3],
}

/// The probability of a yes, and its derivatives by the score of the card that is gone to.
struct Yes {
    p: f64,
    derivative: f64,
    second: f64,
}

/// How the log posterior rises and bends somewhere.
pub(super) struct Slope {
    /// Its gradient.
    pub gradient: Vec<f64>,
    /// The weight of every question in the curvature, in expectation (Fisher's).
    pub expected: Vec<f64>,
    /// The same with the answers as they are, where that is not negative: an answer that nobody would expect has little to
    /// say and bends it the other way.
    pub observed: Vec<f64>,
}

/// Questions while they are collected, by context, from and to.
#[derive(Default)]
struct Collected {
    order: Vec<(Place, Place)>,
    answers: HashMap<(Place, Place), (f64, f64)>,
    /// Voters that a card was judged by, known by name or by number only.
    named: HashSet<(u32, Place)>,
    nameless: HashMap<Place, u32>,
}

impl Collected {
    fn add(&mut self, context: Option<u32>, from: u32, to: u32, yes: f64, all: f64) {
        if all == 0.0 {
            return;
        }
        let key = ((context, from), (context, to));
        let sums = self.answers.entry(key).or_insert_with(|| {
            self.order.push(key);
            (0.0, 0.0)
        });
        *sums = (sums.0 + yes, sums.1 + all);
    }

    /// What a score speaks of: a card's in a context, and everywhere.
    fn spoken_of(context: Option<u32>, cards: [u32; 2]) -> impl Iterator<Item = Place> {
        let everywhere = cards.map(|card| (None, card));
        everywhere.into_iter().chain(context.into_iter().flat_map(move |c| cards.map(|card| (Some(c), card))))
    }
}

impl Problem {
    /// The problem that votes pose together with imported sums of votes: these speak of their context where they name one,
    /// of no context otherwise.
    pub fn new(ballots: &Ballots, settings: &Settings) -> Self {
        let mut collected = Collected::default();
        let weights = weights(ballots, settings.cap);
        for (row, weight) in ballots.rows.iter().zip(weights) {
            collected.add(Some(row.context), row.from, row.to, weight * row.answer.yes(), weight);
            let places = Collected::spoken_of(Some(row.context), [row.from, row.to]);
            collected.named.extend(places.map(|place| (row.voter, place)));
        }
        collect_tallies(&ballots.tallies, &mut collected);
        // In the order of contexts and cards, not of votes.
        let mut places: Vec<Place> = collected.order.iter().flat_map(|&(from, to)| [from, to]).collect();
        places.extend(places.clone().into_iter().map(|(_, card)| (None, card)));
        places.sort_unstable();
        places.dedup();
        let number: HashMap<Place, u32> = places.iter().enumerate().map(|(i, &place)| (place, i as u32)).collect();
        let everywhere = places.iter().map(|&(context, card)| context.map(|_| number[&(None, card)])).collect();
        collected.order.sort_unstable();
        let mut voters: Vec<u32> =
            places.iter().map(|place| collected.nameless.get(place).copied().unwrap_or(0)).collect();
        collected.named.iter().for_each(|(_, place)| {
            let voters = &mut voters[number[place] as usize];
            *voters = voters.saturating_add(1);
        });
        let question = |key: &(Place, Place)| {
            let (yes, all) = collected.answers[key];
            Question { from: number[&key.0], to: number[&key.1], yes, all }
        };
        let questions = collected.order.iter().map(question).collect();
        let precision = [settings.spread, settings.context_spread, settings.acquiescence_spread].map(|s| s.powi(-2));
        Self { places, voters, lapse: settings.lapse, questions, everywhere, precision }
    }

    /// How many unknowns there are.
    pub fn len(&self) -> usize {
        self.places.len() + 1
    }

    fn yes(&self, q: &Question, x: &[f64]) -> Yes {
        let eta = x[q.to as usize] - x[q.from as usize] + x[self.places.len()];
        let sigma = 1.0 / (1.0 + (-eta).exp());
        let derivative = (1.0 - self.lapse) * sigma * (1.0 - sigma);
        let p = self.lapse / 2.0 + (1.0 - self.lapse) * sigma;
        Yes { p, derivative, second: derivative * (1.0 - 2.0 * sigma) }
    }

    /// Logarithm of the posterior, up to a constant.
    pub fn log_posterior(&self, x: &[f64]) -> f64 {
        let votes: f64 = self
            .questions
            .iter()
            .map(|q| {
                let Yes { p, .. } = self.yes(q, x);
                q.yes * p.ln() + (q.all - q.yes) * (1.0 - p).ln()
            })
            .sum();
        let mut prior = 0.0;
        self.each_prior(|i, parent, precision| {
            let from = x[i] - parent.map_or(0.0, |p| x[p as usize]);
            prior -= precision * from * from / 2.0;
        });
        votes + prior
    }

    /// How it rises there, and how it bends.
    pub fn slope(&self, x: &[f64]) -> Slope {
        let mut gradient = vec![0.0; self.len()];
        let (mut expected, mut observed) = (Vec::new(), Vec::new());
        let delta = self.places.len();
        for q in &self.questions {
            let Yes { p, derivative, second } = self.yes(q, x);
            let no = q.all - q.yes;
            let pull = q.yes / p - no / (1.0 - p);
            gradient[q.to as usize] += pull * derivative;
            gradient[q.from as usize] -= pull * derivative;
            gradient[delta] += pull * derivative;
            let square = derivative * derivative;
            expected.push(q.all * square / (p * (1.0 - p)));
            observed.push(((q.yes / (p * p) + no / ((1.0 - p) * (1.0 - p))) * square - pull * second).max(0.0));
        }
        self.each_prior(|i, parent, precision| {
            let pull = precision * (x[i] - parent.map_or(0.0, |p| x[p as usize]));
            gradient[i] -= pull;
            if let Some(p) = parent {
                gradient[p as usize] += pull;
            }
        });
        Slope { gradient, expected, observed }
    }

    /// Calls `each` with every unknown, the one it is drawn towards (`None` for 0), and how strongly.
    fn each_prior(&self, mut each: impl FnMut(usize, Option<u32>, f64)) {
        for (i, &parent) in self.everywhere.iter().enumerate() {
            each(i, parent, self.precision[usize::from(parent.is_some())]);
        }
        each(self.places.len(), None, self.precision[2]);
    }

    /// Diagonal of the curvature that such weights of the questions make.
    pub fn diagonal(&self, curvature: &[f64]) -> Vec<f64> {
        let mut diagonal = vec![0.0; self.len()];
        for (q, w) in self.questions.iter().zip(curvature) {
            diagonal[q.to as usize] += w;
            diagonal[q.from as usize] += w;
            diagonal[self.places.len()] += w;
        }
        self.each_prior(|i, parent, precision| {
            diagonal[i] += precision;
            if let Some(p) = parent {
                diagonal[p as usize] += precision;
            }
        });
        diagonal
    }

    /// The curvature times some vectors, side by side.
    fn times<const L: usize>(&self, curvature: &[f64], x: &[[f64; L]], out: &mut [[f64; L]]) {
        out.fill([0.0; L]);
        let delta = self.places.len();
        let acquiescence = x[delta];
        let mut all = [0.0; L];
        for (q, w) in self.questions.iter().zip(curvature) {
            let (from, to) = (q.from as usize, q.to as usize);
            for l in 0..L {
                let force = w * (x[to][l] - x[from][l] + acquiescence[l]);
                out[to][l] += force;
                out[from][l] -= force;
                all[l] += force;
            }
        }
        out[delta] = all;
        self.each_prior(|i, parent, precision| {
            for l in 0..L {
                let force = precision * (x[i][l] - parent.map_or(0.0, |p| x[p as usize][l]));
                out[i][l] += force;
                if let Some(p) = parent {
                    out[p as usize][l] -= force;
                }
            }
        });
    }

    /// Solves for some right-hand sides at once, by conjugate gradients preconditioned with the diagonal, until each
    /// residual is so small a part of its right-hand side.
    pub fn solve<const L: usize>(&self, curvature: &[f64], right: &[[f64; L]], residual_share: f64) -> Vec<[f64; L]> {
        let diagonal = self.diagonal(curvature);
        let mut x = vec![[0.0; L]; self.len()];
        let mut residual = right.to_vec();
        let mut direction: Vec<[f64; L]> = residual.iter().zip(&diagonal).map(|(r, d)| r.map(|r| r / d)).collect();
        let mut energy = weighted(&residual, &diagonal);
        let enough = energy.map(|e| e * residual_share * residual_share);
        let mut image = vec![[0.0; L]; self.len()];
        // In exact arithmetic it ends after as many steps as there are unknowns.
        for _ in 0..self.len() {
            if energy.iter().zip(&enough).all(|(e, enough)| e <= enough) {
                break;
            }
            self.times(curvature, &direction, &mut image);
            let along = dot(&direction, &image);
            let step = ratio(energy, along);
            for ((x, r), (d, i)) in x.iter_mut().zip(&mut residual).zip(direction.iter().zip(&image)) {
                for l in 0..L {
                    x[l] += step[l] * d[l];
                    r[l] -= step[l] * i[l];
                }
            }
            let left = weighted(&residual, &diagonal);
            let keep = ratio(left, energy);
            for ((d, r), diagonal) in direction.iter_mut().zip(&residual).zip(&diagonal) {
                for l in 0..L {
                    d[l] = r[l] / diagonal + keep[l] * d[l];
                }
            }
            energy = left;
        }
        x
    }

    /// Random right-hand sides whose covariance is the curvature, so that what solves them has that of the posterior. Only
    /// second moments are used of them: signs do, and need no normal distribution.
    pub fn perturbations<const L: usize>(&self, curvature: &[f64], rng: &mut ChaCha8Rng) -> Vec<[f64; L]> {
        let mut right = vec![[0.0; L]; self.len()];
        let delta = self.places.len();
        for (q, w) in self.questions.iter().zip(curvature) {
            let signs = signs::<L>(rng, w.sqrt());
            for l in 0..L {
                right[q.to as usize][l] += signs[l];
                right[q.from as usize][l] -= signs[l];
                right[delta][l] += signs[l];
            }
        }
        self.each_prior(|i, parent, precision| {
            let signs = signs::<L>(rng, precision.sqrt());
            for l in 0..L {
                right[i][l] += signs[l];
                if let Some(p) = parent {
                    right[p as usize][l] -= signs[l];
                }
            }
        });
        right
    }
}

/// A stream of random numbers of its own for each batch of perturbations.
pub(super) fn stream(seed: u64, batch: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(batch as u64);
    rng
}

/// What every vote weighs: in a context a voter's votes together no more than a share of the others' there, or one vote where
/// that is more; over all contexts, which anybody can think of more of, no more than that share of the others', or
/// [`ALWAYS`] votes.
fn weights(ballots: &Ballots, cap: f64) -> Vec<f64> {
    let mut within = vec![0_u32; ballots.contexts.len()];
    let mut own: HashMap<(u32, u32), u32> = HashMap::new();
    for row in &ballots.rows {
        within[row.context as usize] += 1;
        *own.entry((row.voter, row.context)).or_default() += 1;
    }
    let in_context = |row: &Ballot| {
        let own = own[&(row.voter, row.context)];
        let others = within[row.context as usize] - own;
        ((cap * f64::from(others)).max(1.0) / f64::from(own)).min(1.0)
    };
    let mut weights: Vec<f64> = ballots.rows.iter().map(in_context).collect();
    let mut total = vec![0.0; ballots.voters.len()];
    ballots.rows.iter().zip(&weights).for_each(|(row, weight)| total[row.voter as usize] += weight);
    let all: f64 = total.iter().sum();
    let share = |own: f64| ((cap * (all - own)).max(ALWAYS) / own).min(1.0);
    weights.iter_mut().zip(&ballots.rows).for_each(|(weight, row)| *weight *= share(total[row.voter as usize]));
    weights
}

/// Votes of one voter that always count. The published process asks each for 3 or 5.
const ALWAYS: f64 = 5.0;

/// Adds the questions that imported sums answer.
fn collect_tallies(tallies: &[Tally], collected: &mut Collected) {
    let pairs: HashSet<(u32, u32)> = tallies.iter().map(|t| (t.from, t.to)).collect();
    for tally in tallies {
        let (Tally { from, to, counts, .. }, context) = (tally, tally.context());
        let known = counts.wiser + counts.not_wiser + counts.unsure;
        let yes = f64::from(counts.wiser) + f64::from(counts.unsure) / 2.0;
        collected.add(context, *from, *to, yes, known.into());
        let others = if pairs.contains(&(*to, *from)) { 0 } else { counts.impressions.saturating_sub(known) };
        for place in Collected::spoken_of(context, [*from, *to]) {
            let nameless = collected.nameless.entry(place).or_default();
            *nameless = nameless.saturating_add(known).saturating_add(others);
        }
        if others > 0 {
            // Of the votes on the reversed pair only the yes are told apart; the others are taken for no.
            collected.add(context, *to, *from, counts.less_wise.into(), others.into());
        }
    }
}

fn dot<const L: usize>(a: &[[f64; L]], b: &[[f64; L]]) -> [f64; L] {
    let mut sum = [0.0; L];
    for (a, b) in a.iter().zip(b) {
        for l in 0..L {
            sum[l] += a[l] * b[l];
        }
    }
    sum
}

/// `sum r^2 / d`.
fn weighted<const L: usize>(residual: &[[f64; L]], diagonal: &[f64]) -> [f64; L] {
    let mut sum = [0.0; L];
    for (r, d) in residual.iter().zip(diagonal) {
        for l in 0..L {
            sum[l] += r[l] * r[l] / d;
        }
    }
    sum
}

/// Element by element; 0 where nothing is left to divide.
fn ratio<const L: usize>(a: [f64; L], b: [f64; L]) -> [f64; L] {
    std::array::from_fn(|l| if b[l] > 0.0 { a[l] / b[l] } else { 0.0 })
}

/// Plus or minus `size`, at even chances.
fn signs<const L: usize>(rng: &mut ChaCha8Rng, size: f64) -> [f64; L] {
    let bits = rng.next_u32();
    std::array::from_fn(|l| if bits >> l & 1 == 1 { size } else { -size })
}
