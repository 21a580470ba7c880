//! The positions of a large dictionary's members in a hash table.
//!
//! The names stay in the dictionary's list. The table holds, per member, 32 bits of
//! the name's hash and 32 bits of position, in open addressing. It takes a third of
//! the memory of a map that owns its keys, and filling it allocates nothing per
//! member: such allocations would dominate parsing an object of ten thousand
//! members.
//!
//! The hash is keyed at random once per process: names come from clients, and a
//! client must not be able to prepare names that collide.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

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

/// The keyed hash of a name: a multiplication per eight bytes, its two halves
/// folded into one.
pub(super) fn hash(name: &[u8]) -> u32 {
    static KEYS: OnceLock<[u64; 2]> = OnceLock::new();
    let [start, factor] = *KEYS.get_or_init(|| {
        let state = RandomState::new();
        [state.hash_one(1), state.hash_one(2) | 1]
    });
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(factor);
        product as u64 ^ (product >> 64) as u64
    };
    let mut state = fold(start, name.len() as u64);
    let mut rest = name;
    while let Some((word, tail)) = rest.split_first_chunk() {
        state = fold(state, u64::from_le_bytes(*word));
        rest = tail;
    }
    let last = rest.iter().fold(0, |w, &b| w << 8 | u64::from(b));
    (fold(state, last) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_every_byte_and_on_the_length() {
        let mut seen = std::collections::HashSet::new();
        for len in 0..40 {
            let mut name = vec![0; len];
            assert!(seen.insert(hash(&name)));
            for at in 0..len {
                name[at] = 1;
                assert!(seen.insert(hash(&name)));
                name[at] = 0;
            }
        }
    }

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
