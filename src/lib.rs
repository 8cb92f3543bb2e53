//! Probity: an embeddable conscience for on-device agents.
//!
//! A quantised GGUF language model, a LoRA adapter that was fine-tuned on intrinsic moral rewards, and one question for
//! the host application: which of these legal actions does this agent take, with what probability, and how does each
//! one score morally?
//!
//! ```
//! use std::path::Path;
//!
//! use probity::agent::{Agent, Scenario, verify};
//! use probity::engine::{ContextOptions, Model, ModelOptions};
//! use probity::game::Profile;
//!
//! # fn main() -> probity::Result<()> {
//! let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
//! let kind = verify::load(&model, Path::new("models/deontological.gguf"))?;
//! let scenario = Scenario::from_json(r#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#)?;
//! let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
//! agent.set_adapters(&[(kind, 1.0)])?;
//! let decision = agent.decide()?;
//! println!("{} of {:?}", decision.label(), decision.policy());
//! agent.observe(Profile { own: decision.action, other: 0 })?;
//! # Ok(())
//! # }
//! ```
//!
//! [`agent::Agent`] takes decisions. [`game`] and [`moral`] are games and rewards on paper, without a model. [`engine`]
//! opens models and adapters. `graphs` (feature `graphs`) turns people's votes on values into a reward. The C ABI
//! (feature `capi`) is `include/probity.h`.

pub mod agent;
mod error;
#[cfg(feature = "capi")]
#[expect(unsafe_code, reason = "the C boundary takes raw pointers")]
mod ffi;
#[cfg(feature = "graphs")]
pub mod graphs;
mod status;

pub use error::{Error, Result};
pub use probity_game as game;
pub use probity_game::moral;
pub use status::Status;

/// Models, adapters and contexts: an application's part of `probity-engine`.
pub mod engine {
    pub use probity_engine::{
        Adapter, CancelToken, ContextOptions, Error, LogLevel, Model, ModelOptions, Plan, Result, Source, Token,
        check_processor, set_log,
    };
}

/// The README's Rust, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
