//! Floor 3 (feature `graphs`): moral graphs for agents.
//!
//! A [`LiveGraph`] is fitted to its store as it is now and judged by a model that is loaded anyway. A [`Telling`] puts a
//! game's states into words, and [`scenario_reward`] scores them: a reward like any other. Called by the C ABI and the
//! command line.

mod live;
mod scenario;

pub use live::{LiveGraph, Situated, SituatedContext};
pub use scenario::{ScenarioReward, Telling, scenario_reward};
