//! Calls into llama.cpp that may throw, each behind `shim/shim.cpp`.
//!
//! The shim catches every C++ exception and every failed assertion of the calling thread, and says how a call ended.
//! [`call`] turns the ending into a [`Failed`], with llama.cpp's own reason.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use llama_cpp_sys_2 as sys;

use super::Token;
use super::backend::collect_reason;
use crate::Error;

unsafe extern "C" {
    fn probity_engine_reason() -> *const c_char;
    pub(super) fn probity_engine_start(log: sys::ggml_log_callback) -> i32;
    pub(super) fn probity_engine_model_map(
        path: *const c_char,
        params: sys::llama_model_params,
        out: *mut *mut sys::llama_model,
    ) -> i32;
    pub(super) fn probity_engine_model_load(
        lent: *const Lent,
        params: sys::llama_model_params,
        out: *mut *mut sys::llama_model,
    ) -> i32;
    pub(super) fn probity_engine_plan(
        lent: *const Lent,
        model: sys::llama_model_params,
        context: sys::llama_context_params,
        size_key: *const c_char,
        size: i64,
        out: *mut u64,
    ) -> i32;
    pub(super) fn probity_engine_model_free(model: *mut sys::llama_model) -> i32;
    pub(super) fn probity_engine_tokenize(
        vocab: *const sys::llama_vocab,
        text: *const c_char,
        length: i32,
        tokens: *mut Token,
        room: i32,
        control: bool,
        out: *mut i32,
    ) -> i32;
    pub(super) fn probity_engine_spell(
        vocab: *const sys::llama_vocab,
        token: Token,
        text: *mut c_char,
        room: i32,
        out: *mut i32,
    ) -> i32;
    pub(super) fn probity_engine_context_new(
        model: *mut sys::llama_model,
        params: sys::llama_context_params,
        out: *mut *mut sys::llama_context,
    ) -> i32;
    pub(super) fn probity_engine_context_free(context: *mut sys::llama_context) -> i32;
    pub(super) fn probity_engine_pool_new(
        params: sys::ggml_threadpool_params,
        out: *mut *mut sys::ggml_threadpool,
    ) -> i32;
    pub(super) fn probity_engine_pool_attach(context: *mut sys::llama_context, pool: *mut sys::ggml_threadpool) -> i32;
    pub(super) fn probity_engine_decode(
        context: *mut sys::llama_context,
        batch: sys::llama_batch,
        code: *mut i32,
    ) -> i32;
    pub(super) fn probity_engine_logits(context: *mut sys::llama_context, row: i32, out: *mut *mut f32) -> i32;
    pub(super) fn probity_engine_state(context: *mut sys::llama_context, row: i32, out: *mut *mut f32) -> i32;
    pub(super) fn probity_engine_cache_clear(context: *mut sys::llama_context) -> i32;
    pub(super) fn probity_engine_cache_truncate(context: *mut sys::llama_context, sequence: i32, from: i32) -> i32;
    pub(super) fn probity_engine_cache_share(context: *mut sys::llama_context, to: i32) -> i32;
    pub(super) fn probity_engine_adapter_load(
        model: *mut sys::llama_model,
        lent: *const Lent,
        out: *mut *mut sys::llama_adapter_lora,
    ) -> i32;
    pub(super) fn probity_engine_adapter_free(adapter: *mut sys::llama_adapter_lora) -> i32;
    pub(super) fn probity_engine_adapters_set(
        context: *mut sys::llama_context,
        adapters: *mut *mut sys::llama_adapter_lora,
        n: usize,
        scales: *mut f32,
    ) -> i32;
    pub(super) fn probity_engine_grammar_new(
        vocab: *const sys::llama_vocab,
        text: *const c_char,
        out: *mut *mut sys::llama_sampler,
    ) -> i32;
    pub(super) fn probity_engine_grammar_apply(
        grammar: *mut sys::llama_sampler,
        candidates: *mut sys::llama_token_data_array,
    ) -> i32;
    pub(super) fn probity_engine_grammar_accept(grammar: *mut sys::llama_sampler, token: Token) -> i32;
    pub(super) fn probity_engine_grammar_free(grammar: *mut sys::llama_sampler) -> i32;
    fn probity_engine_floats_standard(caller: *mut Floats);
    fn probity_engine_floats_restore(caller: *const Floats);
}

