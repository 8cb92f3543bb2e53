//! Models: opened once, shared by any number of agents and threads.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::{c_char, c_void};
use std::path::Path;

use serde::Deserialize;

use super::boundary::{Outcome, boundary, require};
use super::handle::Objects;
use super::status::{probity_error_t, probity_status_t};
use super::strings::{give, optional, text};
use crate::Error;
use crate::engine::{Model, ModelOptions};

pub(super) static MODELS: Objects<Model> = Objects::new("model");

/// A model. Shareable between threads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_model_t {
    /// Opaque.
    pub id: u64,
}

/// Told the share done, 0 to 1; returning `false` stops the work.
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
    let d: OptionsDocument =
        serde_json::from_str(json).map_err(|e| Error::Document { what: "model options", problem: e.to_string() })?;
    Ok(ModelOptions { gpu_layers: d.gpu_layers, mmap: d.mmap, ..ModelOptions::default() })
}

/// Opens a GGUF model. `options` is NULL or JSON: `{"gpu_layers": 0, "mmap": false}`. `"mmap": true` maps the file instead
/// of reading it: truncating a mapped file while the model lives kills the process. Free the model with
/// `probity_model_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_open(
    path: *const c_char,
    options: *const c_char,
    model: *mut probity_model_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the same promises.
    unsafe { probity_model_open_with_progress(path, options, None, std::ptr::null_mut(), model, error) }
}

/// As `probity_model_open`, telling `progress` how far it is; it stops the load by returning `false`, and the call then
/// fails with `PROBITY_STATUS_CANCELLED`. `progress` runs on the calling thread.
///
/// # Safety
/// Pointers are NULL or valid as their types say; `progress` may be called with `user_data` during this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_open_with_progress(
    path: *const c_char,
    options: *const c_char,
    progress: probity_progress_t,
    user_data: *mut c_void,
    model: *mut probity_model_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    /// The loader wants a callback that could move to another thread; it calls it on this one.
    struct UserData(*mut c_void);
    // SAFETY: see above.
    unsafe impl Send for UserData {}
    impl UserData {
        fn get(&self) -> *mut c_void {
            self.0
        }
    }
    let body = || {
        require(model, "model")?;
        // SAFETY: the caller's promises about the strings.
        let (path, options) = unsafe { (text(path, "path")?, optional(options, "options")?) };
        let options = parse(options)?;
        let user_data = UserData(user_data);
        let tell = move |share: f32| match progress {
            // SAFETY: the caller's promise about the callback.
            Some(callback) => unsafe { callback(user_data.get(), share) },
            None => true,
        };
        let id = MODELS.insert(Model::open(Path::new(path), options, tell)?)?;
        // SAFETY: not NULL, checked above.
        unsafe { model.write(probity_model_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// What the model is, as JSON: path, fingerprint, shape, whether it has a chat template. Free the string with
/// `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_info(
    model: probity_model_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(json, "json")?;
        let model = MODELS.get(model.id)?;
        let info = serde_json::json!({
            "path": model.path(),
            "fingerprint": model.fingerprint(),
            "shape": model.shape(),
            "chat_template": model.template().is_own(),
        });
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(info.to_string())) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Lets a model go. Agents and adapters made on it keep what they need until they are freed themselves.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_model_free(model: probity_model_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, || MODELS.remove(model.id).map(drop)) }
}
