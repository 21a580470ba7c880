//! SIGPIPE does not kill. The loop looks at the signal's action when a process
//! makes its first one.
// Setting the action of a signal is unsafe.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::signal::{signal, SigHandler, Signal};
use qmonitor::impl_host;
use qmonitor::main_loop::MainLoop;

struct App {
    main_loop: MainLoop<App>,
}

impl_host!(App, main_loop);

#[test]
fn a_write_to_a_closed_pipe_fails_and_does_not_kill() {
    let test = "sigpipe::a_write_to_a_closed_pipe_fails_and_does_not_kill";
    crate::alone(test, write_to_a_closed_pipe);
}

fn write_to_a_closed_pipe() {
    // As in a program with C's start-up code. SAFETY: SIG_DFL is no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    let _app = App {
        main_loop: MainLoop::new().unwrap(),
    };
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    assert_eq!(nix::unistd::write(&writer, b"x"), Err(Errno::EPIPE));
}
