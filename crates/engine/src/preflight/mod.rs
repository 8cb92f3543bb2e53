//! What must hold of a file before llama.cpp may open it.
//!
//! Every check stands for an input that aborts or crashes the process further down, or that would silently compute
//! something else than what was meant.

mod adapter;
mod architecture;
mod model;

pub use adapter::{AdapterShape, check_adapter, check_fit};
pub use architecture::{ARCHITECTURES, Architecture, ArchitectureEntry};
pub use model::{ModelShape, Rotation, Window, check_model};
