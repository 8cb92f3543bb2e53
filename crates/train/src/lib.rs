//! Moral fine-tuning with exact gradients, and pretraining.
//!
//! Floor 4.
//!
//! One hand-written decoder block, forward and backward, on the `gemm` crate; prompts packed as token tries so that
//! shared prefixes are computed once in both directions. Called by the command line.

mod adam;
pub mod checkpoint;
#[doc(hidden)]
pub mod corpus;
pub mod course;
pub mod curriculum;
mod decoder;
mod error;
pub mod eval;
pub mod finetune;
pub mod finish;
pub mod games;
#[doc(hidden)]
pub mod init;
#[doc(hidden)]
pub mod labels;
pub mod literacy;
pub mod lora;
pub mod model_file;
mod muon;
#[doc(hidden)]
pub mod objective;
pub mod plan;
pub mod pretrain;
#[doc(hidden)]
pub mod rollout;
pub mod run;
mod shards;
#[doc(hidden)]
pub mod vocab;

#[doc(hidden)]
pub use adam::Adam;
pub use decoder::Compute;
#[doc(hidden)]
pub use decoder::{Decoder, Keep, LINEARS, Pack, Tape};
pub use error::{Error, Result};
pub use shards::Schedule;
#[doc(hidden)]
pub use shards::Shards;
