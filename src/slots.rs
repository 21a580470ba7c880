//! Tables whose keys never come back.
//!
//! A table that reuses its places is fast, but a bare index into it is dangerous: a
//! callback may hold the index of something that was removed and whose place is taken. So
//! a key also says how often its place was used before, and a key whose entry was removed
//! finds nothing, for ever.
//!
//! ```text
//!   63   62 61           30 29            0
//!   ┌──────┬───────────────┬───────────────┐
//!   │ free │  generation   │     place     │
//!   └──────┴───────────────┴───────────────┘
//! ```
//!
//! A key fits into one number, which can be a front end's opaque value; two
//! bits stay free for what the front end adds. A place that has been through all
//! its generations is given up, not begun anew: no key is ever given out twice,
//! at the price of some bytes for each 2^32 uses of one place.

use std::fmt;

/// How many bits of a key's number are free for others: the highest ones.
pub const SPARE_BITS: u32 = 2;

const PLACE_BITS: u32 = 30;
const PLACES: u32 = 1 << PLACE_BITS;
const LAST_GENERATION: u32 = u32::MAX;

/// Names an entry of a [`Slots`] table.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    place: u32,
    /// Counted from 1.
    generation: u32,
}

impl Key {
    /// Its place, for a table beside the one it is of: no two entries have the same
    /// at the same time.
    pub(crate) fn place(self) -> usize {
        self.place as usize
    }

    /// The key as a number, whose highest [`SPARE_BITS`] bits are 0.
    pub fn to_opaque(self) -> u64 {
        u64::from(self.generation) << PLACE_BITS | u64::from(self.place)
    }

    /// The key that [`to_opaque`](Self::to_opaque) made a number of. Any other
    /// number makes a key that finds nothing.
    pub fn from_opaque(opaque: u64) -> Self {
        let generation = opaque >> PLACE_BITS;
        Key {
            place: opaque as u32 & (PLACES - 1),
            // No entry has the generation 0.
            generation: u32::try_from(generation).unwrap_or(0),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.place, self.generation)
    }
}

/// A place, with its last entry.
struct Slot<T> {
    generation: u32,
    number: u64,
    /// None if it was removed.
    value: Option<T>,
}

impl<T> Slot<T> {
    fn entry(&self, place: usize) -> Option<(Key, &T)> {
        let key = Key {
            place: place as u32,
            generation: self.generation,
        };
        Some((key, self.value.as_ref()?))
    }
}

/// A table of `T` by [`Key`].
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// The places without an entry, but for those that are given up.
    vacant: Vec<u32>,
    /// How many entries there have been.
    inserted: u64,
    len: usize,
}

