//! Floor 2: the engine.
//!
//! Everything that touches llama.cpp, and every `unsafe` of the library but the C boundary's.
//!
//! [`gguf`] and [`preflight`] check a file in Rust before C++ sees a byte of it; [`Model`], [`Adapter`] and
//! [`Context`] own the engine's objects in the order it wants them freed; [`trie`] and [`score`] turn options into
//! log-probabilities; [`chat`] turns a conversation into tokens. Called by the agent, the trainer and the C ABI.

mod adapter;
mod adapter_set;
mod backend;
mod cancel;
pub mod chat;
mod context;
mod continuation;
mod error;
#[doc(hidden)]
pub mod files;
mod generate;
pub mod gguf;
mod grammar;
mod hidden;
mod log_sum_exp;
mod model;
#[doc(hidden)]
pub mod numeric;
mod params;
mod plan;
#[doc(hidden)]
pub mod preflight;
pub mod score;
mod shim;
mod source;
mod stack;
#[doc(hidden)]
pub mod system;
#[doc(hidden)]
pub mod trie;
mod twins;

pub use adapter::Adapter;
pub use adapter_set::AdapterSet;
#[doc(hidden)]
pub use backend::check_process;
pub use backend::{LogLevel, check_processor, instruction_sets, llama_version, set_log};
pub use cancel::CancelToken;
pub use context::Context;
pub use error::{Error, Result};
pub use generate::{Generator, Sampling};
pub use hidden::HiddenStates;
pub use model::{Model, ModelOptions};
pub use params::ContextOptions;
pub use plan::Plan;
pub use preflight::{Architecture, ModelShape};
#[doc(hidden)]
pub use shim::StandardFloats;
pub use source::Source;

/// A token of some model's vocabulary.
pub type Token = i32;

/// The most options one question may have, decoded some thirty at a time.
pub const MAX_OPTIONS: usize = 128;
