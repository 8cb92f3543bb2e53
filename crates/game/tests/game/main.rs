//! The tests of `probity-game` through its public interface.

mod any_game;
mod games_and_rewards;
mod properties;
mod protocol;
