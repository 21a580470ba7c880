//! The order in which the ready watches of a turn run.

use super::condition::Condition;
use crate::slots::Key;

/// A watch that is ready, as the wait found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadyWatch {
    pub(super) id: Key,
    /// Tells the order of addition.
    pub(super) number: u64,
    pub(super) condition: Condition,
    /// Its fd is not open: it runs this once and is removed.
    pub(super) invalid: bool,
}

impl ReadyWatch {
    /// True if there is only the end to report: hang-up, error.
    fn is_end(&self) -> bool {
        !self
            .condition
            .intersects(Condition::IN.with(Condition::OUT).with(Condition::PRI))
    }
}

/// Puts `ready` in the order of addition with the hang-ups last, or shuffled
/// around that same division.
#[inline]
pub(super) fn arrange(ready: &mut [ReadyWatch], shuffle: Option<&mut XorShift>) {
    if ready.len() < 2 {
        return;
    }
    ready.sort_unstable_by_key(|watch| (watch.is_end(), watch.number));
    if let Some(random) = shuffle {
        let ends = ready.partition_point(|watch| !watch.is_end());
        random.shuffle(&mut ready[..ends]);
        random.shuffle(&mut ready[ends..]);
    }
}

/// Marsaglia's xorshift64: enough to vary an order, the same for the same seed.
#[derive(Debug)]
pub(super) struct XorShift(u64);

impl XorShift {
    /// Any seed will do; neighbouring ones give unrelated sequences.
    pub(super) fn new(seed: u64) -> Self {
        // Scrambled by an odd constant so that small seeds differ in high bits;
        // 0 is the one state that xorshift never leaves.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(state | u64::from(state == 0))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Fisher and Yates. The bias of the remainder is 2^-40, which does not
    /// matter here.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            items.swap(last, other as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slots;

    fn watches(of: &[Condition]) -> Vec<ReadyWatch> {
        let mut slots = Slots::new();
        of.iter()
            .zip(0..)
            .map(|(condition, number)| ReadyWatch {
                id: slots.insert(()),
                number,
                condition: *condition,
                invalid: false,
            })
            .collect()
    }

    fn numbers_of(ready: &[ReadyWatch]) -> Vec<u64> {
        ready.iter().map(|watch| watch.number).collect()
    }

    #[test]
    fn ready_watches_run_in_order_of_addition_with_hang_ups_last() {
        let mut ready = watches(&[
            Condition::HUP,
            Condition::OUT,
            Condition::IN | Condition::ERR,
        ]);
        ready.reverse();
        arrange(&mut ready, None);
        assert_eq!(numbers_of(&ready), [1, 2, 0]);
    }

    #[test]
    fn a_shuffle_depends_on_the_seed_alone_and_keeps_hang_ups_last() {
        let orders = |seed: u64| {
            let mut random = XorShift::new(seed);
            let mut orders = Vec::new();
            for _ in 0..8 {
                let mut ready = watches(&[Condition::IN; 6]);
                ready.extend(watches(&[Condition::HUP; 2]));
                arrange(&mut ready, Some(&mut random));
                assert!(ready[..6].iter().all(|watch| !watch.is_end()));
                orders.push(numbers_of(&ready));
            }
            orders
        };
        assert_eq!(orders(1), orders(1));
        assert_ne!(orders(1), orders(2));
        assert!(orders(0).iter().any(|order| order != &orders(0)[0]));
    }

    #[test]
    fn every_seed_gives_a_live_generator() {
        for seed in [0, 1, u64::MAX, u64::MAX - 1] {
            assert_ne!(XorShift::new(seed).next(), 0);
        }
    }
}
