//! Turns of the loop, for the tests of 1 to 6.

use std::time::Duration;

use qmonitor::main_loop::{main_loop_wait, Host};

/// Turns the loop until nothing happens any more.
#[track_caller]
pub fn settle<H: Host>(host: &mut H) {
    for _ in 0..100 {
        if !main_loop_wait(host, Some(Duration::ZERO)).expect("the loop turns") {
            return;
        }
    }
    panic!("after 100 turns there is still something to do: the loop spins");
}
