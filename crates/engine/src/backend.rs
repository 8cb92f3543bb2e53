//! One-time initialisation of llama.cpp, and its log.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use llama_cpp_sys_2 as sys;
use parking_lot::{Mutex, RwLock};

use super::shim;
use crate::{Error, Result};

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Detail for debugging the engine.
    Debug = 0,
    /// Ordinary progress.
    Info = 1,
    /// Something looks wrong.
    Warn = 2,
    /// An operation failed; the same text is in the returned error.
    Error = 3,
}

type LogSink = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

static SINK: RwLock<Option<LogSink>> = RwLock::new(None);

thread_local! {
    /// Error lines of the engine while [`collect_reason`] is on this thread's stack.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sends every log line of the engine to `sink`, or drops them again with `None`.
///
/// The sink runs on any thread and must not call back into the library.
pub fn set_log(sink: Option<LogSink>) {
    let old = std::mem::replace(&mut *SINK.write(), sink);
    // Dropped after the lock: a sink may own what logs when it goes.
    drop(old);
}

/// The process that used the library first; 0 before.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Refuses the child of a fork whose parent had used the library.
///
/// The parent's threads do not exist in the child, and the library's locks may be held by them. The first call notes
/// the process, before it takes any lock.
///
/// # Errors
/// [`Error::Forked`].
#[doc(hidden)]
pub fn check_process() -> Result<()> {
    let own = std::process::id();
    match PROCESS.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(()),
        Err(first) if first == own => Ok(()),
        Err(_) => Err(Error::Forked),
    }
}

/// Starts the engine for the rest of the process; later calls find it started.
pub(super) fn start() -> Result<()> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    check_process()?;
    check_processor()?;
    let mut started = STARTED.lock();
    if !*started {
        // SAFETY: the callback is a plain function that never unwinds; it is set before any other engine call, so no
        // thread can be inside the old one.
        shim::call("start", || unsafe { shim::probity_engine_start(Some(on_log)) })?;
        *started = true;
    }
    Ok(())
}

/// Refuses a processor without the features that this build was compiled for.
///
/// llama.cpp would die of an illegal instruction on such a processor.
///
/// # Errors
/// [`Error::Processor`] naming the missing features.
pub fn check_processor() -> Result<()> {
    // A build for the machine at hand (`target-cpu=native`) promises nothing elsewhere; the portable x86-64 build is
    // compiled by llama-cpp-sys for Haswell and later.
    #[cfg(target_arch = "x86_64")]
    let needed = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("F16C", std::arch::is_x86_feature_detected!("f16c")),
        ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
    ];
    // Compiled for ARMv8-A; scripts/dot_products.c chooses further instructions on the processor that runs.
    #[cfg(target_arch = "aarch64")]
    let needed = [("NEON", std::arch::is_aarch64_feature_detected!("neon"))];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let needed = [];
    refuse_missing(&needed)
}

/// The version of llama.cpp.
#[must_use]
pub fn llama_version() -> &'static str {
    // SAFETY: a constant text that ends in NUL.
    unsafe { CStr::from_ptr(sys::llama_version()) }.to_str().unwrap_or_default()
}

/// The instruction sets that llama.cpp was compiled for.
#[must_use]
pub fn instruction_sets() -> Vec<&'static str> {
    // SAFETY: each asks for a constant.
    let has = unsafe {
        [
            ("AVX", sys::ggml_cpu_has_avx()),
            ("AVX2", sys::ggml_cpu_has_avx2()),
            ("AVX_VNNI", sys::ggml_cpu_has_avx_vnni()),
            ("AVX512", sys::ggml_cpu_has_avx512()),
            ("AVX512_VBMI", sys::ggml_cpu_has_avx512_vbmi()),
            ("AVX512_VNNI", sys::ggml_cpu_has_avx512_vnni()),
            ("AVX512_BF16", sys::ggml_cpu_has_avx512_bf16()),
            ("AMX_INT8", sys::ggml_cpu_has_amx_int8()),
            ("BMI2", sys::ggml_cpu_has_bmi2()),
            ("F16C", sys::ggml_cpu_has_f16c()),
            ("FMA", sys::ggml_cpu_has_fma()),
            ("NEON", sys::ggml_cpu_has_neon()),
            ("DOTPROD", sys::ggml_cpu_has_dotprod()),
            ("MATMUL_INT8", sys::ggml_cpu_has_matmul_int8()),
            ("SVE", sys::ggml_cpu_has_sve()),
        ]
    };
    has.into_iter().filter(|(_, has)| *has != 0).map(|(name, _)| name).collect()
}

/// Of instruction sets by name, refuses those that are not there.
fn refuse_missing(needed: &[(&str, bool)]) -> Result<()> {
    let missing: Vec<&str> = needed.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Processor { missing: missing.join(", ") }) }
}

/// Runs an engine call; returns the error lines it logged, too.
pub(super) fn collect_reason<T>(call: impl FnOnce() -> T) -> (T, String) {
    let outer = REASON.with(|r| r.replace(Some(String::new())));
    let result = call();
    let reason = REASON.with(|r| r.replace(outer)).unwrap_or_default();
    (result, reason)
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    // A panic must not cross into C++; a log line that cannot be delivered is dropped.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if text.is_null() {
            return;
        }
        // SAFETY: ggml passes a NUL-terminated string that lives for this call.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        let line = text.trim_end();
        if line.is_empty() || line.bytes().all(|b| b == b'.') {
            return;
        }
        let level = match level {
            sys::GGML_LOG_LEVEL_ERROR => LogLevel::Error,
            sys::GGML_LOG_LEVEL_WARN => LogLevel::Warn,
            sys::GGML_LOG_LEVEL_INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        if level == LogLevel::Error {
            REASON.with(|r| {
                if let Some(reason) = r.borrow_mut().as_mut() {
                    if !reason.is_empty() {
                        reason.push_str("; ");
                    }
                    reason.push_str(line);
                }
            });
        }
        if let Some(sink) = SINK.read().as_ref() {
            sink(level, line);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_what_the_build_needs_is_refused() {
        check_processor().unwrap();
        let error = refuse_missing(&[("AVX2", true), ("FMA", false), ("F16C", false)]).unwrap_err();
        assert_eq!(error.to_string(), "processor: lacks FMA, F16C, which this build of the library needs");
    }
}
