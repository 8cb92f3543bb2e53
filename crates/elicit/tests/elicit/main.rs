//! The tests of `probity-elicit`, by the real loading code.

mod elicit;
mod embed;
mod sample;
