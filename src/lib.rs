//! Probity: an embeddable conscience for on-device agents.
//!
//! A quantised GGUF language model, a LoRA adapter that was fine-tuned on intrinsic moral rewards, and one question
//! for the host application: which of these legal actions does this agent take, with what probability, and how does
//! each one score morally?
//!
//! The rooms stand on floors, and an arrow only points down:
//!
//! | floor | room | what it is for |
//! |---|---|---|
//! | 5 | [`ffi`] | the C ABI, one file per object |
//! | 4 | `train` (feature `train`) | exact moral fine-tuning and pretraining on a CPU |
//! | 4 | `eval` (feature `train`) | what policies do, measured through the runtime |
//! | 3 | [`agent`] | prompt, policy, decision, record, snapshot |
//! | 3 | [`elicit`] | interviews, duplicates, stories: what models do for values |
//! | 2 | [`engine`] | GGUF validation, llama.cpp, trie scoring, chat templates |
//! | 2 | [`embed`] | texts as vectors, by the engine or (feature `embed`) by ONNX Runtime |
//! | 2 | [`store`] | cards, stories, votes and conversations in one SQLite file |
//! | 1 | [`moral`] | rewards, regrets, accounts: pure |
//! | 1 | [`values`] | values cards, votes, moral graphs and their rankings: pure |
//! | 0 | [`game`] | matrix games, histories, strategies: pure |
#![warn(missing_docs)]

pub mod agent;
pub mod elicit;
pub mod embed;
pub mod engine;
mod error;
#[cfg(feature = "train")]
pub mod eval;
pub mod ffi;
pub mod game;
pub mod moral;
pub mod store;
#[cfg(feature = "train")]
pub mod train;
pub mod values;

pub use error::{Error, Result};
