//! Handles: an object lives in a map of its kind, C holds its index with a generation and the map's identity.
//!
//! The map holds `Arc`s. A call clones the one it needs and lets go of the map before it works, so a long decision
//! blocks nobody, and an object freed meanwhile lives until the call returns.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use ffi_support::handle_map::{Handle, HandleError, HandleMap, MAX_CAPACITY};

use super::boundary::{Failure, Outcome};
use super::status::{
    PROBITY_STATUS_FOREIGN_HANDLE, PROBITY_STATUS_INVALID_HANDLE, PROBITY_STATUS_LIMIT, PROBITY_STATUS_STALE_HANDLE,
};

/// All live objects of one kind.
pub(super) struct Objects<T> {
    kind: &'static str,
    map: LazyLock<RwLock<HandleMap<Arc<T>>>>,
}

impl<T> Objects<T> {
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, map: LazyLock::new(|| RwLock::new(HandleMap::new())) }
    }

    /// Takes an object in.
    pub fn insert(&self, object: T) -> Outcome<u64> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        // The map panics when it is full; refuse before.
        if map.len() >= MAX_CAPACITY - 1 {
            let message = format!("{} {}s are alive, expected fewer: free some", map.len(), self.kind);
            return Err(Failure::new(PROBITY_STATUS_LIMIT, message));
        }
        Ok(map.insert(Arc::new(object)).into_u64())
    }

    /// The object of a handle.
    pub fn get(&self, handle: u64) -> Outcome<Arc<T>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        Handle::from_u64(handle).and_then(|h| map.get(h).cloned()).map_err(|e| self.refuse(&e))
    }

    /// Lets an object go.
    pub fn remove(&self, handle: u64) -> Outcome<Arc<T>> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        Handle::from_u64(handle).and_then(|h| map.remove(h)).map_err(|e| self.refuse(&e))
    }

    fn refuse(&self, error: &HandleError) -> Failure {
        let kind = self.kind;
        match error {
            HandleError::StaleVersion => {
                Failure::new(PROBITY_STATUS_STALE_HANDLE, format!("{kind}: freed already, expected a live one"))
            }
            HandleError::WrongMap => {
                Failure::new(PROBITY_STATUS_FOREIGN_HANDLE, format!("a handle of something else, expected a {kind}"))
            }
            HandleError::NullHandle | HandleError::InvalidHandle | HandleError::IndexPastEnd => {
                Failure::new(PROBITY_STATUS_INVALID_HANDLE, format!("no handle of this library, expected a {kind}"))
            }
        }
    }
}
