//! The tests of the `probity` command line: the program is run as a user would.

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_probity");

mod command_line;
mod elicit;
#[path = "../../../elicit/tests/elicit/sample.rs"]
mod elicited;
mod eval;
mod explore;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod kills;
mod own_model;
#[path = "../../../values/tests/values/sample.rs"]
mod sample;
mod values;