/// Bytes that llama.cpp reads as a file.
#[repr(C)]
pub(super) struct Lent {
    /// Bytes that come first.
    pub head: *const u8,
    pub head_length: u64,
    /// The bytes after them: in memory, or null for a file.
    pub bytes: *const u8,
    /// An open file, by its descriptor (Windows: its handle); -1 for memory.
    pub file: isize,
    /// Where the bytes after the head start, in memory or in the file.
    pub offset: u64,
    /// Bytes after the head.
    pub length: u64,
}

/// A call that did not do its work.
#[derive(Debug)]
pub(super) struct Failed {
    pub error: Error,
    pub ending: Ending,
}

/// How a failed call left llama.cpp's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// As it was before.
    Refused,
    /// Unfit for use, but whole enough to be freed.
    Threw,
    /// Unknown: freeing it may free memory twice.
    Damaged,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Makes a call of the shim; on failure the error holds llama.cpp's reason.
pub(super) fn call(action: &'static str, call: impl FnOnce() -> i32) -> std::result::Result<(), Failed> {
    let (ending, logged) = collect_reason(call);
    let ending = match ending {
        0 => return Ok(()),
        1 => Ending::Refused,
        2 => Ending::Threw,
        _ => Ending::Damaged,
    };
    // SAFETY: the text is this thread's own, ends in NUL, and stays until this thread's next call.
    let thrown = unsafe { CStr::from_ptr(probity_engine_reason()) }.to_string_lossy();
    let reason = match (logged.is_empty(), thrown.is_empty()) {
        (true, true) => "it gave no reason".to_owned(),
        (true, false) => thrown.into_owned(),
        (false, true) => logged,
        (false, false) => format!("{logged}; {thrown}"),
    };
    Err(Failed { error: Error::Llama { action, reason }, ending })
}

/// Makes a call that hands out a pointer.
pub(super) fn call_for<T>(
    action: &'static str,
    make: impl FnOnce(*mut *mut T) -> i32,
) -> std::result::Result<std::ptr::NonNull<T>, Failed> {
    let mut out = std::ptr::null_mut();
    call(action, || make(&raw mut out))?;
    std::ptr::NonNull::new(out).ok_or_else(|| Failed {
        error: Error::Llama { action, reason: "it gave nothing".into() },
        ending: Ending::Refused,
    })
}

/// Room for C's `fenv_t`.
#[repr(C, align(16))]
struct Floats([u8; 64]);

/// The standard floating-point environment, until it is dropped.
///
/// A host may have set another rounding mode, or flush subnormal numbers to zero; either would change a decision's
/// bits. The host's environment comes back with the drop.
pub struct StandardFloats {
    caller: MaybeUninit<Floats>,
    /// The environment is a thread's own.
    _thread: std::marker::PhantomData<*const ()>,
}

impl StandardFloats {
    /// Puts the caller's environment aside.
    #[must_use]
    pub fn enter() -> Self {
        let mut caller = MaybeUninit::uninit();
        // SAFETY: the shim writes the environment into it, which has room (asserted there).
        unsafe { probity_engine_floats_standard(caller.as_mut_ptr()) };
        Self { caller, _thread: std::marker::PhantomData }
    }
}

impl Drop for StandardFloats {
    fn drop(&mut self) {
        // SAFETY: `enter` wrote it, on this thread.
        unsafe { probity_engine_floats_restore(self.caller.as_ptr()) }
    }
}
