//! The main loop of a process that has no fds left.

use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{getrlimit, setrlimit, Resource};
use qmonitor::impl_host;
use qmonitor::main_loop::{
    main_loop_wait, Condition, FdmonKind, FdmonPolicy, Flow, MainLoop, Signal, Watch,
};

struct App {
    main_loop: MainLoop<App>,
    runs: u32,
}

impl_host!(App, main_loop);

const EMFILE: Option<i32> = Some(nix::errno::Errno::EMFILE as i32);

#[test]
fn without_fds_to_spare_the_loop_goes_on_with_ppoll_and_upgrades_when_it_can() {
    let test = "emfile::without_fds_to_spare_the_loop_goes_on_with_ppoll_and_upgrades_when_it_can";
    crate::alone(test, run_out_of_fds);
}

fn run_out_of_fds() {
    let mut app = App {
        main_loop: MainLoop::new().unwrap(),
        runs: 0,
    };
    app.main_loop.set_fdmon(FdmonPolicy::Epoll);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    nix::unistd::write(&writer, b"x").unwrap();
    let watch = Watch::new("fd", Rc::new(reader), Condition::IN, |app: &mut App, _| {
        app.runs += 1;
        Flow::Keep
    });
    app.main_loop.add_watch(watch);

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64.min(hard), hard).unwrap();
    let mut hoard = Vec::new();
    while let Ok(fd) = nix::unistd::dup(&writer) {
        hoard.push(fd);
    }

    let turn = |app: &mut App| main_loop_wait(app, Some(Duration::ZERO)).unwrap();
    for runs in 1..=10 {
        assert!(turn(&mut app));
        assert_eq!(app.runs, runs);
    }
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll);
    let counters = app.main_loop.counters();
    assert_eq!((counters.upgrades, counters.wait_syscalls), (0, 10));

    // A caller that needs an fd gets an error.
    assert_eq!(app.main_loop.poll_fd().unwrap_err().raw_os_error(), EMFILE);
    assert_eq!(MainLoop::<App>::new().err().unwrap().raw_os_error(), EMFILE);
    let signals = app.main_loop.add_signals(&[Signal::SIGHUP], |_, _| ());
    assert_eq!(signals.unwrap_err().raw_os_error(), EMFILE);
    // One fd suffices for the epoll fd, but the crate `polling` needs more. The
    // failed attempt leaves nothing open.
    hoard.pop();
    app.main_loop.set_fdmon(FdmonPolicy::Poll);
    app.main_loop.set_fdmon(FdmonPolicy::Epoll);
    assert!(turn(&mut app));
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll);
    let spare = nix::unistd::dup(&writer).unwrap();

    drop((hoard, spare));
    turn(&mut app);
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll, "not in each turn");
    for _ in 0..1000 {
        turn(&mut app);
    }
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Epoll, "tried again");
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
}
