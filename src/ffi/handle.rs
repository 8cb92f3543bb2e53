//! Handles: an object lives in a map of its kind, and C holds a number for it.
//!
//! No number is ever given out twice: it names the copy of the library, the kind of object, a slot of the map, and how
//! often the slot was used. A slot retires when its uses are counted out. So a handle that is stale, foreign or
//! invented is an error, and never another object.
//!
//! The map holds `Arc`s. A call clones its object's `Arc` and releases the map before it works. So a long decision
//! blocks no other call, and an object freed meanwhile lives until the call returns.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::RwLock;

use super::boundary::{Failure, Outcome};
use crate::Status;

/// The upper byte of every handle: an invented number rarely has it.
const MARK: u64 = 0xa7;
/// The most slots of a map, and the most uses of a slot.
const MOST: u32 = (1 << 20) - 1;

/// A handle, taken apart.
///
/// The fields have 8, 12, 4, 20 and 20 bits, the upper bits first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    mark: u64,
    /// The copy of the library.
    copy: u32,
    /// The kind of object.
    kind: u32,
    /// How often the slot was used, this time included.
    uses: u32,
    slot: u32,
}

impl Handle {
    fn of(number: u64) -> Self {
        let field = |at: u32, bits: u32| (number >> at) as u32 & ((1 << bits) - 1);
        Self { mark: number >> 56, copy: field(44, 12), kind: field(40, 4), uses: field(20, 20), slot: field(0, 20) }
    }

    fn number(self) -> u64 {
        let field = |value: u32, at: u32| u64::from(value) << at;
        self.mark << 56 | field(self.copy, 44) | field(self.kind, 40) | field(self.uses, 20) | field(self.slot, 0)
    }
}

/// The number of this copy of the library.
///
/// Another copy in the process has another number, but for one of 4,096 pairs.
static COPY: LazyLock<u32> = LazyLock::new(|| RandomState::new().hash_one("probity") as u32 & 0xfff);

/// The names of the kinds in use; a kind's index is its number.
static KINDS: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

/// All live objects of one kind.
pub(super) struct Objects<T> {
    kind: &'static str,
    /// The number of the kind; taken at its first use.
    number: OnceLock<u32>,
    slots: RwLock<Slots<Arc<T>>>,
}

impl<T: Send + Sync + 'static> Objects<T> {
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, number: OnceLock::new(), slots: RwLock::new(Slots::new(MOST)) }
    }

    fn number(&self) -> u32 {
        *self.number.get_or_init(|| {
            let mut kinds = KINDS.write();
            assert!(kinds.len() < 16, "a handle has four bits for the kind");
            kinds.push(self.kind);
            kinds.len() as u32 - 1
        })
    }

    /// Takes an object in.
    pub fn insert(&self, object: T) -> Outcome<u64> {
        let mut slots = self.slots.write();
        let Some((slot, uses)) = slots.insert(Arc::new(object)) else {
            let message = format!("{} {}s are alive, expected fewer: free some", slots.live(), self.kind);
            return Err(Failure::new(Status::LIMIT, message));
        };
        Ok(Handle { mark: MARK, copy: *COPY, kind: self.number(), uses, slot }.number())
    }

    /// The object of a handle.
    pub fn get(&self, handle: u64) -> Outcome<Arc<T>> {
        let handle = self.check(handle)?;
        self.slots.read().get(handle.slot, handle.uses).cloned().map_err(|absent| match absent {
            Absent::Never => self.invalid(),
            Absent::Gone => {
                Failure::new(Status::STALE_HANDLE, format!("{}: freed already, expected a live one", self.kind))
            }
        })
    }

    /// Lets an object go.
    pub fn remove(&self, handle: u64) -> Outcome<()> {
        let handle = self.check(handle)?;
        // Dropped after the lock: the last reference frees a model.
        let removed = self.slots.write().remove(handle.slot, handle.uses);
        removed.map(drop).map_err(|absent| match absent {
            Absent::Never => self.invalid(),
            Absent::Gone => {
                Failure::new(Status::DOUBLE_FREE, format!("{}: freed already, expected to be freed once", self.kind))
            }
        })
    }

    /// Refuses a handle that this map never gave out, as far as its bits tell.
    fn check(&self, number: u64) -> Outcome<Handle> {
        let (handle, kind) = (Handle::of(number), self.kind);
        if handle.mark != MARK {
            return Err(self.invalid());
        }
        if handle.copy != *COPY {
            let message = format!("a handle of another copy of the library, expected a {kind} of this one");
            return Err(Failure::new(Status::FOREIGN_HANDLE, message));
        }
        if handle.kind != self.number() {
            let Some(&other) = KINDS.read().get(handle.kind as usize) else { return Err(self.invalid()) };
            let message = format!("a handle of type {other}, expected type {kind}");
            return Err(Failure::new(Status::WRONG_TYPE, message));
        }
        Ok(handle)
    }

    fn invalid(&self) -> Failure {
        let message = format!("no handle of this library, expected a {}", self.kind);
        Failure::new(Status::INVALID_HANDLE, message)
    }
}

