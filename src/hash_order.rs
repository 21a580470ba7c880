//! The order in which QEMU lists what it keeps in a hash table: chardevs,
//! children of an object, iothreads.
//!
//! QEMU walks the table and puts each entry in front of the list, so the list is
//! the table backwards. The table is GLib's: open addressing with a step that
//! grows by one, the start being the hash times 11 modulo a prime, and the
//! hash Bernstein's `h * 33 + c`. It depends on nothing but the names and the
//! order of insertion, so a list of names is enough to compute it, exactly so as
//! long as nothing was removed in between. The order looks arbitrary, but people
//! compare listings with older ones.

/// The least table: 8 slots.
const MIN_SHIFT: usize = 3;

/// For a table of 2^i slots, the greatest prime not above that number.
const PRIMES: [u32; 32] = [
    1,
    2,
    3,
    7,
    13,
    31,
    61,
    127,
    251,
    509,
    1021,
    2039,
    4093,
    8191,
    16381,
    32749,
    65521,
    131_071,
    262_139,
    524_287,
    1_048_573,
    2_097_143,
    4_194_301,
    8_388_593,
    16_777_213,
    33_554_393,
    67_108_859,
    134_217_689,
    268_435_399,
    536_870_909,
    1_073_741_789,
    2_147_483_647,
];

/// Sorts items, given in the order of their creation, as QEMU lists them.
pub fn hash_order<T>(items: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let hashes: Vec<u32> = items.iter().map(|item| str_hash(name(item))).collect();
    let mut table = Table::new(MIN_SHIFT);
    for (count, &hash) in (1..).zip(&hashes) {
        table.insert(hash, count - 1);
        if table.slots.len() <= count + count / 16 {
            table = table.grown(count, &hashes);
        }
    }
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let listed = table.slots.iter().rev().flatten();
    listed.filter_map(|index| items[*index].take()).collect()
}

struct Table {
    shift: usize,
    /// Indices of items.
    slots: Vec<Option<usize>>,
}

impl Table {
    fn new(shift: usize) -> Self {
        let slots = vec![None; 1 << shift];
        Table { shift, slots }
    }

    fn insert(&mut self, hash: u32, index: usize) {
        let prime = PRIMES[self.shift.min(PRIMES.len() - 1)];
        let mut at = (hash.wrapping_mul(11) % prime) as usize;
        let mut step = 0;
        while self.slots[at].is_some() {
            step += 1;
            at = (at + step) & (self.slots.len() - 1);
        }
        self.slots[at] = Some(index);
    }

    /// A table with room for a third more than `count` items, filled in the
    /// order of the slots of this one.
    fn grown(&self, count: usize, hashes: &[u32]) -> Self {
        let wanted = count * 4 / 3;
        let bits = (usize::BITS - wanted.leading_zeros()) as usize;
        let mut table = Table::new(bits.max(MIN_SHIFT));
        for &index in self.slots.iter().flatten() {
            table.insert(hashes[index], index);
        }
        table
    }
}

/// 0 and 1 mark free and emptied slots and are no hashes.
fn str_hash(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| {
        hash.wrapping_mul(33)
            // Bytes count as signed.
            .wrapping_add(i32::from(byte as i8) as u32)
    };
    text.bytes().fold(5381, step).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_recorded_from_qemu() {
        let all = "compat_monitor0 a b c d e f g h i j k l m n";
        for (count, listing) in [
            (6, "c a d b compat_monitor0 e"),
            (8, "c d e f compat_monitor0 g a b"),
            (15, "n l i c j d k e f compat_monitor0 m g a h b"),
        ] {
            let made: Vec<&str> = all.split(' ').take(count).collect();
            assert_eq!(hash_order(made, |name| name).join(" "), listing);
        }
        let made = "a1 bb ccc x7 y8 z9 q9 r9 s9".split(' ').collect();
        let listing = "s9 bb x7 ccc y8 a1 z9 q9 r9";
        assert_eq!(hash_order(made, |name| name).join(" "), listing);
    }

    #[test]
    fn nothing_is_lost_and_names_may_repeat() {
        let names: Vec<String> = (0..5000).map(|i| format!("n\u{e4}{}", i / 2)).collect();
        let mut listed = hash_order(names.clone(), |name| name);
        listed.sort();
        let mut names = names;
        names.sort();
        assert_eq!(listed, names);
        assert!(hash_order(Vec::<String>::new(), |name| name).is_empty());
    }
}
