//! A keyed hash for tables of short names and of ids.
//!
//! It takes a fifth of the instructions of std's hash. The key is drawn at random once per
//! process: names come from clients, and a client must not be able to prepare names that
//! collide.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// Makes std's maps use this hash.
#[derive(Debug, Clone, Copy, Default)]
pub struct FoldHash;

impl BuildHasher for FoldHash {
    type Hasher = FoldHasher;

    #[inline]
    fn build_hasher(&self) -> FoldHasher {
        let [state, factor] = keys();
        FoldHasher { state, factor }
    }
}

/// The hash of one key: a multiplication per eight bytes, its two halves folded into one.
#[derive(Debug)]
pub struct FoldHasher {
    state: u64,
    factor: u64,
}

impl Hasher for FoldHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(bytes.len() as u64);
        let mut rest = bytes;
        while let Some((word, tail)) = rest.split_first_chunk() {
            self.write_u64(u64::from_le_bytes(*word));
            rest = tail;
        }
        self.write_u64(rest.iter().fold(0, |word, &b| word << 8 | u64::from(b)));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        self.state = product as u64 ^ (product >> 64) as u64;
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    /// Ends a text, whose length has been written before it.
    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.state ^= u64::from(byte);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// The hash of a name, for tables that are not std's.
pub(crate) fn hash(name: &[u8]) -> u32 {
    let mut hasher = FoldHash.build_hasher();
    hasher.write(name);
    (hasher.finish() >> 32) as u32
}

/// Where each hash starts, and what it multiplies by.
#[inline]
fn keys() -> [u64; 2] {
    static KEYS: OnceLock<[u64; 2]> = OnceLock::new();
    *KEYS.get_or_init(|| {
        let state = RandomState::new();
        [state.hash_one(1), state.hash_one(2) | 1]
    })
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
    fn ids_that_follow_each_other_spread_over_a_table() {
        // Of 1024 at random, a table of 1024 places would have 647 taken.
        let mut taken = std::collections::HashSet::new();
        for id in 0..1024u32 {
            taken.insert(FoldHash.hash_one((id, 1u32)) % 1024);
        }
        assert!(taken.len() > 550, "{}", taken.len());
    }
}