/// Objects in slots that are used again, each so often.
struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Empty slots with uses left.
    free: Vec<u32>,
    /// The most slots, and the most uses of a slot.
    most: u32,
}

struct Slot<T> {
    object: Option<T>,
    uses: u32,
}

/// Why a slot does not hold a use's object.
#[derive(Debug, PartialEq, Eq)]
enum Absent {
    /// It never did.
    Never,
    /// The object was removed.
    Gone,
}

impl<T> Slots<T> {
    const fn new(most: u32) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), most }
    }

    /// Slot and use of a new object; `None` if every slot is full or retired.
    fn insert(&mut self, object: T) -> Option<(u32, u32)> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.most as usize => {
                self.slots.push(Slot { object: None, uses: 0 });
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let slot = &mut self.slots[index as usize];
        slot.object = Some(object);
        slot.uses += 1;
        Some((index, slot.uses))
    }

    fn get(&self, index: u32, uses: u32) -> Result<&T, Absent> {
        let slot =
            self.slots.get(index as usize).filter(|slot| (1..=slot.uses).contains(&uses)).ok_or(Absent::Never)?;
        slot.object.as_ref().filter(|_| slot.uses == uses).ok_or(Absent::Gone)
    }

    fn remove(&mut self, index: u32, uses: u32) -> Result<T, Absent> {
        self.get(index, uses)?;
        let slot = &mut self.slots[index as usize];
        if slot.uses < self.most {
            self.free.push(index);
        }
        slot.object.take().ok_or(Absent::Gone)
    }

    fn live(&self) -> usize {
        self.slots.iter().filter(|slot| slot.object.is_some()).count()
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_handle_keeps_its_parts() {
        let handle = Handle { mark: MARK, copy: 0xabc, kind: 15, uses: MOST, slot: MOST - 1 };
        assert_eq!(Handle::of(handle.number()), handle);
        assert_ne!(Handle::of(0).mark, MARK);
    }

    #[test]
    fn no_handle_is_given_out_twice_and_worn_slots_retire() {
        const MOST: u32 = 5;
        let mut slots = Slots::new(MOST);
        let mut given = HashSet::new();
        // Five slots of five uses each.
        for n in 0..25 {
            let (slot, uses) = slots.insert(n).unwrap();
            assert!(given.insert((slot, uses)), "given twice");
            assert_eq!(slots.get(slot, uses), Ok(&n));
            assert_eq!(slots.remove(slot, uses), Ok(n));
            assert_eq!(slots.get(slot, uses), Err(Absent::Gone));
            assert_eq!(slots.remove(slot, uses), Err(Absent::Gone));
            assert_eq!(slots.get(slot, uses + 1), Err(Absent::Never));
        }
        assert_eq!(slots.insert(25), None);
        assert!(given.iter().all(|&(slot, uses)| slots.get(slot, uses) == Err(Absent::Gone)));
    }

    #[test]
    fn a_stale_handle_meets_no_stranger() {
        static OBJECTS: Objects<u32> = Objects::new("number");
        let first = OBJECTS.insert(0).unwrap();
        OBJECTS.remove(first).unwrap();
        // The number of reuses after which the old map gave the first handle out again.
        for n in 0..if cfg!(miri) { 40 } else { 40_000 } {
            let handle = OBJECTS.insert(n).unwrap();
            assert_ne!(handle, first);
            OBJECTS.remove(handle).unwrap();
        }
        let last = OBJECTS.insert(7).unwrap();
        assert_eq!(OBJECTS.get(first).unwrap_err().status, Status::STALE_HANDLE);
        assert_eq!(OBJECTS.remove(first).unwrap_err().status, Status::DOUBLE_FREE);
        assert_eq!(*OBJECTS.get(last).unwrap(), 7);
    }
}
