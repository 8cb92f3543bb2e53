//! The tests of the library and of its C ABI.

mod agent;
#[path = "../../crates/game/tests/game/any_game.rs"]
mod any_game;
mod c_programs;
mod conformance;
mod examples;
mod installed_library;
mod links;
mod properties;
mod real_models;
mod schemas;
mod scores;
mod sessions;
#[cfg(unix)]
mod setup;
mod shipped_figures;
mod style;
mod tables;
mod transcripts;
mod walls;
