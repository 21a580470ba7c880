//! Signals that were not handed to the main loop do not hurt it.
// Setting the action of a signal and sending one to a thread is unsafe.
#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use nix::libc::{pthread_kill, SIGUSR1};
use nix::sys::signal::{signal, SigHandler, Signal};
use qmonitor::impl_host;
use qmonitor::main_loop::{main_loop_wait, BhHandle, FdmonPolicy, MainLoop};

struct App {
    main_loop: MainLoop<App>,
    done: bool,
}

impl_host!(App, main_loop);

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

/// Runs a loop until the handle that it sends out is used.
fn wait_for_handle(policy: FdmonPolicy, handle: &mpsc::Sender<BhHandle>) -> std::io::Result<()> {
    let mut app = App {
        main_loop: MainLoop::new()?,
        done: false,
    };
    app.main_loop.set_fdmon(policy);
    let bh = app
        .main_loop
        .bh_new("done", |app: &mut App| app.done = true);
    let _ = handle.send(app.main_loop.bh_handle(bh));
    while !app.done {
        main_loop_wait(&mut app, None)?;
    }
    Ok(())
}

#[test]
fn a_handled_signal_that_interrupts_the_wait_is_harmless() {
    let test = "signals::a_handled_signal_that_interrupts_the_wait_is_harmless";
    crate::alone(test, interrupt_the_wait);
}

fn interrupt_the_wait() {
    // SAFETY: the handler only adds to an atomic.
    unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(count)) }.unwrap();
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || wait_for_handle(policy, &sender));
        let handle = receiver.recv().unwrap();
        let before = HANDLED.load(Ordering::SeqCst);
        while HANDLED.load(Ordering::SeqCst) < before + 100 && !thread.is_finished() {
            // SAFETY: the thread runs until the handle is used, and is joined
            // only then.
            assert_eq!(unsafe { pthread_kill(thread.as_pthread_t(), SIGUSR1) }, 0);
            std::thread::yield_now();
        }
        handle.schedule();
        thread.join().unwrap().unwrap();
    }
}
