//! Floor 5 (feature `capi`): the C ABI, one file per object.
//!
//! `include/probity.h` is generated from here and committed.
//!
//! Every exported function is three lines around its own work: [`boundary::call`] or [`boundary::call_for`] runs the
//! body, stops a panic, checks the output for NULL and writes it on success alone. The header's preamble (`build.rs`)
//! states the contract that every caller keeps; `SAFETY: the contract` below means that one.
//!
//! To add a function: write it beside its object, run `make header` and `make tables`.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

mod adapter;
mod agent;
mod boundary;
mod game;
#[cfg(feature = "graphs")]
mod graph;
mod handle;
mod log;
mod model;
mod session;
mod snapshot;
mod source;
mod status;
mod strings;
mod user_data;
mod version;
