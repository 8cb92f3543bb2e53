//! Adapters: loaded for one model, shared by its agents.

use std::ffi::{c_char, c_void};
use std::path::Path;

use probity_engine::Adapter;

use super::boundary::{Outcome, call, call_for, slice};
use super::handle::object;
use super::model::{probity_model_t, probity_progress_t};
use super::source::probity_source_t;
use super::status::{probity_error_t, probity_status_t};
use super::strings::{json, text};
use super::user_data::Owning;
use crate::agent::AdapterInfo;
use crate::agent::verify::{load, load_source, verify_with};

/// An adapter. May be used by many threads at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_adapter_t {
    /// Opaque.
    pub id: u64,
}

object!(Adapter, probity_adapter_t, "adapter");

/// The adapters of an array of handles.
///
/// # Safety
/// `adapters` is NULL or points to `count` handles.
pub(super) unsafe fn adapters_of(adapters: *const probity_adapter_t, count: usize) -> Outcome<Vec<Adapter>> {
    // SAFETY: the caller's promise.
    let handles = unsafe { slice(adapters, count, "adapters")? };
    handles.iter().map(|handle| Ok((*handle.get()?).clone())).collect()
}

/// Loads a LoRA adapter for a model.
///
/// An adapter whose manifest names another base model is refused; one without a manifest is accepted by its shapes
/// alone.
///
/// - `model`: a live model, which other threads may be using.
/// - `path`: the file; read during the call; not NULL.
/// - `adapter`: receives the adapter, yours to free with `probity_adapter_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_load(
    model: probity_model_t,
    path: *const c_char,
    adapter: *mut probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let path = unsafe { text(path, "path")? };
        Ok(load(&*model.get()?, Path::new(path))?)
    };
    // SAFETY: the contract.
    unsafe { call_for(adapter, "adapter", error, body) }
}

/// As `probity_adapter_load`, of bytes anywhere.
///
/// - `model`: a live model, which other threads may be using.
/// - `source`: the file, the section of a file, or the memory; not NULL. The adapter reads from it as long as it, or
///   whatever uses it, lives.
/// - `adapter`: receives the adapter, yours to free with `probity_adapter_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_load_source(
    model: probity_model_t,
    source: *const probity_source_t,
    adapter: *mut probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let (source, owned) = unsafe { probity_source_t::open(source)? };
        Ok(Owning(load_source(&*model.get()?, source)?, owned))
    };
    // SAFETY: the contract.
    unsafe { call_for(adapter, "adapter", error, body) }
}

/// Describes the adapter as JSON.
///
/// The fields are path, fingerprint, shape and manifest (null without a manifest).
///
/// - `adapter`: a live adapter; from any thread.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_info(
    adapter: probity_adapter_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, || Ok(self::json(&AdapterInfo::of(&*adapter.get()?)?))) }
}

/// Takes the decisions that the adapter's manifest records again.
///
/// Fails with `PROBITY_STATUS_UNVERIFIED` where a probability differs, or where the adapter changes no probability.
///
/// - `adapter`: a live adapter; from any thread. The call takes as long as the recorded decisions do.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_verify(
    adapter: probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { probity_adapter_verify_with_progress(adapter, None, std::ptr::null_mut(), error) }
}

/// As `probity_adapter_verify`, with progress.
///
/// A verification that is stopped fails with `PROBITY_STATUS_CANCELLED`.
///
/// - `adapter`: a live adapter; from any thread.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_verify_with_progress(
    adapter: probity_adapter_t,
    progress: probity_progress_t,
    user_data: *mut c_void,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let tell = |share: f32| progress.is_none_or(|progress| unsafe { progress(user_data, share) });
        verify_with(&*adapter.get()?, tell)?;
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Lets an adapter go.
///
/// Agents that have it set keep it until they are freed or given another set.
///
/// - `adapter`: a live adapter; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_adapter_free(
    adapter: probity_adapter_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call(error, || adapter.remove()) }
}
