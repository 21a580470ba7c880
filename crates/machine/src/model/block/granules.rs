//! Sets of pieces of a disk, all of the same size: dirty bitmaps, and what a job has still
//! to copy.

/// A set of granules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granules {
    granularity: u32,
    length: u64,
    words: Vec<u64>,
    count: u64,
}

/// A dirty bitmap of a node.
#[derive(Debug, Clone)]
pub struct Bitmap {
    /// Its name; without one it is a job's.
    pub name: Option<String>,
    /// The job whose bitmap without a name this is.
    pub owner: Option<String>,
    /// What was written.
    pub set: Granules,
    /// Whether writes are recorded.
    pub enabled: bool,
    /// Whether it is kept in the image.
    pub persistent: bool,
    /// Whether a job uses it.
    pub busy: bool,
    /// Whether it was read from an image that was not closed after its last change.
    pub inconsistent: bool,
}

impl Granules {
    /// An empty set of granules of that size, a power of two, of a disk of that length.
    pub fn new(granularity: u32, length: u64) -> Self {
        debug_assert!(granularity.is_power_of_two());
        let mut set = Granules {
            granularity,
            length: 0,
            words: Vec::new(),
            count: 0,
        };
        set.set_length(length);
        set
    }

    /// The size of a granule in bytes.
    pub fn granularity(&self) -> u32 {
        self.granularity
    }

    /// The length of the disk.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The words of the set, the lowest granule in the lowest bit.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many granules the disk has.
    pub fn granules(&self) -> u64 {
        self.length.div_ceil(u64::from(self.granularity))
    }

    /// How many bytes of the disk are in the set.
    pub fn bytes(&self) -> u64 {
        let granularity = u64::from(self.granularity);
        let whole = self.count * granularity;
        let last = self.granules().saturating_sub(1);
        let rest = self.granules() * granularity - self.length;
        if rest > 0 && self.has_granule(last) {
            whole - rest
        } else {
            whole
        }
    }

    /// How many granules are in the set.
    pub fn count(&self) -> u64 {
        self.count
    }

    #[allow(missing_docs)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes the disk longer or shorter.
    pub fn set_length(&mut self, length: u64) {
        if length < self.length {
            let keep = length.div_ceil(u64::from(self.granularity));
            let end = self.granules();
            self.change_granules(keep, end, false);
        }
        self.length = length;
        let words = self.granules().div_ceil(64);
        self.words
            .resize(usize::try_from(words).unwrap_or(usize::MAX), 0);
    }

    fn has_granule(&self, granule: u64) -> bool {
        let word = usize::try_from(granule / 64).ok();
        let word = word.and_then(|at| self.words.get(at));
        word.is_some_and(|word| word >> (granule % 64) & 1 == 1)
    }

    /// Whether the byte at an offset is in the set.
    pub fn contains(&self, offset: u64) -> bool {
        self.has_granule(offset / u64::from(self.granularity))
    }

    /// Puts all granules that have a part of a piece into the set.
    pub fn insert(&mut self, offset: u64, length: u64) {
        let (first, end) = self.range(offset, length);
        self.change_granules(first, end, true);
    }

    /// Takes all granules that have a part of a piece out of the set.
    pub fn remove(&mut self, offset: u64, length: u64) {
        let (first, end) = self.range(offset, length);
        self.change_granules(first, end, false);
    }

    #[allow(missing_docs)]
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.count = 0;
    }

    /// Puts the whole disk into the set.
    pub fn fill(&mut self) {
        self.insert(0, self.length);
    }

    fn range(&self, offset: u64, length: u64) -> (u64, u64) {
        let granularity = u64::from(self.granularity);
        let end = offset.saturating_add(length).min(self.length);
        (offset.min(end) / granularity, end.div_ceil(granularity))
    }

    fn change_granules(&mut self, first: u64, end: u64, insert: bool) {
        let mut at = first;
        while at < end {
            let next = end.min((at / 64 + 1) * 64);
            let width = next - at;
            let mask = (u64::MAX >> (64 - width)) << (at % 64);
            let Some(word) = usize::try_from(at / 64)
                .ok()
                .and_then(|at| self.words.get_mut(at))
            else {
                return;
            };
            let before = word.count_ones();
            if insert {
                *word |= mask;
            } else {
                *word &= !mask;
            }
            let after = word.count_ones();
            self.count = self.count + u64::from(after) - u64::from(before);
            at = next;
        }
    }

    /// The next piece of the set from an offset on, no longer than `most`: its offset and
    /// length, in whole granules up to the end of the disk.
    pub fn next(&self, from: u64, most: u64) -> Option<(u64, u64)> {
        let granularity = u64::from(self.granularity);
        let first = self.next_granule(from / granularity)?;
        let most = (most / granularity).max(1);
        let mut end = first + 1;
        while end < first + most && self.has_granule(end) {
            end += 1;
        }
        let offset = first * granularity;
        Some((offset, (end * granularity).min(self.length) - offset))
    }

    fn next_granule(&self, from: u64) -> Option<u64> {
        let mut at = usize::try_from(from / 64).ok()?;
        let mut word = self.words.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(at as u64 * 64 + u64::from(word.trailing_zeros()))
    }

    /// Adds granules from one on, given as bits.
    pub fn load(&mut self, first: u64, bits: &[u8]) {
        let granularity = u64::from(self.granularity);
        for (at, byte) in (0..).zip(bits) {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                self.insert(
                    (first + at * 8 + bit).saturating_mul(granularity),
                    granularity,
                );
            }
        }
    }

    /// Adds what is in another set of the same disk, whatever its granules.
    pub fn merge(&mut self, other: &Granules) {
        let mut from = 0;
        while let Some((offset, length)) = other.next(from, u64::MAX) {
            self.insert(offset, length);
            from = offset + length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granules_are_counted_whole() {
        let mut set = Granules::new(65536, (1 << 20) + 512);
        assert_eq!(set.granules(), 17);
        set.insert(65535, 2);
        assert_eq!((set.count(), set.bytes()), (2, 2 * 65536));
        set.insert(1 << 20, 100);
        assert_eq!(set.bytes(), 2 * 65536 + 512);
        assert_eq!(set.next(0, 65536), Some((0, 65536)));
        assert_eq!(set.next(0, u64::MAX), Some((0, 131_072)));
        assert_eq!(set.next(131_072, u64::MAX), Some((1 << 20, 512)));
        set.remove(0, 1);
        assert!(!set.contains(0) && set.contains(65536));
        set.set_length(65536);
        assert!(set.is_empty());
        set.set_length(1 << 30);
        set.fill();
        assert_eq!(set.bytes(), 1 << 30);
    }

    #[test]
    fn sets_of_other_granules_are_merged() {
        let mut coarse = Granules::new(65536, 1 << 20);
        let mut fine = Granules::new(512, 1 << 20);
        fine.insert(70_000, 1);
        fine.insert(200_000, 1);
        coarse.merge(&fine);
        assert_eq!(coarse.count(), 2);
        assert!(coarse.contains(65536) && coarse.contains(196_608));
    }
}
