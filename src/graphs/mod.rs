//! Floor 3 (feature `graphs`): moral graphs for agents.
//!
//! A [`LiveGraph`] is fitted to the current state of its store; the application's own model is its judge. A [`Telling`]
//! puts a game's states into words, and [`scenario_reward`] scores them. Called by the C ABI and the command line.

mod live;
mod scenario;

pub use live::{LiveGraph, Situated, SituatedContext};
pub use scenario::{ScenarioReward, Telling, reward_source, scenario_reward};
