//! Floor 3: an agent is a model, its adapters, a game and what was played so far.
//!
//! One decision, top to bottom: [`prompt`] writes the text and its tokens, the engine scores every legal action,
//! [`policy`] turns scores into probabilities, the agent draws one, its [`decision`] accounts for all of them, and the
//! [`record`] keeps what is needed to take it again. [`verify`] does the same for the vectors an adapter carries, a
//! snapshot carries an agent over a restart. Called by the trainer, the evaluation, the command line and the C ABI.
#![forbid(unsafe_code)]

pub mod decision;
mod explain;
pub mod manifest;
mod player;
pub mod policy;
pub mod prompt;
pub mod record;
pub mod scenario;
mod snapshot;
pub mod verify;

pub use decision::{Consideration, Decision};
pub use manifest::Manifest;
pub use player::Agent;
pub use record::Record;
pub use scenario::Scenario;
