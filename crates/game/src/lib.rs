//! Games on paper, and the moral worth of their actions ([`moral`]).
//!
//! [`protocol`] is the published evaluation of policies.
//!
//! Floors 0 and 1. Pure: no I/O, no threads, no model; it needs serde and a seeded random stream alone.
//!
//! Every room may call this room; it calls none.

mod catalog;
mod error;
mod history;
mod matrix;
pub mod moral;
mod opponent;
pub mod play;
pub mod protocol;
mod reading;
mod solve;
mod strategy;

pub use catalog::{CATALOG, CatalogGame};
pub use error::GameError;
pub use history::{History, Profile, State, state_count, state_number, states};
pub use matrix::{ActionId, MAX_ACTIONS, MAX_LABEL_BYTES, MatrixGame, Player};
pub use opponent::Opponent;
pub use reading::{Reach, Reading, Wording};
pub use solve::{
    argmax_set, best_replies, check_belief, expected_payoffs, fair_coin, max_joint_payoff, min_joint_payoff, sample,
};
pub use strategy::{STRATEGIES, Strategy, StrategyEntry};
