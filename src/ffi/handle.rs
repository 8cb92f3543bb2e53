//! Handles: an object lives in a map of its kind.
//!
//! C holds the object's index with a generation and the map's identity.
//!
//! The map holds `Arc`s. A call clones its object's `Arc` and releases the map before it works. So a long decision
//! blocks no other call, and an object freed meanwhile lives until the call returns.

use std::sync::{Arc, LazyLock, Once};

use ffi_support::handle_map::{Handle, HandleError, HandleMap, MAX_CAPACITY};
use parking_lot::RwLock;

use super::boundary::{Failure, Outcome};
use super::status::{
    PROBITY_STATUS_DOUBLE_FREE, PROBITY_STATUS_FOREIGN_HANDLE, PROBITY_STATUS_INVALID_HANDLE, PROBITY_STATUS_LIMIT,
    PROBITY_STATUS_STALE_HANDLE, PROBITY_STATUS_WRONG_TYPE,
};

/// All live objects of one kind.
pub(super) struct Objects<T> {
    kind: &'static str,
    map: LazyLock<RwLock<HandleMap<Arc<T>>>>,
    /// Set once the kind is among [`KINDS`].
    known: Once,
}

/// Every kind of object in use, to name the kind of a mistaken handle.
static KINDS: RwLock<Vec<&'static dyn Kind>> = RwLock::new(Vec::new());

/// A map of objects, whatever they are.
trait Kind: Send + Sync {
    fn name(&self) -> &'static str;

    /// Whether a handle is, or was, one of this kind.
    fn knows(&self, handle: Handle) -> bool;
}

impl<T: Send + Sync> Kind for Objects<T> {
    fn name(&self) -> &'static str {
        self.kind
    }

    fn knows(&self, handle: Handle) -> bool {
        !matches!(self.map.read().get(handle), Err(HandleError::WrongMap))
    }
}

impl<T: Send + Sync + 'static> Objects<T> {
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, map: LazyLock::new(|| RwLock::new(HandleMap::new())), known: Once::new() }
    }

    /// Takes an object in.
    pub fn insert(&'static self, object: T) -> Outcome<u64> {
        // Before the map's lock: `kind_of` takes both locks in this order.
        self.known.call_once(|| KINDS.write().push(self));
        let mut map = self.map.write();
        // The map panics when it would have to grow past its capacity, always one entry early; refuse before.
        if map.len() >= MAX_CAPACITY - 2 {
            let message = format!("{} {}s are alive, expected fewer: free some", map.len(), self.kind);
            return Err(Failure::new(PROBITY_STATUS_LIMIT, message));
        }
        Ok(map.insert(Arc::new(object)).into_u64())
    }

    /// The object of a handle.
    pub fn get(&self, handle: u64) -> Outcome<Arc<T>> {
        let found = Handle::from_u64(handle).and_then(|h| self.map.read().get(h).cloned());
        found.map_err(|e| self.refuse(handle, &e))
    }

    /// Lets an object go.
    pub fn remove(&self, handle: u64) -> Outcome<()> {
        // Dropped after the lock: the last reference frees a model.
        let removed = Handle::from_u64(handle).and_then(|h| self.map.write().remove(h));
        removed.map(drop).map_err(|e| match e {
            HandleError::StaleVersion => {
                let message = format!("{}: freed already, expected to be freed once", self.kind);
                Failure::new(PROBITY_STATUS_DOUBLE_FREE, message)
            }
            e => self.refuse(handle, &e),
        })
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
    KINDS.read().iter().find(|kind| kind.knows(handle)).map(|kind| kind.name())
}

/// Gives a type handles: a struct around a `uint64_t`.
macro_rules! object {
    ($object:ty, $handle:ident, $kind:literal) => {
        static OBJECTS: $crate::ffi::handle::Objects<$object> = $crate::ffi::handle::Objects::new($kind);

        impl $handle {
            /// The object, which lives on while the call has it.
            pub(super) fn get(self) -> $crate::ffi::boundary::Outcome<std::sync::Arc<$object>> {
                OBJECTS.get(self.id)
            }

            /// Lets the object go.
            fn remove(self) -> $crate::ffi::boundary::Outcome<()> {
                OBJECTS.remove(self.id)
            }
        }

        impl $crate::ffi::boundary::Give for $object {
            type Given = $handle;

            fn give(self) -> $crate::ffi::boundary::Outcome<$handle> {
                Ok($handle { id: OBJECTS.insert(self)? })
            }
        }
    };
}
pub(super) use object;
