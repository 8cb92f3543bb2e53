//! Logs go to a callback, never to standard error.

use std::ffi::{CString, c_char, c_void};

use probity_engine::{LogLevel, set_log};

use super::boundary::call;
use super::status::{probity_error_t, probity_status_t};

/// Importance of a log line: 0 debug, 1 information, 2 warning, 3 error.
pub type probity_log_level_t = u32;

/// Receives log lines, on any thread; `line` lives for the call.
///
/// Must not call back into the library.
pub type probity_log_callback_t =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: probity_log_level_t, line: *const c_char)>;

struct UserData(*mut c_void);
// SAFETY: the contract: the callback may be called with this pointer on any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

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
    let body = || {
        let user_data = UserData(user_data);
        set_log(callback.map(|callback| {
            let sink = move |level: LogLevel, line: &str| {
                if level as u32 >= minimum
                    && let Ok(line) = CString::new(line)
                {
                    // SAFETY: the contract.
                    unsafe { callback(user_data.get(), level as u32, line.as_ptr()) }
                }
            };
            Box::new(sink) as Box<dyn Fn(LogLevel, &str) + Send + Sync>
        }));
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}
