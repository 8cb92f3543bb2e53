//! Rotary positions (Su et al. 2021) as llama.cpp applies them.

use probity_engine::preflight::{Architecture, Rotation};

use super::kernels::each_row;

/// How a rotary embedding pairs the elements of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// Neighbours (2i, 2i + 1): llama.cpp's NORM, for `llama`.
    Interleaved,
    /// Halves (i, i + n/2): llama.cpp's NEOX, for Qwen and Gemma.
    Halves,
}

/// Cosines and sines of a rotary embedding: `head_dim / 2` pairs a position.
#[derive(Debug, Clone)]
pub struct Rope {
    pairs: Pairs,
    half: usize,
    table: Vec<(f32, f32)>,
}

impl Rope {
    /// Tables for positions `0..positions`.
    ///
    /// `factors` divide the frequencies (Llama 3.x); empty for none.
    #[must_use]
    pub fn new(
        architecture: Architecture,
        head_dim: usize,
        rotation: Rotation,
        factors: &[f32],
        positions: usize,
    ) -> Self {
        let half = head_dim / 2;
        let (base, scale) = (f64::from(rotation.base), f64::from(rotation.scale));
        let factor = |i: usize| factors.get(i).map_or(1.0, |&f| f64::from(f));
        let table = (0..positions)
            .flat_map(|p| {
                (0..half).map(move |i| {
                    let angle = p as f64 * scale * base.powf(-(i as f64) / half as f64) / factor(i);
                    (angle.cos() as f32, angle.sin() as f32)
                })
            })
            .collect();
        let pairs = if architecture.pairs_neighbours { Pairs::Interleaved } else { Pairs::Halves };
        Self { pairs, half, table }
    }

    /// Rotates every head of every row by its position, forward or back.
    pub fn rotate(
        &self,
        x: &mut [f32],
        width: usize,
        position: impl Fn(usize) -> usize + Sync,
        forward: bool,
        threads: usize,
    ) {
        let sign = if forward { 1.0 } else { -1.0 };
        each_row(x, width, threads, |i, row| {
            let table = &self.table[position(i) * self.half..][..self.half];
            for head in row.chunks_exact_mut(2 * self.half) {
                for (i, &(cos, sin)) in table.iter().enumerate() {
                    let (a, b) = match self.pairs {
                        Pairs::Interleaved => (2 * i, 2 * i + 1),
                        Pairs::Halves => (i, i + self.half),
                    };
                    let (u, v) = (head[a], head[b]);
                    head[a] = u * cos - v * sin * sign;
                    head[b] = v * cos + u * sin * sign;
                }
            }
        });
    }
}
