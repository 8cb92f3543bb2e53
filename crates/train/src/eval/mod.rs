//! Policies measured through the runtime, as an app would use it.
//!
//! Called by the command line.

pub mod card;
pub mod dilemmas;
mod evaluation;
pub mod exact;
pub mod protocol;
mod respondent;
mod round_robin;

pub use evaluation::{Candidate, Evaluation, Figures};
pub use respondent::{Answer, Respondent};
pub use round_robin::RoundRobin;
