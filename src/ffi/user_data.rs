//! Data of the host that the library keeps for a callback, or as bytes of a file.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::boundary::{Give, Outcome};

/// Frees what `user_data` points to.
pub type probity_user_data_free_t = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// A host's data, which are freed with whatever uses them.
pub(super) struct UserData {
    data: *mut c_void,
    free: probity_user_data_free_t,
    /// Whether the library owns the data: a call that fails leaves it to the caller.
    owned: Arc<AtomicBool>,
}

// SAFETY: the contract: callbacks may be called with this pointer on any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    /// The data, which the library owns once the flag is set.
    pub fn new(data: *mut c_void, free: probity_user_data_free_t) -> (Self, Arc<AtomicBool>) {
        let owned = Arc::new(AtomicBool::new(false));
        (Self { data, free, owned: Arc::clone(&owned) }, owned)
    }

    pub fn get(&self) -> *mut c_void {
        self.data
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free.filter(|_| self.owned.load(Ordering::Acquire)) {
            // SAFETY: the contract; nobody else has the data any more.
            unsafe { free(self.data) }
        }
    }
}

/// A result with the flag of the data that it uses.
///
/// The library owns the data once C has the result.
pub(super) struct Owning<T>(pub T, pub Arc<AtomicBool>);

impl<T: Give> Give for Owning<T> {
    type Given = T::Given;

    fn give(self) -> Outcome<T::Given> {
        let given = self.0.give()?;
        self.1.store(true, Ordering::Release);
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn free(data: *mut c_void) {
        // SAFETY: the tests' data are boxes of counters.
        let counter = unsafe { Box::from_raw(data.cast::<Arc<AtomicBool>>()) };
        assert!(!counter.swap(true, Ordering::AcqRel), "freed once");
    }

    #[test]
    fn data_are_freed_once_where_the_library_owns_them() {
        for owns in [true, false] {
            let freed = Arc::new(AtomicBool::new(false));
            let data: *mut c_void = Box::into_raw(Box::new(Arc::clone(&freed))).cast();
            let (held, owned) = UserData::new(data, Some(free));
            assert_eq!(held.get(), data);
            owned.store(owns, Ordering::Release);
            std::thread::spawn(move || drop(held)).join().unwrap();
            assert_eq!(freed.load(Ordering::Acquire), owns);
            if !owns {
                // SAFETY: nobody has freed them.
                unsafe { free(data) }
            }
        }
    }
}
