//! Floor 2: vectors of texts.
//!
//! Called by the searches for similar cards and contexts.
//!
//! `OnnxEmbedder` (feature `onnx`) runs a folder of sentence-transformers on an ONNX Runtime that the application
//! brings. Any GGUF model of the engine is an embedder, too ([`LlamaEmbedder`]); a model without training for it is
//! less accurate.

mod llama;
#[cfg(feature = "onnx")]
mod onnx;
mod remembered;
#[cfg(feature = "onnx")]
mod runtime;

pub use llama::LlamaEmbedder;
#[cfg(feature = "onnx")]
pub use onnx::OnnxEmbedder;
pub use remembered::Remembered;

use crate::Result;

/// Turns texts into vectors of length 1; near vectors have near meanings.
pub trait Embedder {
    /// A vector for every text, in their order; what is too long is cut off at its end.
    ///
    /// # Errors
    /// [`crate::Error::Embedder`] where the runtime fails.
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;

    /// Identity of the embedder; a threshold belongs to one embedder.
    fn fingerprint(&self) -> &str;
}

/// The cosine of the angle between two vectors of length 1.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Scales a vector to length 1; one without a direction stays.
pub(crate) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}
