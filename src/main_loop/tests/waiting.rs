//! ppoll and epoll: what they cost, when they change, and outer loops.

use super::*;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use crate::sys::ClosedFd;

fn auto(upgrade_at: usize) -> App {
    App::new(FdmonPolicy::Auto { upgrade_at }, TimeSource::simulated())
}

/// What a turn adds to the counters of system calls: waiting, and epoll_ctl.
fn cost_of_turn(app: &mut App) -> (u64, u64) {
    let before = app.main_loop.counters();
    app.turn();
    let after = app.main_loop.counters();
    (
        after.wait_syscalls - before.wait_syscalls,
        after.ctl_syscalls - before.ctl_syscalls,
    )
}

#[test]
fn ppoll_is_one_system_call_a_turn_ready_or_not() {
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::simulated());
    let pipe = Pipe::new();
    app.logger("fd", pipe.fd(), IN);
    assert_eq!(cost_of_turn(&mut app), (1, 0));
    pipe.write();
    assert_eq!(cost_of_turn(&mut app), (1, 0));
    let counters = app.main_loop.counters();
    assert_eq!(
        (counters.turns, counters.waits, counters.watches),
        (2, 2, 1)
    );
}

#[test]
fn epoll_is_told_only_what_changed() {
    let mut app = App::new(FdmonPolicy::Epoll, TimeSource::simulated());
    let pipe = Pipe::new();
    let gated = logger("gated", pipe.fd(), IN).gate(|app: &App| app.open);
    app.main_loop.add_watch(gated);
    assert_eq!(cost_of_turn(&mut app), (1, 1), "added");
    assert_eq!(cost_of_turn(&mut app), (1, 0));
    app.open = false;
    assert_eq!(cost_of_turn(&mut app), (1, 0), "nothing came since");
    pipe.write();
    assert_eq!(cost_of_turn(&mut app), (1, 0), "found closed");
    assert_eq!(cost_of_turn(&mut app), (1, 1), "gate closed");
    assert_eq!(cost_of_turn(&mut app), (1, 0));
    read_byte(&pipe.reader);
    app.open = true;
    assert_eq!(cost_of_turn(&mut app), (1, 1), "gate opened");
    let second = app.logger("second", pipe.fd(), HUP);
    assert_eq!(
        cost_of_turn(&mut app),
        (1, 0),
        "a second watch that adds nothing new"
    );
    app.main_loop.remove_watch(second);
    assert_eq!(cost_of_turn(&mut app), (1, 0));
    let third = app.logger("third", pipe.fd(), OUT);
    assert_eq!(cost_of_turn(&mut app), (1, 1), "a wider interest");
    let fourth = logger("fourth", pipe.fd(), OUT);
    app.replace_watch(third, fourth);
    assert_eq!(
        cost_of_turn(&mut app),
        (1, 0),
        "the same fd, the same interest"
    );
    let only = Pipe::new();
    let id = app.logger("only", only.fd(), IN);
    assert_eq!(cost_of_turn(&mut app), (1, 1));
    app.replace_watch(id, logger("new", only.fd(), IN));
    assert_eq!(cost_of_turn(&mut app), (1, 0), "never out of the table");
}

#[test]
fn a_hang_up_under_epoll_costs_no_system_call_more() {
    let mut app = App::new(FdmonPolicy::Epoll, TimeSource::simulated());
    let mut pipe = Pipe::new();
    app.logger("fd", pipe.fd(), IN);
    app.turn();
    pipe.hang_up();
    assert_eq!(cost_of_turn(&mut app), (1, 0));
    assert_eq!(app.log, ["fd HUP"]);
}

/// `epoll_wait` counts in milliseconds.
#[test]
fn a_timeout_of_epoll_is_kept_to_less_than_a_millisecond() {
    let mut app = App::new(FdmonPolicy::Epoll, TimeSource::system());
    let pipe = Pipe::new();
    app.logger("fd", pipe.fd(), IN);
    app.turn();
    for (micros, system_calls) in [(0, 1), (300, 1), (2000, 1), (2300, 2)] {
        let timeout = Duration::from_micros(micros);
        let (before, start) = (app.main_loop.counters(), Instant::now());
        assert!(!main_loop_wait(&mut app, Some(timeout)).unwrap());
        assert!(start.elapsed() >= timeout, "{micros} us");
        let after = app.main_loop.counters();
        let made = after.wait_syscalls - before.wait_syscalls;
        assert_eq!((after.waits - before.waits, made), (1, system_calls));
    }
    pipe.write();
    for (micros, system_calls) in [(0, 1), (2300, 1), (300, 2)] {
        let before = app.main_loop.counters().wait_syscalls;
        assert!(main_loop_wait(&mut app, Some(Duration::from_micros(micros))).unwrap());
        let made = app.main_loop.counters().wait_syscalls - before;
        assert_eq!(made, system_calls, "{micros} us, and something to read");
    }
}

