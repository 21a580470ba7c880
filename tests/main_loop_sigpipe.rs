//! SIGPIPE does not kill. A test in a program of its own: the first loop of a
//! process looks at the signal's action.
// A test of signals needs an unsafe call: it sets their actions.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::signal::{signal, SigHandler, Signal};
use qmonitor::main_loop::{Host, MainLoop};

struct App {
    main_loop: MainLoop<App>,
}

impl Host for App {
    fn main_loop(&self) -> &MainLoop<Self> {
        &self.main_loop
    }
    fn main_loop_mut(&mut self) -> &mut MainLoop<Self> {
        &mut self.main_loop
    }
}

#[test]
fn a_write_to_a_closed_pipe_fails_and_does_not_kill() {
    // As in a program with C's start-up code. SAFETY: SIG_DFL is no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    let _app = App {
        main_loop: MainLoop::new().unwrap(),
    };
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    assert_eq!(nix::unistd::write(&writer, b"x"), Err(Errno::EPIPE));
}
