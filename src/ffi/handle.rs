//! Handles: an object lives in a map of its kind, C holds its index with a generation and the map's identity.
//!
//! The map holds `Arc`s. A call clones the one it needs and lets go of the map before it works, so a long decision
//! blocks nobody, and an object freed meanwhile lives until the call returns.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use ffi_support::handle_map::{Handle, HandleError, HandleMap, MAX_CAPACITY};

use super::adapter::ADAPTERS;
use super::agent::AGENTS;
use super::boundary::{Failure, Outcome};
use super::game::GAMES;
use super::graph::GRAPHS;
use super::model::MODELS;
use super::status::{
    PROBITY_STATUS_DOUBLE_FREE, PROBITY_STATUS_FOREIGN_HANDLE, PROBITY_STATUS_INVALID_HANDLE, PROBITY_STATUS_LIMIT,
    PROBITY_STATUS_STALE_HANDLE, PROBITY_STATUS_WRONG_TYPE,
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
        // The map panics when it would have to grow past its capacity, always one entry early; refuse before.
        if map.len() >= MAX_CAPACITY - 2 {
            let message = format!("{} {}s are alive, expected fewer: free some", map.len(), self.kind);
            return Err(Failure::new(PROBITY_STATUS_LIMIT, message));
        }
        Ok(map.insert(Arc::new(object)).into_u64())
    }

    /// The object of a handle.
    pub fn get(&self, handle: u64) -> Outcome<Arc<T>> {
        let found = {
            let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
            Handle::from_u64(handle).and_then(|h| map.get(h).cloned())
        };
        found.map_err(|e| self.refuse(handle, &e))
    }

    /// Lets an object go.
    pub fn remove(&self, handle: u64) -> Outcome<Arc<T>> {
        let removed = {
            let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
            Handle::from_u64(handle).and_then(|h| map.remove(h))
        };
        removed.map_err(|e| match e {
            HandleError::StaleVersion => {
                let message = format!("{}: freed already, expected to be freed once", self.kind);
                Failure::new(PROBITY_STATUS_DOUBLE_FREE, message)
            }
            e => self.refuse(handle, &e),
        })
    }

    /// Whether a handle is, or was, one of this kind.
    fn knows(&self, handle: Handle) -> bool {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        !matches!(map.get(handle), Err(HandleError::WrongMap))
    }

    /// Looks into every map: no lock may be held.
    fn refuse(&self, handle: u64, error: &HandleError) -> Failure {
        let kind = self.kind;
        match error {
            HandleError::StaleVersion => {
                Failure::new(PROBITY_STATUS_STALE_HANDLE, format!("{kind}: freed already, expected a live one"))
            }
            HandleError::WrongMap => match kind_of(handle) {
                Some(other) => {
                    Failure::new(PROBITY_STATUS_WRONG_TYPE, format!("a handle of type {other}, expected type {kind}"))
                }
                None => {
                    let message = format!("a handle of another copy of the library, expected a {kind} of this one");
                    Failure::new(PROBITY_STATUS_FOREIGN_HANDLE, message)
                }
            },
            HandleError::NullHandle | HandleError::InvalidHandle | HandleError::IndexPastEnd => {
                Failure::new(PROBITY_STATUS_INVALID_HANDLE, format!("no handle of this library, expected a {kind}"))
            }
        }
    }
}

/// The kind of this library's objects that a handle belongs to.
fn kind_of(handle: u64) -> Option<&'static str> {
    let handle = Handle::from_u64(handle).ok()?;
    [
        (MODELS.knows(handle), "model"),
        (ADAPTERS.knows(handle), "adapter"),
        (GAMES.knows(handle), "game"),
        (AGENTS.knows(handle), "agent"),
        (GRAPHS.knows(handle), "graph"),
    ]
    .into_iter()
    .find_map(|(known, kind)| known.then_some(kind))
}
