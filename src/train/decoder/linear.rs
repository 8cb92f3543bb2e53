//! A linear layer: a weight that is stored as it lies in the file or trained in full, and optionally a LoRA pair.

use std::ops::Range;
use std::sync::Arc;

use super::kernels::add;
use crate::engine::gguf::GgmlType;
use crate::engine::numeric::{Matrix, MatrixMut, decode, product, round_activations};

/// Where a tensor's values live.
#[derive(Debug, Clone)]
pub enum Weight {
    /// As in the file, decoded each time it is used; never changes.
    Stored(GgmlType, Arc<[u8]>),
    /// A range of the parameter vector, with its gradient in the same range of the gradient vector.
    Trained(Range<usize>),
}

impl Weight {
    /// The values, decoded into `scratch` where they are stored encoded.
    pub fn read<'a>(&self, n: usize, theta: &'a [f32], scratch: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::Trained(range) => &theta[range.clone()],
            Self::Stored(ty, bytes) => {
                scratch.resize(n, 0.0);
                decode(*ty, bytes, scratch);
                scratch
            }
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

/// `y = x W^T (+ scale (x A^T) B^T) (+ bias)`, `W` being `[n_out, n_in]` row-major as in a GGUF file.
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

/// What every kernel call needs besides its data.
pub struct Pass<'a> {
    /// All trained parameters.
    pub theta: &'a [f32],
    /// Room for one decoded matrix.
    pub scratch: &'a mut Vec<f32>,
    /// Room for the rounded input of a layer.
    pub rounded: &'a mut Rounded,
    /// Whether to compute what the engine computes, which rounds the inputs of stored layers, or what it stands for.
    pub as_engine: bool,
    /// Threads inside one matrix product.
    pub threads: usize,
}

/// Buffers for inputs as the engine sees them.
#[derive(Debug, Default)]
pub struct Rounded {
    values: Vec<f32>,
    bytes: Vec<u8>,
}

impl Linear {
    /// Forward for `n` rows; `h` keeps `x A^T` for the way back.
    pub fn forward(&self, pass: &mut Pass<'_>, x: &[f32], n: usize, y: &mut Vec<f32>, h: &mut Vec<f32>) {
        y.resize(n * self.n_out, 0.0);
        let threads = pass.threads;
        let w = Matrix::new(self.weight.read(self.n_in * self.n_out, pass.theta, pass.scratch), self.n_out, self.n_in);
        let seen = match &self.weight {
            // The engine rounds a layer's input to suit the weight's type; the gradient passes straight through.
            Weight::Stored(ty, _) if pass.as_engine && *ty != GgmlType::F32 => {
                pass.rounded.values.clear();
                pass.rounded.values.extend_from_slice(x);
                round_activations(*ty, &mut pass.rounded.values, &mut pass.rounded.bytes);
                &pass.rounded.values
            }
            _ => x,
        };
        product(MatrixMut::new(y, n, self.n_out), Matrix::new(seen, n, self.n_in), w.t(), 1.0, false, threads);
        let x = Matrix::new(x, n, self.n_in);
        if let Some(lora) = &self.lora {
            h.resize(n * lora.rank, 0.0);
            let a = Matrix::new(&pass.theta[lora.a.clone()], lora.rank, self.n_in);
            let b = Matrix::new(&pass.theta[lora.b.clone()], self.n_out, lora.rank);
            product(MatrixMut::new(h, n, lora.rank), x, a.t(), 1.0, false, threads);
            product(MatrixMut::new(y, n, self.n_out), Matrix::new(h, n, lora.rank), b.t(), lora.scale, true, threads);
        }
        if let Some(bias) = &self.bias {
            let bias = bias.read(self.n_out, pass.theta, pass.scratch);
            y.chunks_exact_mut(self.n_out).for_each(|y| add(y, bias));
        }
    }

    /// Backward: adds the parameters' gradients to `grads` and, where wanted, the input's to `dx`.
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
        dx: Option<&mut [f32]>,
        grads: &mut [f32],
        dh: &mut Vec<f32>,
    ) {
        let threads = pass.threads;
        if let Some(Weight::Trained(range)) = &self.bias {
            dy.chunks_exact(self.n_out).for_each(|dy| add(&mut grads[range.clone()], dy));
        }
        let x = Matrix::new(x, n, self.n_in);
        let dy = Matrix::new(dy, n, self.n_out);
        if let Weight::Trained(range) = &self.weight {
            product(MatrixMut::new(&mut grads[range.clone()], self.n_out, self.n_in), dy.t(), x, 1.0, true, threads);
        }
        if let Some(lora) = &self.lora {
            let h = Matrix::new(h, n, lora.rank);
            let db = MatrixMut::new(&mut grads[lora.b.clone()], self.n_out, lora.rank);
            product(db, dy.t(), h, lora.scale, true, threads);
            dh.resize(n * lora.rank, 0.0);
            let b = Matrix::new(&pass.theta[lora.b.clone()], self.n_out, lora.rank);
            product(MatrixMut::new(dh, n, lora.rank), dy, b, lora.scale, false, threads);
            let da = MatrixMut::new(&mut grads[lora.a.clone()], lora.rank, self.n_in);
            product(da, Matrix::new(dh, n, lora.rank).t(), x, 1.0, true, threads);
        }
        if let Some(dx) = dx {
            let w = self.weight.read(self.n_in * self.n_out, pass.theta, pass.scratch);
            product(MatrixMut::new(dx, n, self.n_in), dy, Matrix::new(w, self.n_out, self.n_in), 1.0, true, threads);
            if let Some(lora) = &self.lora {
                let a = Matrix::new(&pass.theta[lora.a.clone()], lora.rank, self.n_in);
                product(MatrixMut::new(dx, n, self.n_in), Matrix::new(dh, n, lora.rank), a, 1.0, true, threads);
            }
        }
    }
}
