//! The tests of `probity-game` through its public interface.

mod games_and_rewards;
mod properties;
