//! The tests of `probity-train` on small models that they make.

mod peft;
mod trainer_gradient;
mod trainer_memory;
mod trainer_objective;
mod trainer_parity;
mod trainer_sampled;
mod training_runs;
mod transcripts;
