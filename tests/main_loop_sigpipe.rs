//! SIGPIPE does not kill a program with a main loop, not even one whose `main`
//! is not Rust's. A program of its own: the action of a signal is the process's.
#![cfg(feature = "runtime")]
// Giving a signal its default action back is unsafe by nix's reckoning.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::signal::{signal, SigHandler, Signal};
use qmonitor::main_loop::{Host, MainLoop};

struct App(MainLoop<App>);

impl Host for App {
    fn main_loop(&self) -> &MainLoop<Self> {
        &self.0
    }
    fn main_loop_mut(&mut self) -> &mut MainLoop<Self> {
        &mut self.0
    }
}

#[test]
fn a_write_to_a_closed_pipe_fails_and_does_not_kill() {
    // As in a program whose start-up code is C's.
    // SAFETY: SIG_DFL is no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    let _app = App(MainLoop::new().unwrap());
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    assert_eq!(nix::unistd::write(&writer, b"x"), Err(Errno::EPIPE));
}
