//! Random initial weights.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::decoder::Decoder;

/// Random normal weights; residual outputs are scaled down by the depth.
#[must_use]
pub fn init(decoder: &Decoder, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut theta = vec![1.0; decoder.n_params()];
    let depth = (2.0 * decoder.shape().n_layer as f32).sqrt();
    for (name, dims, range) in decoder.base_tensors() {
        let range = range.clone();
        if dims.len() == 1 {
            if name.ends_with(".bias") {
                theta[range].fill(0.0);
            }
            continue;
        }
        let fan_in = (dims[0] as f32).sqrt();
        let std = if name == "token_embd.weight" {
            0.04
        } else if name.contains("attn_output") || name.contains("ffn_down") {
            0.8 / (fan_in * depth)
        } else {
            0.8 / fan_in
        };
        theta[range.clone()].iter_mut().for_each(|w| *w = normal(&mut rng) * std);
        if name == "token_embd.weight" {
            // With a direction that all tokens share, heads attend by position alone from the first step on. Without it
            // previous-token heads, and with them copying, took more than ten times as long to appear.
            let shared: Vec<f32> = (0..dims[0]).map(|_| normal(&mut rng) * std).collect();
            for row in theta[range].chunks_exact_mut(shared.len()) {
                super::decoder::kernels::add(row, &shared);
            }
        }
    }
    theta
}

/// A standard normal draw (Box and Muller 1958).
pub fn normal(rng: &mut impl Rng) -> f32 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}