#[test]
fn a_timer_that_is_due_under_epoll_runs_in_the_turn_that_waited_for_it() {
    let mut app = App::new(FdmonPolicy::Epoll, TimeSource::system());
    let timer = app
        .main_loop
        .timer_new(ClockType::Realtime, "timer", |app: &mut App| app.say("due"));
    for micros in [200, 1000, 1200] {
        app.main_loop
            .timer_mod_in(timer, Duration::from_micros(micros));
        app.expect_wait(&["due"]);
    }
}

#[test]
fn fds_that_epoll_refuses_wait_beside_it() {
    let mut app = App::new(FdmonPolicy::Epoll, TimeSource::simulated());
    let file: SharedFd = Rc::new(tempfile::tempfile().unwrap());
    let watch = logger("file", file, IN).gate(|app: &App| app.open);
    app.main_loop.add_watch(watch);
    assert_eq!(cost_of_turn(&mut app), (1, 1), "epoll has nothing to say");
    let pipe = Pipe::full();
    app.logger("pipe", pipe.fd(), IN);
    assert_eq!(cost_of_turn(&mut app), (2, 1), "ppoll, then epoll");
    app.open = false;
    assert_eq!(cost_of_turn(&mut app), (2, 0), "found closed");
    assert_eq!(
        cost_of_turn(&mut app),
        (1, 0),
        "nothing beside epoll any more"
    );
    assert_eq!(
        app.log,
        ["file IN", "file IN", "pipe IN", "pipe IN", "pipe IN"]
    );
}

#[test]
fn the_loop_upgrades_at_the_threshold_and_downgrades_below_half_of_it() {
    let mut app = auto(4);
    let pipes: Vec<Pipe> = (0..5).map(|_| Pipe::full()).collect();
    let names = ["a", "b", "c", "d", "e"];
    let mut ids = Vec::new();
    let mut order = Vec::new();
    for (pipe, name) in pipes.iter().zip(names) {
        ids.push(app.logger(name, pipe.fd(), IN));
        app.turn();
        let expected: Vec<String> = names[..ids.len()]
            .iter()
            .map(|n| format!("{n} IN"))
            .collect();
        assert_eq!(
            std::mem::take(&mut app.log),
            expected,
            "the same order throughout"
        );
        order.push(app.main_loop.fdmon());
    }
    use FdmonKind::{Epoll, Poll};
    assert_eq!(order, [Poll, Poll, Poll, Epoll, Epoll]);
    let mut order = Vec::new();
    while let Some(id) = ids.pop() {
        app.main_loop.remove_watch(id);
        app.turn();
        let expected: Vec<String> = names[..ids.len()]
            .iter()
            .map(|n| format!("{n} IN"))
            .collect();
        assert_eq!(std::mem::take(&mut app.log), expected);
        order.push(app.main_loop.fdmon());
    }
    assert_eq!(order, [Epoll, Epoll, Epoll, Poll, Poll]);
    let counters = app.main_loop.counters();
    assert_eq!((counters.upgrades, counters.downgrades), (1, 1));
}

#[test]
fn few_fds_get_epoll_while_they_stay_the_same() {
    let mut app = App::simulated();
    let pipes: Vec<Pipe> = (0..3).map(|_| Pipe::new()).collect();
    let turns = |app: &mut App, count| {
        for _ in 0..count {
            app.turn();
        }
    };
    app.logger("a", pipes[0].fd(), IN);
    turns(&mut app, 2000);
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll, "one gains nothing");
    let other = app.logger("b", pipes[1].fd(), IN);
    turns(&mut app, 1000);
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll);
    turns(&mut app, 1);
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Epoll);
    pipes[1].write();
    app.expect(&["b IN"]);
    app.logger("c", pipes[2].fd(), IN);
    app.expect(&["b IN"]);
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll, "one has come");
    turns(&mut app, 1001);
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Epoll);
    app.main_loop.remove_watch(other);
    app.turn();
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll, "one has gone");
}

