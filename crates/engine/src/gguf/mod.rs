//! GGUF files: read and checked in Rust before C++ sees a byte, and written whole.
//!
//! llama.cpp aborts the process on some of the faults that it does not check. [`Gguf::read`] and the preflight next
//! door refuse the faults they know. Others remain: a file that passes both can still abort the process or take
//! gigabytes of memory.

mod read;
mod types;
mod write;

pub use read::{Gguf, Tensor, Value};
pub use types::GgmlType;
pub use write::GgufWriter;

/// Alignment of the tensor data in files we write, and the format's default.
pub(crate) const ALIGNMENT: u64 = 32;
