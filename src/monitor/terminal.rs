//! Job control for a monitor on the terminal that the program was started from.

use std::io;

use super::hmp::driver::redraw_terminals;
use super::runtime::Runtime;
use crate::chardev::stdio::{term_continue, term_stop};
use crate::main_loop::{Signal, WatchId};

impl<S> Runtime<S> {
    /// Watches SIGTSTP and SIGCONT, so that `^Z` and `fg` work with a monitor on
    /// standard input as with an editor: the terminal is restored before the
    /// program stops and taken over when it goes on, and prompt and line are drawn
    /// again. The program `qmonitor` does this. Without it a stopped program leaves
    /// the shell with a terminal that does not echo.
    ///
    /// # Errors
    ///
    /// As [`add_signals`](crate::main_loop::MainLoop::add_signals), which also
    /// describes the effect on threads.
    pub fn watch_job_control(&mut self) -> io::Result<WatchId> {
        let signals = [Signal::SIGTSTP, Signal::SIGCONT];
        self.main_loop.add_signals(&signals, |rt, info| {
            if info.signal == Signal::SIGTSTP {
                term_stop();
            } else {
                term_continue();
                redraw_terminals(rt);
            }
        })
    }
}
