//! Adam with decoupled weight decay.
//!
//! Kingma and Ba 2015; Loshchilov and Hutter 2019.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Optimiser state for one flat parameter vector.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Decoupled weight decay per unit of learning rate.
    pub decay: f32,
    /// Steps taken, whoever took them.
    pub step: u64,
    /// First moments; of parameters that Muon steps, its momentum.
    pub m: Vec<f32>,
    /// Second moments.
    pub v: Vec<f32>,
}

const EPS: f32 = 1e-8;

impl Adam {
    /// Fresh state for `n` parameters.
    #[must_use]
    pub fn new(n: usize, beta2: f32, decay: f32) -> Self {
        Self { beta1: 0.9, beta2, decay, step: 0, m: vec![0.0; n], v: vec![0.0; n] }
    }

    /// Takes one step down the gradient.
    pub fn step(&mut self, theta: &mut [f32], grads: &[f32], rate: f32) {
        let all = 0..theta.len();
        self.step_within(theta, grads, rate, std::iter::once(all));
    }

    /// The same, of some parameters only.
    pub fn step_within(
        &mut self,
        theta: &mut [f32],
        grads: &[f32],
        rate: f32,
        ranges: impl Iterator<Item = Range<usize>>,
    ) {
        self.step += 1;
        let t = self.step as i32;
        let (b1, b2) = (self.beta1, self.beta2);
        let correction1 = 1.0 / (1.0 - b1.powi(t));
        let correction2 = 1.0 / (1.0 - b2.powi(t));
        let shrink = 1.0 - rate * self.decay;
        for range in ranges {
            let moments = self.m[range.clone()].iter_mut().zip(&mut self.v[range.clone()]);
            for ((w, g), (m, v)) in theta[range.clone()].iter_mut().zip(&grads[range]).zip(moments) {
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                *w = *w * shrink - rate * (*m * correction1) / ((*v * correction2).sqrt() + EPS);
            }
        }
    }
}

/// Scales a gradient down to a norm of at most `most`; returns the norm it had.
pub fn clip(grads: &mut [f32], most: f32) -> f32 {
    let norm = grads.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
    if norm > most {
        let scale = most / norm;
        grads.iter_mut().for_each(|g| *g *= scale);
    }
    norm
}
