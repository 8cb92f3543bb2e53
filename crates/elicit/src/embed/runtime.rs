//! ONNX Runtime, loaded at run time and not linked.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use parking_lot::Mutex;

use crate::{Error, Result};

/// Names the library where the caller does not.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The runtime's environment, one a process; the first call loads it.
///
/// The library is `library`, else the library that `ORT_DYLIB_PATH` names, else the system's.
///
/// # Errors
/// [`Error::Embedder`] without a runtime, and for a runtime that is too old.
pub(super) fn environment(library: Option<&Path>) -> Result<&'static Environment> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _one = LOADING.lock();
    if let Some(loaded) = ENVIRONMENT.get() {
        return Ok(loaded);
    }
    let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let library = library.map(Path::to_owned).or(named).unwrap_or_else(|| default_name().into());
    let problem = |reason: String| Error::Embedder {
        problem: format!(
            "ONNX Runtime: {reason}; expected version 1.{} or later at the path given, at {VARIABLE}, or installed (`pip \
             download onnxruntime` has it)",
            ort::MINOR_VERSION
        ),
    };
    let environment = ort::init_from(&library)
        .map_err(|e| problem(e.to_string()))?
        .with_name("probity")
        .with_telemetry(false)
        .build()
        .map_err(|e| problem(e.to_string()))?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// What the system calls it.
fn default_name() -> &'static str {
    if cfg!(target_os = "windows") {
        "onnxruntime.dll"
    } else if cfg!(target_vendor = "apple") {
        "libonnxruntime.dylib"
    } else {
        "libonnxruntime.so"
    }
}
