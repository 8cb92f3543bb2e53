//! Floor 5: the C ABI, one file per object. `include/probity.h` is generated from here and committed.
//!
//! Rules, stated once (README, "From C"): every function that can fail returns a `probity_status_t`; outputs are written only on
//! success and come last, before the nullable error; handles are checked for type, age and origin; NULL is checked
//! everywhere; every body runs inside one panic boundary; strings in are UTF-8, strings out are freed with
//! `probity_string_free`.

pub mod adapter;
pub mod agent;
mod boundary;
pub mod game;
pub mod graph;
mod handle;
pub mod log;
pub mod model;
pub mod status;
mod strings;
pub mod version;

pub use strings::{probity_bytes_free, probity_string_free};
