//! The fuzzer's targets: each takes any bytes, and neither panics nor harms memory.
//!
//! `fuzz/driver` runs them under libFuzzer and AddressSanitizer (`make fuzz`); `fuzz/tests/replay.rs` runs them on the
//! files of `fuzz/corpus`, a folder a target. The target `calls` is C, `tests/c/calls.c`.

mod documents;
mod files;

pub use documents::{graph, record, scenario, snapshot};
pub use files::{adapter, header, model, small, template};

/// A target: it takes any bytes.
pub type Target = fn(&[u8]);

/// The targets by the names of their corpora.
pub const TARGETS: [(&str, Target); 7] = [
    ("model", model),
    ("adapter", adapter),
    ("template", template),
    ("scenario", scenario),
    ("snapshot", snapshot),
    ("record", record),
    ("graph", graph),
];
