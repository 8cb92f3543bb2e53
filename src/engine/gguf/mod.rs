//! GGUF files: read and checked in Rust before C++ sees a byte, and written whole.
//!
//! llama.cpp checks much and aborts the process on some of what it does not check; a
//! file that passed [`Gguf::read`] and the preflight next door has no known way to do that.

mod read;
mod types;
mod write;

pub use read::{Gguf, Tensor, Value};
pub use types::GgmlType;
pub use write::GgufWriter;

/// Alignment of the tensor data in files we write, and the format's default.
pub(crate) const ALIGNMENT: u64 = 32;
