//! What a wait may take, and how it fails.

use std::time::Duration;

/// What simulated time does while a test waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// It stands still; other threads may act.
    Stands,
    /// It goes on to the next deadline when nothing is left to do.
    Moves,
}

/// How long a wait may last.
pub(super) struct Limits {
    pub(super) turns: usize,
    /// Of the system's time, for other threads.
    pub(super) patience: Duration,
    pub(super) seed: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            turns: 100_000,
            patience: Duration::from_secs(10),
            seed: None,
        }
    }
}

/// Fails the test with a message, where the test stands.
#[track_caller]
pub(super) fn unwrap<T>(result: Result<T, String>) -> T {
    match result {
        Ok(value) => value,
        Err(message) => panic!("{message}"),
    }
}
