//! A linear layer: a stored or trained weight, optionally a LoRA pair.

use std::ops::Range;
use std::sync::Arc;

use probity_engine::gguf::GgmlType;
use probity_engine::numeric::{Matrix, MatrixMut, Panels, decode, product, product_in_bfloat};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::kernels::{add, each_row, fit, round};

/// Where a tensor's values live.
#[derive(Debug, Clone)]
pub enum Weight {
    /// As in the file, decoded each time it is used; never changes.
    Stored(GgmlType, Arc<[u8]>),
    /// A range of the parameter vector, and of the gradient vector.
    Trained(Range<usize>),
}

/// What products with stored matrices are computed in.
///
/// It is part of the result. Sums are in f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    /// Operands of f32.
    #[default]
    F32,
    /// Operands rounded to bfloat16.
    ///
    /// Faster on a processor with AVX512_BF16. On others it rounds alike, and takes a little longer than f32.
    Bf16,
}

impl Compute {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Elements of a stored matrix that are decoded at a time: 32 MiB of floats.
///
/// The head of a large vocabulary is never in memory as a whole.
const BAND: usize = 1 << 23;
/// Elements decoded by one thread at a time: whole blocks of every type.
const CHUNK: usize = 1 << 16;

impl Weight {
    /// The values of a vector, decoded into `scratch` where they are stored encoded.
    pub fn read<'a>(&self, n: usize, theta: &'a [f32], scratch: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::Trained(range) => &theta[range.clone()],
            Self::Stored(ty, bytes) => {
                fit(scratch, n);
                decode(*ty, bytes, scratch);
                scratch
            }
        }
    }

    /// Bytes that `n` values of it take in memory by themselves.
    pub fn stored_bytes(&self, n: usize) -> usize {
        match self {
            Self::Trained(_) => 0,
            Self::Stored(ty, _) => ty.bytes(n as u64) as usize,
        }
    }

    /// Visits a matrix of `n_out` rows of `n_in`, in bands if it is encoded.
    fn bands(&self, pass: &mut Pass<'_>, [n_out, n_in]: [usize; 2], mut take: impl FnMut(Range<usize>, Matrix<'_>)) {
        let (ty, bytes) = match self {
            Self::Trained(range) => return take(0..n_out, Matrix::new(&pass.theta[range.clone()], n_out, n_in)),
            Self::Stored(ty, bytes) => (*ty, bytes),
        };
        let row = ty.bytes(n_in as u64) as usize;
        let step = (BAND / n_in).max(1);
        for first in (0..n_out).step_by(step) {
            let rows = first..(first + step).min(n_out);
            fit(pass.scratch, rows.len() * n_in);
            let bytes = &bytes[rows.start * row..rows.end * row];
            if pass.threads > 1 {
                let chunks = bytes.par_chunks(ty.bytes(CHUNK as u64) as usize);
                pass.scratch.par_chunks_mut(CHUNK).zip(chunks).for_each(|(values, bytes)| decode(ty, bytes, values));
            } else {
                decode(ty, bytes, pass.scratch);
            }
            take(rows.clone(), Matrix::new(pass.scratch, rows.len(), n_in));
        }
    }
}

/// A low-rank update `scale * B A` of a linear layer.
#[derive(Debug, Clone)]
pub struct Lora {
    /// `A`, `[rank, n_in]`, in the parameter vector.
    pub a: Range<usize>,
    /// `B`, `[n_out, rank]`, in the parameter vector.
    pub b: Range<usize>,
    /// Rank.
    pub rank: usize,
    /// `alpha / rank`.
    pub scale: f32,
}

/// `y = x W^T (+ scale (x A^T) B^T) (+ bias)`.
///
/// `W` is `[n_out, n_in]`, row-major as in a GGUF file.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Input width.
    pub n_in: usize,
    /// Output width.
    pub n_out: usize,
    /// The matrix.
    pub weight: Weight,
    /// What is added to every row of the result.
    pub bias: Option<Weight>,
    /// The adapter, where one is being trained.
    pub lora: Option<Lora>,
}

/// What a gradient is written onto.
pub enum Onto<'a> {
    /// Whatever the buffer holds is written over.
    Whatever(&'a mut [f32]),
    /// The buffer holds a part of it already: it is added to.
    Sum(&'a mut [f32]),
}

/// What every kernel call needs besides its data.
pub struct Pass<'a> {
    /// All trained parameters.
    pub theta: &'a [f32],
    /// Room for a band of a decoded matrix.
    pub scratch: &'a mut Vec<f32>,
    /// Room for the rounded input of a layer.
    pub rounded: &'a mut Vec<f32>,
    /// Room for the operands of products in bfloat16.
    pub panels: &'a mut Panels,
    /// Whether to round the inputs of stored layers as the engine does.
    pub as_engine: bool,
    /// What products with stored matrices are computed in.
    pub compute: Compute,
    /// Threads inside one matrix product.
    pub threads: usize,
}

impl Pass<'_> {
    /// The room for products with a weight in bfloat16; `None` where they are in f32.
    fn panels_for(&mut self, weight: &Weight) -> Option<Panels> {
        let rounds = self.compute == Compute::Bf16 && matches!(weight, Weight::Stored(..));
        rounds.then(|| std::mem::take(self.panels))
    }

    fn keep(&mut self, panels: Option<Panels>) {
        if let Some(panels) = panels {
            *self.panels = panels;
        }
    }
}

/// `y = x w`, or `y += x w` with `add`; in bfloat16 with panels.
fn times(y: MatrixMut<'_>, x: Matrix<'_>, w: Matrix<'_>, panels: Option<&mut Panels>, add: bool, threads: usize) {
    match panels {
        Some(panels) => {
            panels.take(w, threads);
            product_in_bfloat(y, x, panels, add, threads);
        }
        None => product(y, x, w, 1.0, add, threads),
    }
}

