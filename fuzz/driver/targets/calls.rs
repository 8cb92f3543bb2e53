//! Calls of the C library in any order: `tests/c/calls.c`.
#![no_main]

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;

// The functions that calls.c calls are in there.
use probity as _;

unsafe extern "C" {
    fn probity_fuzz_calls(model: *const c_char, adapter: *const c_char, bytes: *const u8, length: usize);
}

static FILES: LazyLock<[CString; 2]> =
    LazyLock::new(|| probity_fuzz::small().each_ref().map(|path| CString::new(path.as_os_str().as_bytes()).unwrap()));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [model, adapter] = &*FILES;
    unsafe { probity_fuzz_calls(model.as_ptr(), adapter.as_ptr(), bytes.as_ptr(), bytes.len()) }
});