#[test]
fn a_file_among_few_fds_leaves_them_to_ppoll() {
    let mut app = App::simulated();
    let pipe = Pipe::new();
    app.logger("pipe", pipe.fd(), IN);
    let file: SharedFd = Rc::new(std::fs::File::open("/dev/null").unwrap());
    app.logger("file", file, IN);
    for _ in 0..1100 {
        app.turn();
    }
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll);
    assert_eq!(cost_of_turn(&mut app), (1, 0));
}

#[test]
fn the_threshold_is_eight_and_counts_fds_with_an_open_gate() {
    let mut app = App::simulated();
    let pipes: Vec<Pipe> = (0..8).map(|_| Pipe::new()).collect();
    for pipe in &pipes {
        let watch = logger("fd", pipe.fd(), IN).gate(|app: &App| app.open);
        app.main_loop.add_watch(watch);
        app.logger("same fd", pipe.fd(), HUP);
    }
    app.turn();
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Epoll);
    let mut app = App::simulated();
    for (pipe, n) in pipes.iter().zip(0..) {
        let watch = logger("fd", pipe.fd(), IN).gate(move |app: &App| app.open || n > 0);
        app.main_loop.add_watch(watch);
    }
    app.open = false;
    app.turn();
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Poll, "seven are open");
    app.open = true;
    app.turn();
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Epoll);
}

#[test]
fn the_policy_may_change_at_any_time() {
    let mut app = auto(1000);
    let mut pipe = Pipe::full();
    app.logger("fd", pipe.fd(), IN);
    app.logger("closed", Rc::new(ClosedFd), IN);
    app.expect(&["fd IN", "closed ERR|HUP"]);
    for policy in [FdmonPolicy::Epoll, FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        app.main_loop.set_fdmon(policy);
        app.expect(&["fd IN"]);
    }
    pipe.hang_up();
    read_byte(&pipe.reader);
    app.expect(&["fd HUP"]);
}

/// Crate `polling` registers for urgent data wherever a watch asks to read; left alone,
/// one urgent byte from a client would have the loop spin.
#[test]
fn urgent_data_nobody_asked_for_does_not_make_epoll_spin() {
    let _fds = FdGuard::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let server = Rc::new(server);
    let mut app = App::new(FdmonPolicy::Epoll, TimeSource::simulated());
    app.logger("reader", server.clone(), IN);
    app.expect(&[]);
    let send = |flags| {
        nix::sys::socket::send(std::os::fd::AsRawFd::as_raw_fd(&client), b"!", flags).unwrap();
    };
    send(nix::sys::socket::MsgFlags::MSG_OOB);
    let mut urgent = [PollFd::new(server.as_fd(), PollFlags::POLLPRI)];
    poll(&mut urgent, PollTimeout::NONE).unwrap();
    app.expect(&[]);
    assert_eq!(
        cost_of_turn(&mut app),
        (1, 0),
        "ppoll alone, and epoll silent"
    );
    send(nix::sys::socket::MsgFlags::empty());
    let mut plain = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
    poll(&mut plain, PollTimeout::NONE).unwrap();
    app.expect(&["reader IN"]);
}

#[test]
fn urgent_data_comes_to_who_asked_for_it() {
    each_way(|mut app| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let server = Rc::new(server);
        app.logger("reader", server.clone(), IN);
        app.logger("urgent", server.clone(), Condition::PRI);
        nix::sys::socket::send(
            std::os::fd::AsRawFd::as_raw_fd(&client),
            b"!",
            nix::sys::socket::MsgFlags::MSG_OOB,
        )
        .unwrap();
        let mut urgent = [PollFd::new(server.as_fd(), PollFlags::POLLPRI)];
        poll(&mut urgent, PollTimeout::NONE).unwrap();
        app.expect(&["urgent PRI"]);
    });
}

