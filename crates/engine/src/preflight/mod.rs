//! Conditions that a file meets before llama.cpp may open it.
//!
//! Every check stands for an input that aborts or crashes the process further down, or that llama.cpp would silently
//! compute wrong.

mod adapter;
mod architecture;
mod keys;
mod model;

pub use adapter::{AdapterShape, check_adapter, check_fit};
pub use architecture::{ARCHITECTURES, Architecture, ArchitectureEntry};
pub use keys::{KEYS, MetadataKey, Rule, Scope};
pub use model::{ModelShape, Rotation, Window, check_model};