/// The larger of each.
pub fn larger([a, b]: [usize; 2], [c, d]: [usize; 2]) -> [usize; 2] {
    [a.max(c), b.max(d)]
}

impl Linear {
    /// Bytes of the panels that it needs in bfloat16.
    ///
    /// They are those of its weights, and of so many rows.
    pub fn panel_bytes(&self, rows: usize) -> [usize; 2] {
        match self.weight {
            Weight::Trained(_) => [0, 0],
            Weight::Stored(..) => {
                let band = (BAND / self.n_in).clamp(1, self.n_out);
                larger(Panels::bytes(rows, self.n_in, band), Panels::bytes(rows, band, self.n_in))
            }
        }
    }

    /// Floats of the largest band it is decoded in.
    pub fn band_floats(&self) -> usize {
        match self.weight {
            Weight::Trained(_) => 0,
            Weight::Stored(..) => (BAND / self.n_in).clamp(1, self.n_out) * self.n_in,
        }
    }

    /// Forward for `n` rows; `h` keeps `x A^T` for the way back.
    pub fn forward(&self, pass: &mut Pass<'_>, x: &[f32], n: usize, y: &mut Vec<f32>, h: &mut Vec<f32>) {
        fit(y, n * self.n_out);
        let threads = pass.threads;
        let mut rounded = std::mem::take(pass.rounded);
        let seen = match &self.weight {
            // The engine rounds a layer's input to suit the weight's type; the gradient ignores the rounding.
            Weight::Stored(ty, _) if pass.as_engine && *ty != GgmlType::F32 => {
                round(*ty, &mut rounded, x, self.n_in, threads);
                &rounded
            }
            _ => x,
        };
        let mut panels = pass.panels_for(&self.weight);
        self.weight.bands(pass, [self.n_out, self.n_in], |rows, w| {
            let y = MatrixMut::strided(&mut y[rows.start..], n, rows.len(), self.n_out);
            times(y, Matrix::new(seen, n, self.n_in), w.t(), panels.as_mut(), false, threads);
        });
        pass.keep(panels);
        *pass.rounded = rounded;
        let x = Matrix::new(x, n, self.n_in);
        if let Some(lora) = &self.lora {
            fit(h, n * lora.rank);
            let a = Matrix::new(&pass.theta[lora.a.clone()], lora.rank, self.n_in);
            let b = Matrix::new(&pass.theta[lora.b.clone()], self.n_out, lora.rank);
            product(MatrixMut::new(h, n, lora.rank), x, a.t(), 1.0, false, threads);
            product(MatrixMut::new(y, n, self.n_out), Matrix::new(h, n, lora.rank), b.t(), lora.scale, true, threads);
        }
        if let Some(bias) = &self.bias {
            let bias = bias.read(self.n_out, pass.theta, pass.scratch);
            each_row(y, self.n_out, threads, |_, y| add(y, bias));
        }
    }

    /// Backward: adds parameters' gradients to `grads`, returns the input's.
    ///
    /// The input's gradient goes to `dx`.
    #[expect(
        clippy::too_many_arguments,
        reason = "one row of the chain rule: input, saved value, gradients in and out"
    )]
    pub fn backward(
        &self,
        pass: &mut Pass<'_>,
        x: &[f32],
        h: &[f32],
        n: usize,
        dy: &[f32],
        dx: Onto<'_>,
        grads: &mut [f32],
        dh: &mut Vec<f32>,
    ) {
        let threads = pass.threads;
        if let Some(Weight::Trained(range)) = &self.bias {
            dy.chunks_exact(self.n_out).for_each(|dy| add(&mut grads[range.clone()], dy));
        }
        let x = Matrix::new(x, n, self.n_in);
        let upstream = dy;
        let dy = Matrix::new(dy, n, self.n_out);
        if let Weight::Trained(range) = &self.weight {
            product(MatrixMut::new(&mut grads[range.clone()], self.n_out, self.n_in), dy.t(), x, 1.0, true, threads);
        }
        if let Some(lora) = &self.lora {
            let h = Matrix::new(h, n, lora.rank);
            let db = MatrixMut::new(&mut grads[lora.b.clone()], self.n_out, lora.rank);
            product(db, dy.t(), h, lora.scale, true, threads);
            fit(dh, n * lora.rank);
            let b = Matrix::new(&pass.theta[lora.b.clone()], self.n_out, lora.rank);
            product(MatrixMut::new(dh, n, lora.rank), dy, b, lora.scale, false, threads);
            let da = MatrixMut::new(&mut grads[lora.a.clone()], lora.rank, self.n_in);
            product(da, Matrix::new(dh, n, lora.rank).t(), x, 1.0, true, threads);
        }
        let (dx, there) = match dx {
            Onto::Whatever(dx) => (dx, false),
            Onto::Sum(dx) => (dx, true),
        };
        let mut panels = pass.panels_for(&self.weight);
        self.weight.bands(pass, [self.n_out, self.n_in], |rows, w| {
            let dy = Matrix::strided(&upstream[rows.start..], n, rows.len(), self.n_out);
            times(MatrixMut::new(dx, n, self.n_in), dy, w, panels.as_mut(), there || rows.start > 0, threads);
        });
        pass.keep(panels);
        if let Some(lora) = &self.lora {
            let a = Matrix::new(&pass.theta[lora.a.clone()], lora.rank, self.n_in);
            product(MatrixMut::new(dx, n, self.n_in), Matrix::new(dh, n, lora.rank), a, 1.0, true, threads);
        }
    }
}
