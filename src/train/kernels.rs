//! Element-wise kernels, each beside its vector-Jacobian product. Matrices are row-major slices.

pub use crate::engine::numeric::exp;
use crate::engine::score::log_sum_exp;

/// `y = x / rms(x) * w` for each row of width `w.len()`.
pub fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) {
    let d = w.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let r = inverse_rms(x, eps);
        for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
            *y = x * r * w;
        }
    }
}

/// Adds the gradient of [`rms_norm`] to `dx`, and to `dw` where the weight is trained.
pub fn rms_norm_back(x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], mut dw: Option<&mut [f32]>) {
    let d = w.len();
    let mut scaled = vec![0.0; d];
    for ((x, dy), dx) in x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dx.chunks_exact_mut(d)) {
        let r = inverse_rms(x, eps);
        scaled.iter_mut().zip(dy).zip(w).for_each(|((s, dy), w)| *s = dy * w);
        let along = dot(&scaled, x) * r * r * r / d as f32;
        for ((dx, s), x) in dx.iter_mut().zip(&scaled).zip(x) {
            *dx += s * r - x * along;
        }
        if let Some(dw) = dw.as_deref_mut() {
            for ((dw, dy), x) in dw.iter_mut().zip(dy).zip(x) {
                *dw += dy * x * r;
            }
        }
    }
}

fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let mean = dot(x, x) / x.len() as f32;
    1.0 / (mean + eps).sqrt()
}

/// Lanes of a reduction: fixed, so that the order of additions never depends on the machine, and wide enough that the
/// compiler vectorises.
const LANES: usize = 16;

/// `sum a[i] b[i]`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (xs, ys) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        for ((l, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *l += x * y;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `sum a[i]`.
pub fn sum(a: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (l, x) in lanes.iter_mut().zip(chunk) {
            *l += x;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The largest element; NaN is not looked for.
pub fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (l, &x) in lanes.iter_mut().zip(chunk) {
            *l = if x > *l { x } else { *l };
        }
    }
    lanes.iter().copied().fold(rest, f32::max)
}

/// How a rotary embedding pairs the elements of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopePairs {
    /// Neighbours (2i, 2i + 1): llama.cpp's NORM, for `llama`.
    Interleaved,
    /// Halves (i, i + n/2): llama.cpp's NEOX, for Qwen and Gemma.
    Halves,
}

/// Cosines and sines of a rotary embedding, one row of `head_dim / 2` pairs a position.
#[derive(Debug, Clone)]
pub struct Rope {
    pairs: RopePairs,
    half: usize,
    table: Vec<(f32, f32)>,
}

impl Rope {
    /// Tables for positions `0..positions`.
    #[must_use]
    pub fn new(pairs: RopePairs, head_dim: usize, base: f32, positions: usize) -> Self {
        let half = head_dim / 2;
        let table = (0..positions)
            .flat_map(|p| {
                (0..half).map(move |i| {
                    let angle = p as f64 * f64::from(base).powf(-(i as f64) / half as f64);
                    (angle.cos() as f32, angle.sin() as f32)
                })
            })
            .collect();
        Self { pairs, half, table }
    }

    /// Rotates every head of every row by its position's angles, `forward`, or back.
    pub fn rotate(&self, x: &mut [f32], width: usize, positions: impl Iterator<Item = usize>, forward: bool) {
        let sign = if forward { 1.0 } else { -1.0 };
        for (row, p) in x.chunks_exact_mut(width).zip(positions) {
            let table = &self.table[p * self.half..(p + 1) * self.half];
            for head in row.chunks_exact_mut(2 * self.half) {
                for (i, &(cos, sin)) in table.iter().enumerate() {
                    let (a, b) = match self.pairs {
                        RopePairs::Interleaved => (2 * i, 2 * i + 1),
                        RopePairs::Halves => (i, i + self.half),
                    };
                    let (u, v) = (head[a], head[b]);
                    head[a] = u * cos - v * sin * sign;
                    head[b] = v * cos + u * sin * sign;
                }
            }
        }
    }
}

/// `act = silu(gate) * up`.
pub fn swiglu(gate: &[f32], up: &[f32], act: &mut [f32]) {
    for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
        *a = g / (1.0 + exp(-g)) * u;
    }
}

/// Gradient of [`swiglu`]: `dact` becomes the gradient of `gate`, `dup` that of `up`.
pub fn swiglu_back(gate: &[f32], up: &[f32], dact: &mut [f32], dup: &mut [f32]) {
    for (((g, u), da), du) in gate.iter().zip(up).zip(dact.iter_mut()).zip(dup.iter_mut()) {
        let s = 1.0 / (1.0 + exp(-g));
        let silu = g * s;
        *du = *da * silu;
        *da *= u * (s + silu * (1.0 - s));
    }
}

/// Turns a row of logits into log-probabilities in place.
pub fn log_softmax(row: &mut [f32]) {
    let lse = log_sum_exp(row) as f32;
    row.iter_mut().for_each(|x| *x -= lse);
}

/// `a += b`.
pub fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}
