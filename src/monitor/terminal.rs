//! Signals: those that end a program, and job control for a monitor on the terminal
//! that the program was started from.

use std::io;

use super::hmp::driver::redraw_terminals;
use super::runtime::Runtime;
use crate::chardev::stdio::{term_continue, term_stop};
use crate::main_loop::{Signal, WatchId};

/// The signals that ask a program to end.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

impl<S> Runtime<S> {
    /// Ends the program on SIGINT (`^C`), SIGTERM and SIGHUP as the command `quit`
    /// does, and watches job control. So terminals are put back and socket files go,
    /// however the program ends.
    ///
    /// Call it before starting a thread, or the kernel will give the signals to that.
    /// The [quit handler](Self::set_quit_handler) runs; what [`run`](Self::run) does
    /// then, or [`shut_down`](Self::shut_down) in a loop of your own, is the same as
    /// after `quit`.
    ///
    /// # Errors
    ///
    /// As [`add_signals`](crate::main_loop::MainLoop::add_signals).
    ///
    /// ```
    /// # use qmonitor::main_loop::Signal;
    /// use qmonitor::Runtime;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut rt = Runtime::new(())?;
    /// rt.exit_on_signals()?;
    /// # nix::sys::signal::raise(Signal::SIGTERM)?;
    /// assert_eq!(rt.run()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn exit_on_signals(&mut self) -> io::Result<()> {
        self.main_loop.add_signals(&ENDING, |rt, _| rt.quit())?;
        self.watch_job_control().map(drop)
    }

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
