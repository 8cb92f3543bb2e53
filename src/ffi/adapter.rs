//! Adapters: loaded for one model, shared by its agents.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::c_char;
use std::path::Path;

use super::boundary::{boundary, require};
use super::handle::Objects;
use super::model::{MODELS, probity_model_t};
use super::status::{probity_error_t, probity_status_t};
use super::strings::{give, text};
use crate::agent::Manifest;
use crate::agent::verify::{load, verify};
use crate::engine::Adapter;

pub(super) static ADAPTERS: Objects<Adapter> = Objects::new("adapter");

/// An adapter. Shareable between threads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_adapter_t {
    /// Opaque.
    pub id: u64,
}

/// Loads a LoRA adapter for a model, which may be in use meanwhile. An adapter whose manifest names another base model
/// is refused; one without a manifest is accepted by its shapes alone. Free it with `probity_adapter_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_load(
    model: probity_model_t,
    path: *const c_char,
    adapter: *mut probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(adapter, "adapter")?;
        // SAFETY: the caller's promise about the string.
        let path = unsafe { text(path, "path")? };
        let id = ADAPTERS.insert(load(&*MODELS.get(model.id)?, Path::new(path))?)?;
        // SAFETY: not NULL, checked above.
        unsafe { adapter.write(probity_adapter_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// What the adapter is, as JSON: path, fingerprint, shape, manifest (null without one). Free the string with
/// `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_info(
    adapter: probity_adapter_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(json, "json")?;
        let adapter = ADAPTERS.get(adapter.id)?;
        let info = serde_json::json!({
            "path": adapter.path(),
            "fingerprint": adapter.fingerprint(),
            "shape": adapter.shape(),
            "manifest": Manifest::of(adapter.gguf())?,
        });
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(info.to_string())) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Takes the decisions recorded in the adapter's manifest again, and fails with `PROBITY_STATUS_UNVERIFIED` when a
/// probability differs or the adapter changes nothing.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_verify(
    adapter: probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let adapter = ADAPTERS.get(adapter.id)?;
        verify(&adapter)?;
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Lets an adapter go. Agents that have it set keep it until they are freed or given another set.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_free(
    adapter: probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, || ADAPTERS.remove(adapter.id).map(drop)) }
}
