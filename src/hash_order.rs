//! The order of what QEMU keeps in a hash table of GLib: chardevs, children of an
//! object, iothreads; the arguments of a command that were not read yet.
//!
//! The table is open addressing with a step that grows by one, the start being the
//! hash times 11 modulo a prime, and the hash Bernstein's `h * 33 + c`. Its order
//! depends on nothing but the names and the order of insertion and removal, so these
//! are enough to compute it. The order looks arbitrary, but people compare listings
//! with older ones.

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

/// Sorts items, given in the order of their creation, as QEMU lists them: it walks the
/// table and puts each entry in front of the list. It is exact as long as nothing was
/// removed in between.
pub fn hash_order<T>(items: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let table = Table::of(items.iter().map(name));
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let listed = table.items().rev();
    listed.filter_map(|index| items[index].take()).collect()
}

/// The index of the name that a walk finds first, after those at `removed` were taken out
/// in that order.
pub fn first_left<'n>(
    names: impl Iterator<Item = &'n str>,
    removed: impl Iterator<Item = usize>,
) -> Option<usize> {
    let mut table = Table::of(names);
    removed.for_each(|index| table.remove(index));
    table.first()
}

struct Table {
    /// Those of all items, also of removed ones.
    hashes: Vec<u32>,
    shift: usize,
    slots: Vec<Slot>,
    /// How many slots hold an item.
    live: usize,
    /// How many slots are not free.
    occupied: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Free,
    /// It held an item; searches go on behind it.
    Emptied,
    Item(usize),
}

impl Table {
    fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut table = Table {
            hashes: Vec::new(),
            shift: MIN_SHIFT,
            slots: vec![Slot::Free; 1 << MIN_SHIFT],
            live: 0,
            occupied: 0,
        };
        names.for_each(|name| table.push(name));
        table
    }

    /// The items in the order of a walk.
    fn items(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Item(index) => Some(*index),
            _ => None,
        })
    }

    fn first(&self) -> Option<usize> {
        self.items().next()
    }

    fn start(&self, item: usize) -> usize {
        let prime = PRIMES[self.shift.min(PRIMES.len() - 1)];
        (self.hashes[item].wrapping_mul(11) % prime) as usize
    }

    /// Enters the next item. Nothing has been removed so far.
    fn push(&mut self, name: &str) {
        let item = self.hashes.len();
        self.hashes.push(str_hash(name));
        let mut at = self.start(item);
        let mut step = 0;
        while self.slots[at] != Slot::Free {
            step += 1;
            at = (at + step) & (self.slots.len() - 1);
        }
        self.slots[at] = Slot::Item(item);
        self.live += 1;
        self.occupied += 1;
        self.fit();
    }

    fn remove(&mut self, item: usize) {
        let slot = self.slots.iter().position(|s| *s == Slot::Item(item));
        if let Some(at) = slot {
            self.slots[at] = Slot::Emptied;
            self.live -= 1;
            self.fit();
        }
    }

    /// Grows if hardly a slot is free, shrinks if hardly one is used.
    fn fit(&mut self) {
        let size = self.slots.len();
        let wasteful = size > self.live * 4 && self.shift > MIN_SHIFT;
        if wasteful || size <= self.occupied + self.occupied / 16 {
            self.resize();
        }
    }

    /// Takes on a size with room for a third more than there is. The items move in
    /// place: one that stands in the way of another is the next to move.
    fn resize(&mut self) {
        let old = self.slots.len();
        let wanted = self.live * 1333 / 1000;
        let bits = (usize::BITS - wanted.leading_zeros()) as usize;
        self.shift = bits.max(MIN_SHIFT);
        let size = 1 << self.shift;
        self.slots.resize(size.max(old), Slot::Free);
        let mut settled = vec![false; self.slots.len()];
        for from in 0..old {
            if settled[from] {
                continue;
            }
            let mut moving = std::mem::replace(&mut self.slots[from], Slot::Free);
            while let Slot::Item(item) = moving {
                let mut at = self.start(item);
                let mut step = 0;
                while settled[at] {
                    step += 1;
                    at = (at + step) & (size - 1);
                }
                settled[at] = true;
                moving = std::mem::replace(&mut self.slots[at], Slot::Item(item));
            }
        }
        self.slots.truncate(size);
        self.occupied = self.live;
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

    #[test]
    fn what_is_left_is_found_as_by_qemu() {
        // Arguments of migrate-set-parameters in the order of QEMU's dictionary, those
        // that it reads in the order of reading, and the one that 10.0.2 names.
        for (names, read, named) in RECORDED {
            let names: Vec<&str> = names.split(' ').collect();
            let index = |name| names.iter().position(|n| *n == name).unwrap();
            let removed = read.split_whitespace().map(index);
            let first = first_left(names.iter().copied(), removed).map(|i| names[i]);
            assert_eq!(first, Some(*named), "{names:?}");
        }
        assert_eq!(first_left(["a"].into_iter(), [0].into_iter()), None);
    }

    const RECORDED: &[(&str, &str, &str)] = &[
        (
            "AWJEns avail-switchover-bandwidth MVW1CG7-R2V multifd-channels multifd-zstd-level announce-initial announce-rounds JTTdkTm9cO8",
            "announce-initial announce-rounds avail-switchover-bandwidth multifd-channels multifd-zstd-level",
            "JTTdkTm9cO8",
        ),
        (
            "cpu-throttle-initial announce-max 7B0jL 7a max-cpu-throttle QUwzq throttle-trigger-threshold x-checkpoint-delay",
            "announce-max throttle-trigger-threshold cpu-throttle-initial max-cpu-throttle x-checkpoint-delay",
            "7a",
        ),
        (
            "xbzrle-cache-size cpu-throttle-initial announce-max avail-switchover-bandwidth SjFNIU 4wJ4lA E4 multifd-channels multifd-zstd-level announce-initial downtime-limit vcpu-dirty-limit announce-rounds announce-step multifd-zlib-level max-cpu-throttle max-postcopy-bandwidth throttle-trigger-threshold max-bandwidth SiGe x-checkpoint-delay m cpu-throttle-increment",
            "announce-initial announce-max announce-rounds announce-step throttle-trigger-threshold cpu-throttle-initial cpu-throttle-increment max-cpu-throttle max-bandwidth avail-switchover-bandwidth downtime-limit x-checkpoint-delay multifd-channels xbzrle-cache-size max-postcopy-bandwidth multifd-zlib-level multifd-zstd-level vcpu-dirty-limit",
            "m",
        ),
    ];
}
