//! Floor 3: an agent is a model, its adapters, a game and what was played so far.
//!
//! A session owns the model's context; agents are state. One decision, top to bottom: [`prompt`] writes the text and
//! its tokens, the engine scores every legal action, [`policy`] turns scores into probabilities, [`legality`] says
//! whether they mean anything, the agent draws an action, its [`decision`] accounts for every action, and the
//! [`record`] keeps the inputs for a replay. [`verify`] replays the decisions that an adapter's manifest records. A
//! snapshot carries an agent over a restart. Called by the trainer, the evaluation, the command line and the C ABI.
#![forbid(unsafe_code)]

pub mod decision;
mod explain;
mod info;
pub mod legality;
pub mod manifest;
mod player;
pub mod policy;
pub mod prompt;
pub mod record;
mod role;
pub mod scenario;
mod session;
mod snapshot;
pub mod verify;

pub use decision::{Consideration, Decision};
pub use info::{AdapterInfo, ModelInfo};
pub use legality::Floor;
pub use manifest::Manifest;
pub use player::Agent;
pub use record::Record;
pub use scenario::Scenario;
pub use session::{Seeds, Session, SessionOptions};
