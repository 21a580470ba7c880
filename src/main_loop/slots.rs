//! Tables whose keys never come back.
//!
//! A slab reuses its indexes, which is what makes it fast and what makes a bare
//! index dangerous: a callback may hold the key of something that was removed
//! and whose place is taken. So every key also carries a serial number that is
//! never given out twice, and a stale key finds nothing. The serial doubles as
//! the order of addition.

use std::num::NonZeroU64;

use slab::Slab;

/// A place in a table and the serial of what was put there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Id {
    pub(super) slot: usize,
    pub(super) serial: NonZeroU64,
}

struct Slot<T> {
    serial: NonZeroU64,
    value: T,
}

/// A table of `T` by [`Id`].
pub(super) struct Slots<T> {
    slab: Slab<Slot<T>>,
    next: NonZeroU64,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            slab: Slab::new(),
            next: NonZeroU64::MIN,
        }
    }

    pub(super) fn insert(&mut self, value: T) -> Id {
        let serial = self.next;
        // 2^64 insertions take centuries; saturating keeps the type honest.
        self.next = serial.saturating_add(1);
        let slot = self.slab.insert(Slot { serial, value });
        Id { slot, serial }
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        let slot = self.slab.get(id.slot)?;
        (slot.serial == id.serial).then_some(&slot.value)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let slot = self.slab.get_mut(id.slot)?;
        (slot.serial == id.serial).then_some(&mut slot.value)
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        Some(self.slab.remove(id.slot).value)
    }

    /// Whatever is in a place now, with its id. For lists kept inside the loop,
    /// which are mended at each removal and so never hold a stale place.
    pub(super) fn at(&self, slot: usize) -> Option<(Id, &T)> {
        let entry = self.slab.get(slot)?;
        let id = Id {
            slot,
            serial: entry.serial,
        };
        Some((id, &entry.value))
    }

    pub(super) fn at_mut(&mut self, slot: usize) -> Option<&mut T> {
        Some(&mut self.slab.get_mut(slot)?.value)
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing_though_its_slot_is_taken() {
        let mut slots = Slots::new();
        let old = slots.insert("old");
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new");
        assert_eq!(new.slot, old.slot, "the slab reuses the slot");
        assert_eq!(slots.get(old), None);
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&"new"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn serials_follow_the_order_of_addition() {
        let mut slots = Slots::new();
        let first = slots.insert(1);
        let second = slots.insert(2);
        slots.remove(first);
        let third = slots.insert(3);
        assert!(third.slot < second.slot);
        assert!(third.serial > second.serial);
    }
}