impl<T> Slots<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            inserted: 0,
            len: 0,
        }
    }

    /// Enters a value under a new key.
    ///
    /// # Panics
    ///
    /// Panics at 2^30 entries.
    pub fn insert(&mut self, value: T) -> Key {
        let place = self.vacant.pop().unwrap_or_else(|| self.new_place());
        let slot = &mut self.slots[place as usize];
        self.inserted += 1;
        self.len += 1;
        slot.generation += 1;
        slot.number = self.inserted;
        slot.value = Some(value);
        Key {
            place,
            generation: slot.generation,
        }
    }

    fn new_place(&mut self) -> u32 {
        let place = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        assert!(place < PLACES, "too many entries");
        self.slots.push(Slot {
            generation: 0,
            number: 0,
            value: None,
        });
        place
    }

    /// How many entries there have been.
    pub fn made(&self) -> u64 {
        self.inserted
    }

    /// The entry of this key.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.place as usize) {
            Some(slot) if slot.generation == key.generation => slot.value.as_ref(),
            _ => None,
        }
    }

    /// The entry of this key, to change it.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.place as usize) {
            Some(slot) if slot.generation == key.generation => slot.value.as_mut(),
            _ => None,
        }
    }

    /// The same with the number of its insertion, counted from 1: the earlier of
    /// two entries has the lower number.
    #[inline]
    pub fn get_numbered(&self, key: Key) -> Option<(u64, &T)> {
        match self.slots.get(key.place as usize) {
            Some(Slot {
                generation,
                number,
                value: Some(value),
            }) if *generation == key.generation => Some((*number, value)),
            _ => None,
        }
    }

    /// Takes the entry of this key out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.place as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        if key.generation < LAST_GENERATION {
            self.vacant.push(key.place);
        }
        Some(value)
    }

    /// All entries, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(place, slot)| slot.entry(place))
    }

    /// All entries, in the order in which they were inserted.
    pub fn iter_in_order(&self) -> impl Iterator<Item = (Key, &T)> {
        let mut slots: Vec<_> = self.slots.iter().enumerate().collect();
        slots.sort_unstable_by_key(|(_, slot)| slot.number);
        let slots = slots.into_iter();
        slots.filter_map(|(place, slot)| slot.entry(place))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the place of this key have been used so often that one more
    /// generation is its last.
    #[cfg(test)]
    pub(crate) fn wear_out(&mut self, key: Key) {
        self.slots[key.place as usize].generation = LAST_GENERATION - 1;
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_finds_nothing(slots: &mut Slots<&str>, key: Key) {
        assert_eq!(slots.get(key), None);
        assert_eq!(slots.get_mut(key), None);
        assert_eq!(slots.get_numbered(key), None);
        assert_eq!(slots.remove(key), None);
    }

    #[test]
    fn a_stale_key_finds_nothing_though_its_place_is_taken() {
        let mut slots = Slots::new();
        let old = slots.insert("old");
        assert_eq!(slots.remove(old), Some("old"));
        assert_finds_nothing(&mut slots, old);
        let new = slots.insert("new");
        assert_eq!(new.place, old.place, "the place is used again");
        assert_finds_nothing(&mut slots, old);
        assert_eq!(slots.get(new), Some(&"new"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn entries_are_numbered_in_the_order_of_insertion() {
        let mut slots = Slots::new();
        let first = slots.insert(1);
        let second = slots.insert(2);
        slots.remove(first);
        let third = slots.insert(3);
        assert!(third.place < second.place);
        assert_eq!(slots.get_numbered(second), Some((2, &2)));
        assert_eq!(slots.get_numbered(third), Some((3, &3)));
        let all: Vec<i32> = slots.iter().map(|(_, value)| *value).collect();
        assert_eq!(all, [3, 2]);
        let all: Vec<i32> = slots.iter_in_order().map(|(_, value)| *value).collect();
        assert_eq!(all, [2, 3]);
    }

    #[test]
    fn a_place_that_has_had_all_its_generations_is_given_up() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        slots.remove(first);
        slots.wear_out(first);
        let last = slots.insert("last");
        assert_eq!(last.generation, LAST_GENERATION);
        assert_eq!(slots.remove(last), Some("last"));
        assert_finds_nothing(&mut slots, last);
        assert!(slots.is_empty());
        assert_eq!(slots.iter().count(), 0);
        assert_eq!(slots.iter_in_order().count(), 0);
        let next = slots.insert("next");
        assert_ne!(next.place, last.place);
        assert_finds_nothing(&mut slots, first);
        assert_finds_nothing(&mut slots, last);
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn the_greatest_key_leaves_the_spare_bits_free() {
        let (place, generation) = (PLACES - 1, LAST_GENERATION);
        let key = Key { place, generation };
        assert_eq!(key.to_opaque(), u64::MAX >> SPARE_BITS);
        assert_eq!(Key::from_opaque(key.to_opaque()), key);
    }

    #[test]
    fn only_the_number_of_a_key_makes_a_key_that_finds_something() {
        let mut slots = Slots::new();
        let key = slots.insert("it");
        assert_eq!(slots.get(Key::from_opaque(key.to_opaque())), Some(&"it"));
        let with_spare_bit = key.to_opaque() | 1 << 63;
        for opaque in [0, 1, key.to_opaque() + 1, with_spare_bit, u64::MAX] {
            assert_finds_nothing(&mut slots, Key::from_opaque(opaque));
        }
    }
}
