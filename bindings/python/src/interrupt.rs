//! Long work: without the interpreter's lock, and stopped by Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use probity_engine::{CancelToken, StandardFloats};
use pyo3::prelude::*;

use super::errors::{self, Failure};

/// How long a signal may wait to be seen.
const WAIT: Duration = Duration::from_millis(20);

/// Runs work on a thread of its own.
///
/// `stop` is called once a signal, such as Ctrl-C, raises an exception.
/// Python runs handlers of signals on its main thread, between its own instructions: the calling thread looks for them
/// while the work runs.
pub fn run<T: Send, E: Into<Failure> + Send>(
    py: Python<'_>,
    stop: impl Fn() + Sync,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    // As at the C boundary: the child of a fork is told so, and the caller's rounding mode is not the work's.
    probity_engine::check_process().map_err(errors::of)?;
    let (done, caller) = (AtomicBool::new(false), std::thread::current());
    let mut raised = None;
    let result = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let _floats = StandardFloats::enter();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            done.store(true, Ordering::Release);
            caller.unpark();
            result
        });
        while !done.load(Ordering::Acquire) {
            py.detach(|| std::thread::park_timeout(WAIT));
            if let (Err(error), true) = (py.check_signals(), raised.is_none()) {
                raised = Some(error);
                stop();
            }
        }
        py.detach(|| worker.join())
    });
    let result = result.and_then(|caught| caught).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match raised {
        Some(error) => Err(error),
        None => result.map_err(|error| error.into().into()),
    }
}

/// As [`run`], for work that a token stops.
pub fn run_with<T: Send>(
    py: Python<'_>,
    token: &CancelToken,
    work: impl FnOnce() -> probity::Result<T> + Send,
) -> PyResult<T> {
    let stopped = AtomicBool::new(false);
    let stop = || {
        stopped.store(true, Ordering::Relaxed);
        token.cancel();
    };
    let result = run(py, stop, work);
    if stopped.load(Ordering::Relaxed) {
        // Work that ended just then has not seen the request, which would stop the next.
        token.clear();
    }
    result
}

/// A progress callback of Python's, told the share done, 0 to 1.
///
/// `False`, an exception or a signal stops the work.
pub struct Progress {
    callback: Option<Py<PyAny>>,
    /// What the callback raised.
    raised: Mutex<Option<PyErr>>,
    stopped: AtomicBool,
}

impl Progress {
    /// `None` hears nothing.
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, raised: Mutex::default(), stopped: AtomicBool::new(false) }
    }

    /// Tells a share; whether to go on.
    pub fn tell(&self, share: f32) -> bool {
        if self.stopped.load(Ordering::Relaxed) {
            return false;
        }
        let Some(callback) = &self.callback else { return true };
        Python::attach(|py| match callback.call1(py, (share,)) {
            Ok(answer) => !answer.bind(py).is(false.into_pyobject(py).expect("a bool")),
            Err(error) => {
                *self.raised.lock() = Some(error);
                false
            }
        })
    }

    /// Runs work that tells its progress.
    pub fn run<T: Send>(
        self,
        py: Python<'_>,
        work: impl FnOnce(&dyn Fn(f32) -> bool) -> probity::Result<T> + Send,
    ) -> PyResult<T> {
        let result = run(py, || self.stopped.store(true, Ordering::Relaxed), || work(&|share| self.tell(share)));
        match self.raised.into_inner() {
            Some(error) => Err(error),
            None => result,
        }
    }
}
