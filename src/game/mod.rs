//! Floor 0: games on paper. Pure: no I/O, no threads, no model; serde and a seeded random stream, nothing else.
//!
//! Everybody may call this room; it calls nobody.
#![forbid(unsafe_code)]

mod catalog;
mod history;
mod matrix;
pub mod play;
mod solve;
mod strategy;

pub use catalog::{CATALOG, Named};
pub use history::{History, Profile, State};
pub use matrix::{ActionId, GameError, MAX_ACTIONS, MAX_LABEL_BYTES, MatrixGame, Player};
pub(crate) use solve::check_belief;
pub use solve::{argmax_set, best_replies, draw, expected_payoffs, fair_coin, max_joint_payoff, min_joint_payoff};
pub use strategy::Strategy;
