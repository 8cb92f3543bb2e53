//! Floor 4 (feature `train`): moral fine-tuning with exact gradients, and pretraining of the default model.
//!
//! One hand-written decoder block, forward and backward, on the `gemm` crate; prompts packed as token tries so that shared
//! prefixes are computed once in both directions. Called by the command line.
#![forbid(unsafe_code)]

mod adam;
pub mod checkpoint;
pub mod corpus;
pub mod curriculum;
mod decoder;
mod error;
pub mod eval;
pub mod finetune;
pub mod finish;
pub mod init;
pub mod labels;
pub mod lora;
pub mod model_file;
mod muon;
pub mod objective;
pub mod plan;
pub mod pretrain;
pub mod rollout;
pub mod run;
mod shards;
pub mod vocab;

pub use adam::Adam;
pub use decoder::{Decoder, Keep, LINEARS, Pack, Tape};
pub use error::{Error, Result};
pub use shards::{Schedule, Shards};