fn is_readable(app: &mut App) -> bool {
    let fd = app.main_loop.poll_fd().unwrap();
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn an_outer_loop_sees_fds_and_threads_through_one_fd() {
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::system());
    let pipe = Pipe::new();
    let fd = pipe.reader.clone();
    let watch = Watch::new("fd", pipe.fd(), IN, move |app: &mut App, _| {
        read_byte(&fd);
        app.say("fd");
        Flow::Keep
    });
    app.main_loop.add_watch(watch);
    let bh = app.main_loop.bh_new("bh", |app: &mut App| app.say("bh"));
    let handle = app.main_loop.bh_handle(bh);
    assert!(!is_readable(&mut app), "and the watch is registered now");
    pipe.write();
    assert!(is_readable(&mut app));
    app.expect(&["fd"]);
    app.expect(&[]);
    assert!(!is_readable(&mut app));
    std::thread::spawn(move || handle.schedule())
        .join()
        .unwrap();
    assert!(is_readable(&mut app));
    assert_eq!(app.main_loop.next_timeout(), Some(Duration::ZERO));
    app.expect(&["bh"]);
    app.expect(&[]);
    assert!(!is_readable(&mut app));
    assert_eq!(app.main_loop.fdmon(), FdmonKind::Epoll, "for good");
}

#[test]
fn an_outer_loop_is_told_when_the_next_turn_is_due() {
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::system());
    app.main_loop.poll_fd().unwrap();
    let zero = Some(Duration::ZERO);
    assert_eq!(app.main_loop.next_timeout(), zero, "no turn made yet");
    app.expect(&[]);
    assert_eq!(app.main_loop.next_timeout(), None);
    let bh = app.main_loop.bh_new("bh", |app: &mut App| app.say("bh"));
    app.main_loop.bh_schedule(bh);
    assert_eq!(app.main_loop.next_timeout(), zero);
    app.expect(&["bh"]);
    assert_eq!(
        app.main_loop.next_timeout(),
        zero,
        "a gate may have changed"
    );
    app.expect(&[]);
    let timer = app
        .main_loop
        .timer_new(ClockType::Realtime, "timer", |_| ());
    app.main_loop.timer_mod(timer, i64::MAX);
    assert!(app.main_loop.next_timeout().unwrap() > Duration::from_secs(1 << 30));
    app.main_loop.timer_free(timer);
    let pipe = Pipe::new();
    app.logger("pipe", pipe.fd(), IN);
    assert_eq!(app.main_loop.next_timeout(), zero, "a watch to register");
    app.expect(&[]);
    assert_eq!(app.main_loop.next_timeout(), None);
    let file: SharedFd = Rc::new(tempfile::tempfile().unwrap());
    let watch = logger("file", file, IN).gate(|app: &App| app.open);
    app.main_loop.add_watch(watch);
    app.expect(&["file IN"]);
    app.open = false;
    app.expect(&[]);
    assert_eq!(
        app.main_loop.next_timeout(),
        zero,
        "its gate was found closed"
    );
    app.expect(&[]);
    assert_eq!(app.main_loop.next_timeout(), None, "its gate is closed");
}

#[test]
fn an_always_ready_fd_keeps_an_outer_loop_awake() {
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::system());
    app.main_loop.poll_fd().unwrap();
    let file: SharedFd = Rc::new(tempfile::tempfile().unwrap());
    app.logger("file", file, IN);
    app.turn();
    app.main_loop.settled = true; // as if the file had not run
    assert_eq!(app.main_loop.next_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_watch_without_an_fd_keeps_an_outer_loop_awake_while_its_gate_is_open() {
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::system());
    app.main_loop.poll_fd().unwrap();
    app.expect(&[]);
    let gate = |app: &App| app.open;
    let watch = Watch::gate_only("gate", gate, |_| Flow::Keep);
    app.main_loop.add_watch(watch);
    let zero = Some(Duration::ZERO);
    assert_eq!(app.main_loop.next_timeout(), zero, "its gate was not asked");
    app.open = false;
    app.expect(&[]);
    assert_eq!(app.main_loop.next_timeout(), None);
    app.open = true;
    app.turn();
    app.main_loop.settled = true; // as if the watch had not run
    assert_eq!(app.main_loop.next_timeout(), zero);
}

#[test]
fn simulated_time_keeps_an_outer_loop_awake_while_there_is_a_deadline() {
    let mut app = App::simulated();
    app.expect(&[]);
    assert_eq!(app.main_loop.next_timeout(), None);
    let timer = app
        .main_loop
        .timer_new(ClockType::Realtime, "timer", |_| ());
    app.main_loop.timer_mod(timer, i64::MAX);
    assert_eq!(app.main_loop.next_timeout(), Some(Duration::ZERO));
}
