//! Element-wise kernels, each beside its vector-Jacobian product.
//!
//! Matrices are row-major slices.

use probity_engine::gguf::GgmlType;
use rayon::prelude::*;

pub use probity_engine::numeric::exp;
use probity_engine::numeric::round_activations;
use probity_engine::score::log_sum_exp;

/// Makes a buffer `n` long, whatever it holds.
///
/// It grows to exactly this length and never shrinks, so the plan of a run can compute its size.
pub fn fit(buffer: &mut Vec<f32>, n: usize) {
    if buffer.capacity() < n {
        *buffer = Vec::new();
        buffer.reserve_exact(n);
    }
    buffer.resize(n, 0.0);
}

/// Makes a buffer `n` zeros.
pub fn zeroed(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    buffer.clear();
    fit(buffer, n);
    buffer
}

/// Makes a buffer a copy.
pub fn copy(buffer: &mut Vec<f32>, x: &[f32], threads: usize) {
    fit(buffer, x.len());
    spread(threads, 1, [buffer], [x], &|[buffer], [x]| buffer.copy_from_slice(x));
}

/// Elements of a piece that one thread works on at a time.
const PIECE: usize = 1 << 15;

/// Maps pieces of outputs and inputs of equal length, on several threads.
///
/// Pieces are whole rows of `row` elements. The result must not depend on the cuts.
pub fn spread<const N: usize, const M: usize>(
    threads: usize,
    row: usize,
    outs: [&mut [f32]; N],
    ins: [&[f32]; M],
    work: &(impl Fn([&mut [f32]; N], [&[f32]; M]) + Sync),
) {
    let rows = outs[0].len() / row;
    if rows < 2 || rows * row <= PIECE {
        return work(outs, ins);
    }
    let middle = rows / 2 * row;
    let mut others = Vec::with_capacity(N);
    let outs = outs.map(|out| {
        let (first, second) = out.split_at_mut(middle);
        others.push(second);
        first
    });
    let others = others.try_into().expect("as many as there were");
    let (first, second) = (ins.map(|x| &x[..middle]), ins.map(|x| &x[middle..]));
    if threads > 1 {
        rayon::join(|| spread(threads, row, outs, first, work), || spread(threads, row, others, second, work));
    } else {
        spread(threads, row, outs, first, work);
        spread(threads, row, others, second, work);
    }
}

/// `y = x / rms(x) * w` for each row of width `w.len()`.
pub fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32], threads: usize) {
    spread(threads, w.len(), [y], [x], &|[y], [x]| rms_norm_rows(x, w, eps, y));
}

fn rms_norm_rows(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) {
    let d = w.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let r = inverse_rms(x, eps);
        for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
            *y = x * r * w;
        }
    }
}

/// Adds the gradient of [`rms_norm`] to `dx`, and to `dw` if trained.
pub fn rms_norm_back(
    x: &[f32],
    w: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    dw: Option<&mut [f32]>,
    threads: usize,
) {
    match dw {
        // All rows add to it, in order.
        Some(_) => rms_norm_back_rows(x, w, eps, dy, dx, dw),
        None => spread(threads, w.len(), [dx], [x, dy], &|[dx], [x, dy]| rms_norm_back_rows(x, w, eps, dy, dx, None)),
    }
}

fn rms_norm_back_rows(x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], mut dw: Option<&mut [f32]>) {
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

/// Lanes of a reduction.
///
/// The number is fixed, so the order of additions does not depend on the machine. It is large enough for the compiler
/// to vectorise.
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

/// `act = silu(gate) * up`.
pub fn swiglu(gate: &[f32], up: &[f32], act: &mut [f32], threads: usize) {
    spread(threads, 1, [act], [gate, up], &|[act], [gate, up]| {
        for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
            *a = g / (1.0 + exp(-g)) * u;
        }
    });
}

/// Gradient of [`swiglu`]: `dact` becomes `gate`'s gradient, `dup` `up`'s.
pub fn swiglu_back(gate: &[f32], up: &[f32], dact: &mut [f32], dup: &mut [f32], threads: usize) {
    spread(threads, 1, [dact, dup], [gate, up], &|[dact, dup], [gate, up]| {
        for (((g, u), da), du) in gate.iter().zip(up).zip(dact).zip(dup) {
            let s = 1.0 / (1.0 + exp(-g));
            let silu = g * s;
            *du = *da * silu;
            *da *= u * (s + silu * (1.0 - s));
        }
    });
}

