//! Floor 3: an agent is a model, its adapters, a game and what was played so far.
#![forbid(unsafe_code)]

pub mod prompt;
