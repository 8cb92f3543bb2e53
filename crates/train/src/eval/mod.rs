//! Policies measured through the runtime, as an app would use it.
//!
//! Called by the command line.
#![forbid(unsafe_code)]

mod evaluation;

pub use evaluation::{Candidate, Evaluation, Figures};
