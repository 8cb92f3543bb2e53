//! The evaluation of "Moral Alignment for LLM Agents" (arXiv 2410.01639).
//!
//! Fifty queries a game against one fixed opponent, two regrets, six action types, and the paper's own figures. Pure: a
//! policy is a function, whoever computes it.
//!
//! Called by the evaluation of policies.

mod published;
mod sequence;
mod walk;

pub use published::{Figure, PUBLISHED, Published};
pub use sequence::{QUERIES, Query, queries};
pub use walk::{Bounds, Outcome, bounds, expected, sampled};
