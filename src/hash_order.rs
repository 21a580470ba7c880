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
/// removed in between; where something was, keep a [`HashOrder`].
pub fn hash_order<T>(items: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let table = numbered(items.iter().map(name));
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    table.listed().filter_map(|n| items[n].take()).collect()
}

/// The index of the name that a walk finds first, after those at `removed` were taken out
/// in that order.
pub fn first_left<'n>(
    names: impl Iterator<Item = &'n str>,
    removed: impl Iterator<Item = usize>,
) -> Option<usize> {
    let names: Vec<&str> = names.collect();
    let mut table = numbered(names.iter().copied());
    removed.for_each(|index| {
        table.remove(names[index], index);
        table.fit();
    });
    table.walk().next()
}

/// A table of the numbers of names.
fn numbered<'n>(names: impl Iterator<Item = &'n str>) -> HashOrder<usize> {
    let mut table = HashOrder::default();
    for (index, name) in names.enumerate() {
        table.insert(name, index);
    }
    table
}

/// A table of what comes and goes. Its order depends on all that was ever in it: what is
/// removed leaves a mark that searches go over, until the table changes its size.
///
/// ```
/// use qmonitor::hash_order::HashOrder;
///
/// let mut order = HashOrder::default();
/// for (key, name) in ["mon0", "k26", "c"].into_iter().enumerate() {
///     order.insert(name, key);
/// }
/// order.remove("c", 2);
/// assert_eq!(order.listed().collect::<Vec<_>>(), [0, 1]);
/// ```
#[derive(Debug)]
pub struct HashOrder<T> {
    shift: usize,
    slots: Vec<Slot<T>>,
    /// How many slots hold an item.
    live: usize,
    /// How many slots are not free.
    occupied: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot<T> {
    Free,
    /// It held an item; searches go on behind it.
    Emptied,
    /// An item with the hash of its name.
    Item(u32, T),
}

// Derived, it would ask for a default of the items.
impl<T: Copy + PartialEq> Default for HashOrder<T> {
    fn default() -> Self {
        HashOrder {
            shift: MIN_SHIFT,
            slots: vec![Slot::Free; 1 << MIN_SHIFT],
            live: 0,
            occupied: 0,
        }
    }
}

impl<T: Copy + PartialEq> HashOrder<T> {
    /// The items in the order of QEMU's listings.
    pub fn listed(&self) -> impl Iterator<Item = T> + '_ {
        self.walk().rev()
    }

    /// The items in the order of a walk.
    fn walk(&self) -> impl DoubleEndedIterator<Item = T> + '_ {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Item(_, item) => Some(*item),
            _ => None,
        })
    }

    /// Enters an item that is not there.
    pub fn insert(&mut self, name: &str, item: T) {
        let hash = str_hash(name);
        let mut emptied = None;
        for at in places(self.start(hash), self.slots.len()) {
            match self.slots[at] {
                Slot::Item(..) => {}
                Slot::Emptied => emptied = emptied.or(Some(at)),
                Slot::Free => {
                    self.slots[emptied.unwrap_or(at)] = Slot::Item(hash, item);
                    break;
                }
            }
        }
        self.live += 1;
        if emptied.is_none() {
            self.occupied += 1;
            self.fit();
        }
    }

    /// Takes an item out, if it is there under that name. As where QEMU does so in the
    /// course of a walk, the table keeps its size until the next item comes.
    pub fn remove(&mut self, name: &str, item: T) {
        let hash = str_hash(name);
        let places = places(self.start(hash), self.slots.len());
        let mut used = places.take_while(|at| self.slots[*at] != Slot::Free);
        if let Some(at) = used.find(|at| self.slots[*at] == Slot::Item(hash, item)) {
            self.slots[at] = Slot::Emptied;
            self.live -= 1;
        }
    }

    fn start(&self, hash: u32) -> usize {
        let prime = PRIMES[self.shift.min(PRIMES.len() - 1)];
        (hash.wrapping_mul(11) % prime) as usize
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
            while let Slot::Item(hash, item) = moving {
                let mut at = self.start(hash);
                let mut step = 0;
                while settled[at] {
                    step += 1;
                    at = (at + step) & (size - 1);
                }
                settled[at] = true;
                moving = std::mem::replace(&mut self.slots[at], Slot::Item(hash, item));
            }
        }
        self.slots.truncate(size);
        self.occupied = self.live;
    }
}

/// The places of a search in a table of that size, a power of two.
fn places(start: usize, size: usize) -> impl Iterator<Item = usize> {
    let next = move |(at, step): &(usize, usize)| Some(((at + step) & (size - 1), step + 1));
    std::iter::successors(Some((start, 1)), next).map(|(at, _)| at)
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
    fn a_history_recorded_from_qemu() {
        // Chardevs that came and went.
        let history =
            "+c26 +io30 +mon32 -mon32 -c26 -io30 +k9 +c14 +mon26 +k21 +k23 -k9 -c14 +io25 +c2 \
             +c4 +c37 +k7 +mon12 +c34 +io28 +io31 +k5 -io31 +mon0 +c36 +k11 +io21 +io15 -k23 \
             +c27 +k33 +c26 -mon0 +mon15 +c10 +mon3 +k16 +k26 -k11 -k5 +c9 -k26 -c26 -k7 +io9 \
             +mon31 -c10 -c9 -c4 +k24 -mon26 -c27 -k16 -mon3 +c8 -io9 -k21 -k24 -c2 -mon12 \
             -io21 -io28 -c34 -mon31 -mon15 -io25 -c8 +k0 -c37 -io15 +c16 +io2 -k33 -c16 \
             +mon36 -c36 -mon36 -io2 -k0 +k39 +c22 -c22 -k39 +k28 -k28 +mon30";
        let listing = "mon30 compat_monitor0";
        let mut order = HashOrder::default();
        let mut names = vec!["compat_monitor0"];
        order.insert(names[0], 0);
        for step in history.split(' ') {
            let (sign, name) = step.split_at(1);
            let known = names.iter().position(|n| *n == name);
            let key = known.unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            if sign == "+" {
                order.insert(name, key);
            } else {
                order.remove(name, key);
            }
        }
        let listed: Vec<_> = order.listed().map(|key| names[key]).collect();
        assert_eq!(listed.join(" "), listing);
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
