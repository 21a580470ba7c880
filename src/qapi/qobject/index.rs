//! The positions of a large dictionary's members in a hash table.
//!
//! The names stay in the dictionary's list. The table holds, per member, 32 bits of
//! the name's hash and 32 bits of position, in open addressing. It takes a third of
//! the memory of a map that owns its keys, and filling it allocates nothing per
//! member: such allocations would dominate parsing an object of ten thousand
//! members.

pub(super) use crate::fold_hash::hash;

/// Positions by name. It stores no names: the caller of a lookup tells whether a
/// position has the name sought.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// `hash << 32 | position + 1`, or 0 if vacant. The length is a power of
    /// two and at least twice the number of members.
    slots: Vec<u64>,
    len: usize,
}

impl Index {
    /// An index of members with these names, in positions from 0 on.
    pub(super) fn new<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let mut index = Index {
            slots: vec![0; (names.len() * 4).next_power_of_two()],
            len: 0,
        };
        for name in names {
            index.push(hash(name));
        }
        index
    }

    /// The position of the member with that hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let position = (slot as u32 - 1) as usize;
            if (slot >> 32) as u32 == hash && is_it(position) {
                return Some(position);
            }
            at = (at + 1) & mask;
        }
    }

    /// Enters the member at the next position.
    pub(super) fn push(&mut self, hash: u32) {
        if (self.len + 1) * 2 > self.slots.len() {
            let old = std::mem::take(&mut self.slots);
            self.slots = vec![0; old.len() * 4];
            for slot in old.into_iter().filter(|&slot| slot != 0) {
                self.place(slot);
            }
        }
        self.len += 1;
        self.place(u64::from(hash) << 32 | self.len as u64);
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_equal_hash_are_told_apart() {
        let mut index = Index::new([&b"a"[..]].into_iter());
        for _ in 0..50 {
            index.push(7);
        }
        assert_eq!(index.find(7, |position| position == 33), Some(33));
        assert_eq!(index.find(7, |_| false), None);
    }
}
