//! Floor 5: Probity for Python, the module `probity._probity`.
//!
//! One file an object. [`interrupt`] runs whatever takes long without the interpreter's lock, so that other threads go
//! on and Ctrl-C stops it. [`convert`] turns documents into Python's dictionaries and lists, and numbers into arrays.
//! An error is a `ProbityError` with the status of the C ABI.

mod adapter;
mod agent;
mod convert;
mod decision;
mod errors;
mod game;
mod graph;
mod interrupt;
mod model;
mod peft;
mod prompt;
mod session;
mod source;
mod strategy;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _probity {
    #[pymodule_export]
    use super::adapter::Adapter;
    #[pymodule_export]
    use super::agent::Agent;
    #[pymodule_export]
    use super::decision::{Decision, Policy};
    #[pymodule_export]
    use super::errors::ProbityError;
    #[pymodule_export]
    use super::game::Game;
    #[pymodule_export]
    use super::graph::Graph;
    #[pymodule_export]
    use super::model::{Model, plan};
    #[pymodule_export]
    use super::peft::{export_peft, import_peft};
    #[pymodule_export]
    use super::prompt::prompt;
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::strategy::Strategy;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("OPENING", super::prompt::ANSWER)
    }
}
