//! Work on a stack of its own, for recursion whose depth a file or a text decides.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::{Error, Result};

/// Runs `work` on a stack of so many bytes.
///
/// The caller's stack may be as small as a phone gives to a background thread. A new thread would do, too, but Rust
/// ends the process where there is no memory for one.
///
/// # Errors
/// [`Error::Llama`] if the system gives no such stack.
pub(super) fn on_a_stack<T>(bytes: usize, work: impl FnOnce() -> T) -> Result<T> {
    let mut outcome = None;
    let mut work = Some(work);
    let grown = catch_unwind(AssertUnwindSafe(|| {
        stacker::grow(bytes, || outcome = work.take().map(|work| catch_unwind(AssertUnwindSafe(work))));
    }));
    match (grown, outcome) {
        (_, Some(Ok(result))) => Ok(result),
        (_, Some(Err(panic))) => resume_unwind(panic),
        (_, None) => {
            let reason = format!("the system has no {} KiB for it", bytes >> 10);
            Err(Error::Llama { action: "make a stack", reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(n: usize) -> usize {
        let ballast = [n; 64];
        if n == 0 { 0 } else { 1 + deep(std::hint::black_box(ballast[7]) - 1) }
    }

    #[test]
    fn deep_recursion_fits_and_a_panic_is_the_caller_s() {
        let small = std::thread::Builder::new().stack_size(128 << 10);
        let run = || on_a_stack(64 << 20, || deep(50_000)).unwrap();
        assert_eq!(small.spawn(run).unwrap().join().unwrap(), 50_000);
        let panic = catch_unwind(|| on_a_stack(1 << 20, || panic!("as it was"))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as it was"));
        assert!(on_a_stack(usize::MAX / 4, || ()).is_err());
    }
}
