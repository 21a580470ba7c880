//! The order in which the loop serves what is ready.

use std::ops::Range;

use qmonitor::main_loop::Host;
use qmonitor::Runtime;

use super::Session;
use crate::front::{seed_from_env, Told};

impl<S> Session<S> {
    /// Has the loop serve what is ready in an order that depends on a seed.
    pub fn seed(&mut self, seed: u64) {
        self.limits.seed = Some(seed);
        self.rt.main_loop_mut().set_shuffle(Some(seed));
    }

    /// Runs a test once for each seed, each time with a fresh runtime and a client past its
    /// negotiation. `QMONITOR_SEED` picks one of them.
    ///
    /// # Panics
    ///
    /// If the test does; the seed is printed.
    pub fn sweep(
        seeds: Range<u64>,
        mut make: impl FnMut() -> Runtime<S>,
        mut test: impl FnMut(&mut Self),
    ) {
        let seeds = seed_from_env().map_or(seeds, |seed| seed..seed.saturating_add(1));
        for seed in seeds {
            let told = Told(seed);
            let mut session = Self::connect(make());
            session.seed(seed);
            session.negotiate();
            test(&mut session);
            drop(told);
        }
    }
}
