//! Models: opened once, shared by any number of agents and threads.

use std::ffi::{c_char, c_void};
use std::path::Path;

use probity_engine::{Error as EngineError, Model, ModelOptions, Plan};
use serde::Deserialize;

use super::boundary::{Outcome, call, call_for};
use super::handle::object;
use super::session::{context_of, probity_plan_t, probity_session_options_t};
use super::source::probity_source_t;
use super::status::{probity_error_t, probity_status_t};
use super::strings::{json, optional, text};
use super::user_data::Owning;
use crate::agent::ModelInfo;

/// A model. May be used by many threads at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_model_t {
    /// Opaque.
    pub id: u64,
}

object!(Model, probity_model_t, "model");

/// Progress of a call: the finished share, 0 to 1.
///
/// It runs on the thread of the call. Returning `false` stops the work.
pub type probity_progress_t = Option<unsafe extern "C" fn(user_data: *mut c_void, share: f32) -> bool>;

/// Model options as a document; unknown fields are refused.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OptionsDocument {
    gpu_layers: u32,
    mmap: bool,
}

impl Default for OptionsDocument {
    fn default() -> Self {
        let ModelOptions { gpu_layers, mmap, .. } = ModelOptions::default();
        Self { gpu_layers, mmap }
    }
}

fn parse(options: Option<&str>) -> Outcome<ModelOptions> {
    let Some(json) = options else { return Ok(ModelOptions::default()) };
    let d: OptionsDocument = serde_json::from_str(json)
        .map_err(|e| EngineError::Document { what: "model options", problem: e.to_string() })?;
    Ok(ModelOptions::default().with(|o| {
        o.gpu_layers = d.gpu_layers;
        o.mmap = d.mmap;
    }))
}

/// Opens a GGUF model.
///
/// - `path`: the file; read during the call; not NULL.
/// - `options`: JSON, `{"gpu_layers": 0, "mmap": false}`, read during the call; NULL for these defaults. `"mmap": true`
///   maps the file instead of reading it: truncating a mapped file while the model lives kills the process.
/// - `model`: receives the model, yours to free with `probity_model_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_open(
    path: *const c_char,
    options: *const c_char,
    model: *mut probity_model_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { probity_model_open_with_progress(path, options, None, std::ptr::null_mut(), model, error) }
}

/// As `probity_model_open`, with progress.
///
/// A load that is stopped fails with `PROBITY_STATUS_CANCELLED`.
///
/// - `path`: the file; read during the call; not NULL.
/// - `options`: as in `probity_model_open`.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `model`: receives the model, yours to free with `probity_model_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_open_with_progress(
    path: *const c_char,
    options: *const c_char,
    progress: probity_progress_t,
    user_data: *mut c_void,
    model: *mut probity_model_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let (path, options) = unsafe { (text(path, "path")?, optional(options, "options")?) };
        // SAFETY: the contract.
        let tell = |share: f32| progress.is_none_or(|progress| unsafe { progress(user_data, share) });
        Ok(Model::open(Path::new(path), parse(options)?, tell)?)
    };
    // SAFETY: the contract.
    unsafe { call_for(model, "model", error, body) }
}

/// As `probity_model_open_with_progress`, of bytes anywhere.
///
/// - `source`: the file, the section of a file, or the memory; not NULL. The model reads from it as long as it, or
///   whatever was made on it, lives.
/// - `options`: as in `probity_model_open`; only a whole file by its path can be mapped.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `model`: receives the model, yours to free with `probity_model_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_open_source(
    source: *const probity_source_t,
    options: *const c_char,
    progress: probity_progress_t,
    user_data: *mut c_void,
    model: *mut probity_model_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let (options, (source, owned)) =
            unsafe { (parse(optional(options, "options")?)?, probity_source_t::open(source)?) };
        // SAFETY: the contract.
        let tell = |share: f32| progress.is_none_or(|progress| unsafe { progress(user_data, share) });
        Ok(Owning(Model::from_source(source, options, tell)?, owned))
    };
    // SAFETY: the contract.
    unsafe { call_for(model, "model", error, body) }
}

/// Tells the memory of a model and a session on it, before anything takes it.
///
/// - `source`: the file, the section of a file, or the memory; read during the call; not NULL. Its `user_data_free` is
///   not called.
/// - `model_options`: as in `probity_model_open`.
/// - `session_options`: as for `probity_session_new`; the limit of memory is not applied.
/// - `plan`: receives the bytes; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_plan(
    source: *const probity_source_t,
    model_options: *const c_char,
    session_options: *const probity_session_options_t,
    plan: *mut probity_plan_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let (options, (source, _)) =
            unsafe { (parse(optional(model_options, "model_options")?)?, probity_source_t::open(source)?) };
        // SAFETY: the contract.
        Ok(Plan::of(&source, options, unsafe { context_of(session_options)? })?)
    };
    // SAFETY: the contract.
    unsafe { call_for(plan, "plan", error, body) }
}

/// Describes the model as JSON.
///
/// The fields are path, fingerprint, shape, and the presence of a chat template.
///
/// - `model`: a live model; from any thread.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_info(
    model: probity_model_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, || Ok(self::json(&ModelInfo::of(&*model.get()?)))) }
}

/// Lets a model go.
///
/// Agents and adapters that were made on it keep what they need until they are freed themselves.
///
/// - `model`: a live model; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_free(model: probity_model_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call(error, || model.remove()) }
}