/// `act = gelu(gate) * up`, with the tanh form of GELU (Hendrycks and Gimpel 2016).
pub fn geglu(gate: &[f32], up: &[f32], act: &mut [f32], threads: usize) {
    spread(threads, 1, [act], [gate, up], &|[act], [gate, up]| {
        for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
            *a = gelu(*g) * u;
        }
    });
}

/// [`geglu`] as the engine computes it.
///
/// ggml looks GELU up in a table of F16 values at F16 arguments from -10 to 10.
pub fn geglu_by_table(gate: &[f32], up: &[f32], act: &mut [f32], threads: usize) {
    spread(threads, 1, [act], [gate, up], &|[act], [gate, up]| {
        let mut bytes = Vec::new();
        act.copy_from_slice(gate);
        round_activations(GgmlType::F16, act, &mut bytes);
        act.iter_mut().for_each(|x| *x = gelu(*x));
        round_activations(GgmlType::F16, act, &mut bytes);
        for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
            let looked_up = if g.abs() < 10.0 { *a } else { g.max(0.0) };
            *a = looked_up * u;
        }
    });
}

/// Gradient of [`geglu`]: `dact` becomes `gate`'s gradient, `dup` `up`'s.
pub fn geglu_back(gate: &[f32], up: &[f32], dact: &mut [f32], dup: &mut [f32], threads: usize) {
    spread(threads, 1, [dact, dup], [gate, up], &|[dact, dup], [gate, up]| {
        for (((g, u), da), du) in gate.iter().zip(up).zip(dact).zip(dup) {
            let t = tanh(gelu_inner(*g));
            let slope = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * g * g);
            *du = *da * 0.5 * g * (1.0 + t);
            *da *= u * (0.5 * (1.0 + t) + 0.5 * g * (1.0 - t * t) * slope);
        }
    });
}

/// Rounds a layer's inputs as the engine does for its weights' type.
///
/// A row has `row` elements.
pub fn round(ty: GgmlType, buffer: &mut Vec<f32>, x: &[f32], row: usize, threads: usize) {
    fit(buffer, x.len());
    spread(threads, row, [buffer], [x], &|[buffer], [x]| {
        buffer.copy_from_slice(x);
        round_activations(ty, buffer, &mut Vec::new());
    });
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(gelu_inner(x)))
}

fn gelu_inner(x: f32) -> f32 {
    SQRT_2_OVER_PI * x * (1.0 + GELU_CUBIC * x * x)
}

/// The hyperbolic tangent, branch-free like [`exp`]; absolute error < 2e-7.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// `x = cap tanh(x / cap)`.
pub fn soft_cap(x: &mut [f32], cap: f32) {
    x.iter_mut().for_each(|x| *x = cap * tanh(*x / cap));
}

/// Gradient of [`soft_cap`], given what it returned: `dx *= 1 - (y / cap)^2`.
pub fn soft_cap_back(y: &[f32], cap: f32, dx: &mut [f32]) {
    for (dx, y) in dx.iter_mut().zip(y) {
        let t = y / cap;
        *dx *= 1.0 - t * t;
    }
}

/// Turns a row of logits into log-probabilities in place.
pub fn log_softmax(row: &mut [f32]) {
    let lse = log_sum_exp(row) as f32;
    row.iter_mut().for_each(|x| *x -= lse);
}

/// `a += b`, on all threads where there are several.
pub fn add_all(a: &mut [f32], b: &[f32], threads: usize) {
    spread(threads, 1, [a], [b], &|[a], [b]| add(a, b));
}

/// Calls `work` with every row and its number, on several threads.
pub fn each_row(x: &mut [f32], width: usize, threads: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if threads > 1 {
        let least = (PIECE / width).max(1);
        x.par_chunks_exact_mut(width).with_min_len(least).enumerate().for_each(|(i, row)| work(i, row));
    } else {
        x.chunks_exact_mut(width).enumerate().for_each(|(i, row)| work(i, row));
    }
}

/// `a += b`.
pub fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}
