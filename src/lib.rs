//! Probity: an embeddable conscience for on-device agents.
//!
//! A quantised GGUF language model, a LoRA adapter that was fine-tuned on intrinsic moral rewards, and one question
//! for the host application: which of these legal actions does this agent take, with what probability, and how does
//! each one score morally?
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod agent;
mod error;
#[cfg(feature = "capi")]
#[expect(unsafe_code, reason = "the C boundary takes raw pointers")]
mod ffi;
#[cfg(feature = "graphs")]
pub mod graphs;

pub use error::{Error, Result};
pub use probity_engine as engine;
pub use probity_game as game;
pub use probity_game::moral;
