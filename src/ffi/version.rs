//! Version of the library and of its ABI.

use std::ffi::c_char;

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
