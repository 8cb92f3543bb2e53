//! Version of the library and of its ABI.

use std::ffi::c_char;

use super::boundary::call_for;
use super::status::{probity_error_t, probity_status_t};
use super::strings::json;

/// The ABI's version. It grows with every change that needs recompiling.
pub const PROBITY_ABI_VERSION: u32 = 1;

/// Returns the ABI version of the loaded library.
///
/// Compare it with `PROBITY_ABI_VERSION` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn probity_abi_version() -> u32 {
    PROBITY_ABI_VERSION
}

/// The library's version, such as "0.1.0". Static; not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn probity_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Describes this build of the library as JSON.
///
/// The fields are version, abi, llama_cpp (its version), instruction_sets (which this build uses without asking the
/// processor), and features.
///
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_build_info(json: *mut *mut c_char, error: *mut probity_error_t) -> probity_status_t {
    let body = || {
        let mut features = vec!["capi"];
        if cfg!(feature = "graphs") {
            features.push("graphs");
        }
        Ok(self::json(&serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "abi": PROBITY_ABI_VERSION,
            "llama_cpp": probity_engine::llama_version(),
            "instruction_sets": probity_engine::instruction_sets(),
            "features": features,
        })))
    };
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, body) }
}
