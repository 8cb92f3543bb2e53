//! Logs go to a callback, never to standard error.

use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::Ordering;

use probity_engine::{LogLevel, set_log};

use super::boundary::call;
use super::status::{probity_error_t, probity_status_t};
use super::user_data::{UserData, probity_user_data_free_t};

/// Importance of a log line: one of the `PROBITY_LOG_*` numbers.
pub type probity_log_level_t = u32;

/// Receives log lines, on any thread; `line` lives for the call.
///
/// Must not call back into the library.
pub type probity_log_callback_t =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: probity_log_level_t, line: *const c_char)>;

/// Detail for debugging the engine.
pub const PROBITY_LOG_DEBUG: probity_log_level_t = 0;
/// Ordinary progress.
pub const PROBITY_LOG_INFO: probity_log_level_t = 1;
/// Something looks wrong.
pub const PROBITY_LOG_WARN: probity_log_level_t = 2;
/// An operation failed; the same text is in the error of the call.
pub const PROBITY_LOG_ERROR: probity_log_level_t = 3;

/// Sets where log lines go, for the whole process. At the start they go nowhere.
///
/// - `callback`: called from any thread until it is replaced and every call that was running then has returned; NULL to
///   drop the lines.
/// - `user_data`: passed to `callback` as it is; yours, for as long as `callback` may be called; may be NULL.
/// - `minimum`: the least importance that is passed on.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_log_set(
    callback: probity_log_callback_t,
    user_data: *mut c_void,
    minimum: probity_log_level_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { probity_log_set_owned(callback, user_data, None, minimum, error) }
}

/// As `probity_log_set`, with data that the library frees.
///
/// - `callback`: as in `probity_log_set`.
/// - `user_data`: passed to `callback` as it is; the library's, unless the call fails; may be NULL.
/// - `user_data_free`: called with `user_data` once, when `callback` was replaced and its last call has returned; NULL
///   for none.
/// - `minimum`: the least importance that is passed on.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_log_set_owned(
    callback: probity_log_callback_t,
    user_data: *mut c_void,
    user_data_free: probity_user_data_free_t,
    minimum: probity_log_level_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let (user_data, owned) = UserData::new(user_data, user_data_free);
        set_log(callback.map(|callback| {
            let sink = move |level: LogLevel, line: &str| {
                let level = number(level);
                if level >= minimum
                    && let Ok(line) = CString::new(line)
                {
                    // SAFETY: the contract.
                    unsafe { callback(user_data.get(), level, line.as_ptr()) }
                }
            };
            Box::new(sink) as Box<dyn Fn(LogLevel, &str) + Send + Sync>
        }));
        owned.store(true, Ordering::Release);
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

fn number(level: LogLevel) -> probity_log_level_t {
    match level {
        LogLevel::Debug => PROBITY_LOG_DEBUG,
        LogLevel::Info => PROBITY_LOG_INFO,
        LogLevel::Warn => PROBITY_LOG_WARN,
        LogLevel::Error => PROBITY_LOG_ERROR,
    }
}
