//! The tests of `probity-values` through its public interface.

mod reward;
#[cfg(feature = "store")]
mod sample;
#[cfg(feature = "store")]
mod store;
mod values;
