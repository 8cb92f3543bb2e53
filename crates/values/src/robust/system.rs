//! The linear systems of a fit, solved by conjugate gradients.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::problem::Problem;

/// A curvature: the questions' weighted Laplacian plus the priors.
///
/// It is solved by conjugate gradients. The preconditioner knows two things beyond the diagonal: a card's scores in its
/// contexts depend on its score everywhere (each card is solved as a star), and the priors alone hold the level of all
/// scores.
pub(super) struct System<'a> {
    problem: &'a Problem,
    /// The weight of every question.
    weights: Vec<f64>,
    /// The curvature's diagonal.
    pub diagonal: Vec<f64>,
    /// The diagonal after elimination of the scores by context.
    ///
    /// For scores over all it is the Schur complement's diagonal; for the others, and the acquiescence, the plain
    /// diagonal.
    star: Vec<f64>,
    /// What the priors hold the level of all scores with.
    level: f64,
}

impl<'a> System<'a> {
    /// The curvature that such weights of the questions make.
    pub fn new(problem: &'a Problem, weights: Vec<f64>) -> Self {
        let mut diagonal = vec![0.0; problem.len()];
        for (q, w) in problem.questions.asked.iter().zip(&weights) {
            diagonal[q.to as usize] += w;
            diagonal[q.from as usize] += w;
            if !q.chosen {
                diagonal[problem.scores()] += w;
            }
        }
        problem.each_prior(|i, parent, precision| {
            diagonal[i] += precision;
            if let Some(p) = parent {
                diagonal[p as usize] += precision;
            }
        });
        let mut star = diagonal.clone();
        let mut level = 0.0;
        for (i, parent) in problem.questions.everywhere.iter().enumerate() {
            match parent {
                Some(p) => star[*p as usize] -= problem.precision[1].powi(2) / diagonal[i],
                None => level += problem.precision[0],
            }
        }
        Self { problem, weights, diagonal, star, level }
    }

    /// The curvature times some vectors, side by side.
    fn times<const L: usize>(&self, x: &[[f64; L]], out: &mut [[f64; L]]) {
        out.fill([0.0; L]);
        let delta = self.problem.scores();
        let acquiescence = x[delta];
        let mut all = [0.0; L];
        for (q, w) in self.problem.questions.asked.iter().zip(&self.weights) {
            let (from, to) = (q.from as usize, q.to as usize);
            // Whether the acquiescence takes part.
            let part = if q.chosen { 0.0 } else { 1.0 };
            for l in 0..L {
                let force = w * (x[to][l] - x[from][l] + part * acquiescence[l]);
                out[to][l] += force;
                out[from][l] -= force;
                all[l] += part * force;
            }
        }
        out[delta] = all;
        self.problem.each_prior(|i, parent, precision| {
            for l in 0..L {
                let force = precision * (x[i][l] - parent.map_or(0.0, |p| x[p as usize][l]));
                out[i][l] += force;
                if let Some(p) = parent {
                    out[p as usize][l] -= force;
                }
            }
        });
    }

    /// What the preconditioner makes of residuals.
    fn precondition<const L: usize>(&self, residual: &[[f64; L]], out: &mut [[f64; L]]) {
        let everywhere = &self.problem.questions.everywhere;
        let hold = self.problem.precision[1];
        out.copy_from_slice(residual);
        let mut level = [0.0; L];
        for (i, parent) in everywhere.iter().enumerate() {
            for l in 0..L {
                level[l] += residual[i][l];
                if let Some(p) = parent {
                    out[*p as usize][l] += hold / self.diagonal[i] * residual[i][l];
                }
            }
        }
        out.iter_mut().zip(&self.star).for_each(|(out, star)| out.iter_mut().for_each(|x| *x /= star));
        for (i, parent) in everywhere.iter().enumerate() {
            if let Some(p) = parent {
                let above = out[*p as usize];
                for l in 0..L {
                    out[i][l] += hold / self.diagonal[i] * above[l];
                }
            }
        }
        let level = level.map(|sum| if self.level > 0.0 { sum / self.level } else { 0.0 });
        for out in &mut out[..everywhere.len()] {
            for l in 0..L {
                out[l] += level[l];
            }
        }
    }

    /// Solves several right-hand sides at once, to a relative residual.
    pub fn solve<const L: usize>(&self, right: &[[f64; L]], residual_share: f64) -> Vec<[f64; L]> {
        let mut x = vec![[0.0; L]; right.len()];
        let mut residual = right.to_vec();
        let mut towards = vec![[0.0; L]; right.len()];
        self.precondition(&residual, &mut towards);
        let mut direction = towards.clone();
        let mut energy = dot(&residual, &towards);
        let enough = energy.map(|e| e * residual_share * residual_share);
        let mut image = vec![[0.0; L]; right.len()];
        // In exact arithmetic it ends after as many steps as there are unknowns.
        for _ in 0..right.len() {
            if energy.iter().zip(&enough).all(|(e, enough)| e <= enough) {
                break;
            }
            self.times(&direction, &mut image);
            let step = ratio(energy, dot(&direction, &image));
            for ((x, r), (d, i)) in x.iter_mut().zip(&mut residual).zip(direction.iter().zip(&image)) {
                for l in 0..L {
                    x[l] += step[l] * d[l];
                    r[l] -= step[l] * i[l];
                }
            }
            self.precondition(&residual, &mut towards);
            let left = dot(&residual, &towards);
            let keep = ratio(left, energy);
            for (d, t) in direction.iter_mut().zip(&towards) {
                for l in 0..L {
                    d[l] = t[l] + keep[l] * d[l];
                }
            }
            energy = left;
        }
        x
    }

    /// Random right-hand sides whose covariance is the curvature.
    ///
    /// Their solutions have the posterior's covariance. Only second moments are used, so random signs suffice.
    pub fn perturbations<const L: usize>(&self, rng: &mut ChaCha8Rng) -> Vec<[f64; L]> {
        let delta = self.problem.scores();
        let mut right = vec![[0.0; L]; delta + 1];
        for (q, w) in self.problem.questions.asked.iter().zip(&self.weights) {
            let signs = signs::<L>(rng, w.sqrt());
            for l in 0..L {
                right[q.to as usize][l] += signs[l];
                right[q.from as usize][l] -= signs[l];
                if !q.chosen {
                    right[delta][l] += signs[l];
                }
            }
        }
        self.problem.each_prior(|i, parent, precision| {
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

fn dot<const L: usize>(a: &[[f64; L]], b: &[[f64; L]]) -> [f64; L] {
    let mut sum = [0.0; L];
    for (a, b) in a.iter().zip(b) {
        for l in 0..L {
            sum[l] += a[l] * b[l];
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
