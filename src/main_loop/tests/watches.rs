//! Gates, order, hang-up, and what is not a proper fd.

use super::*;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::LoopEvent::{self, *};

use crate::sys::ClosedFd;

#[test]
fn watches_run_in_order_of_addition_whatever_their_slots_and_numbers() {
    each_way(|mut app| {
        let pipes = [Pipe::full(), Pipe::full(), Pipe::full(), Pipe::full()];
        let gone = app.logger("gone", pipes[0].fd(), IN);
        app.logger("a", pipes[3].fd(), IN);
        app.main_loop.remove_watch(gone);
        app.logger("b", pipes[2].fd(), IN); // in the slot of "gone"
        app.logger("c", pipes[1].fd(), IN);
        app.logger("d", pipes[3].fd(), IN); // the fd of "a"
        app.expect(&["a IN", "b IN", "c IN", "d IN"]);
    });
}

#[test]
fn a_closed_gate_hides_data_and_hang_up() {
    each_way(|mut app| {
        let mut pipe = Pipe::full();
        let watch = logger("gated", pipe.fd(), IN).gate(|app: &App| app.open);
        app.main_loop.add_watch(watch);
        app.open = false;
        app.expect(&[]);
        pipe.hang_up();
        app.expect(&[]);
        app.open = true;
        app.expect(&["gated IN"]);
        app.open = false;
        app.expect(&[]);
    });
}

#[test]
fn a_gate_that_closes_before_its_watch_runs_is_heeded() {
    each_way(|mut app| {
        let (first, second) = (Pipe::full(), Pipe::full());
        let watch = Watch::new("closes", first.fd(), IN, |app: &mut App, _| {
            app.say("closes");
            app.open = false;
            Flow::Remove
        });
        app.main_loop.add_watch(watch);
        app.main_loop
            .add_watch(logger("gated", second.fd(), IN).gate(|app: &App| app.open));
        app.expect(&["closes"]);
        app.expect(&[]);
        app.open = true;
        app.expect(&["gated IN"]);
    });
}

#[test]
fn an_idle_watch_with_an_open_gate_is_not_asked() {
    each_way(|mut app| {
        let asked = Rc::new(Cell::new(0));
        let pipes: Vec<Pipe> = (0..8).map(|_| Pipe::new()).collect();
        for pipe in &pipes {
            let count = asked.clone();
            let watch = logger("gated", pipe.fd(), IN).gate(move |app: &App| {
                count.set(count.get() + 1);
                app.open
            });
            app.main_loop.add_watch(watch);
        }
        app.expect(&[]);
        assert_eq!(asked.replace(0), 8, "each once, as it is new");
        pipes[0].write();
        app.expect(&["gated IN"]);
        assert_eq!(asked.replace(0), 1, "after the wait");
        pipes[1].write();
        app.expect(&["gated IN", "gated IN"]);
        assert_eq!(
            asked.replace(0),
            3,
            "the second again, as the first has run"
        );
        read_byte(&pipes[1].reader);
        app.open = false;
        app.expect(&[]);
        assert_eq!(asked.replace(0), 1);
        app.open = true;
        app.expect(&["gated IN"]);
        assert_eq!(asked.replace(0), 2, "before the wait too, as it was closed");
    });
}

/// A watch without an fd that logs its name.
fn gate_only(name: &'static str) -> Watch<App> {
    let gate = |app: &App| app.open;
    Watch::gate_only(name, gate, move |app: &mut App| {
        app.say(name);
        Flow::Keep
    })
}

#[test]
fn a_watch_without_an_fd_runs_while_its_gate_is_open() {
    each_way(|mut app| {
        app.open = false;
        let pipe = Pipe::full();
        app.logger("before", pipe.fd(), IN);
        let watch = app.main_loop.add_watch(gate_only("gate"));
        app.logger("after", pipe.fd(), IN);
        app.expect(&["before IN", "after IN"]);
        app.open = true;
        for _ in 0..2 {
            app.expect(&["before IN", "gate", "after IN"]);
        }
        app.open = false;
        app.expect(&["before IN", "after IN"]);
        app.open = true;
        app.expect(&["before IN", "gate", "after IN"]);
        assert!(app.main_loop.remove_watch(watch));
        app.expect(&["before IN", "after IN"]);
    });
}

#[test]
fn a_watch_without_an_fd_heeds_its_gate_to_the_last() {
    each_way(|mut app| {
        let watch = Watch::gate_only(
            "closes",
            |app: &App| app.open,
            |app: &mut App| {
                app.say("closes");
                app.open = false;
                Flow::Remove
            },
        );
        app.main_loop.add_watch(watch);
        app.main_loop.add_watch(gate_only("gate"));
        app.expect(&["closes"]);
        app.expect(&[]);
        app.open = true;
        app.expect(&["gate"]);
        assert_eq!(app.main_loop.watch_count(), 1);
    });
}

#[test]
fn a_trace_says_that_there_is_no_fd() {
    let mut app = App::simulated();
    let trace = Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = trace.clone();
    static WANTED: AtomicBool = AtomicBool::new(true);
    let step = move |event, _| sink.borrow_mut().push(event);
    app.main_loop.set_trace(&WANTED, Box::new(step));
    let watch = app.main_loop.add_watch(gate_only("gate"));
    app.turn();
    app.main_loop.remove_watch(watch);
    assert_eq!(
        *trace.borrow(),
        [
            LoopEvent::WatchAdded(None),
            LoopEvent::TurnBegins(1),
            LoopEvent::GateOpens(None),
            LoopEvent::WaitBegins(Some(Duration::ZERO)),
            LoopEvent::WaitEnds,
            LoopEvent::WatchRuns(None),
            LoopEvent::Returns,
            LoopEvent::WatchRemoved(None),
        ]
    );
}

#[test]
fn time_stands_still_while_a_watch_without_an_fd_is_ready() {
    each_way(|mut app| {
        app.main_loop.add_watch(gate_only("gate"));
        let timer = |app: &mut App| app.say("timer");
        let timer = app.main_loop.timer_new(ClockType::Realtime, "timer", timer);
        app.main_loop.timer_mod(timer, 1_000_000_000);
        app.expect_wait(&["gate"]);
        app.open = false;
        app.expect_wait(&["timer"]);
    });
}

#[test]
fn time_passes_though_an_fd_behind_a_closed_gate_is_ready() {
    each_way(|mut app| {
        let pipe = Pipe::new();
        let watch = logger("gated", pipe.fd(), IN).gate(|app: &App| app.open);
        app.main_loop.add_watch(watch);
        app.expect(&[]);
        app.open = false;
        pipe.write();
        let timer = app
            .main_loop
            .timer_new(ClockType::Realtime, "timer", |app: &mut App| {
                app.say("timer");
            });
        let now = app.main_loop.clock_get_ns(ClockType::Realtime);
        app.main_loop.timer_mod(timer, now + 1_000_000_000);
        main_loop_wait(&mut app, None).unwrap();
        assert_eq!(app.log, ["timer"]);
    });
}

#[test]
fn a_gate_of_one_watch_does_not_hide_the_fd_from_another() {
    each_way(|mut app| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let fd: SharedFd = Rc::new(ours);
        app.main_loop
            .add_watch(logger("gated", fd.clone(), OUT).gate(|app: &App| app.open));
        app.logger("free", fd, OUT);
        app.open = false;
        app.expect(&["free OUT"]);
        app.open = true;
        app.expect(&["gated OUT", "free OUT"]);
    });
}

#[test]
fn gates_stay_with_their_watches_when_others_are_removed() {
    each_way(|mut app| {
        let pipes: Vec<Pipe> = (0..4).map(|_| Pipe::full()).collect();
        let names = ["a", "b", "c", "d"];
        let ids: Vec<WatchId> = (0..4)
            .map(|n| {
                let open = n != 3;
                let watch = logger(names[n], pipes[n].fd(), IN).gate(move |_| open);
                app.main_loop.add_watch(watch)
            })
            .collect();
        app.expect(&["a IN", "b IN", "c IN"]);
        app.main_loop.remove_watch(ids[0]); // the last gate takes its place
        app.main_loop.remove_watch(ids[3]);
        app.expect(&["b IN", "c IN"]);
        app.main_loop.remove_watch(ids[1]);
        app.main_loop.remove_watch(ids[2]);
        app.expect(&[]);
    });
}

#[test]
fn watches_of_one_fd_are_each_told_what_they_asked_for() {
    each_way(|mut app| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let fd: SharedFd = Rc::new(ours);
        let reader = app.logger("reader", fd.clone(), IN);
        app.logger("writer", fd.clone(), OUT);
        app.logger("end", fd, HUP);
        app.expect(&["writer OUT"]);
        io::Write::write_all(&mut theirs, b"x").unwrap();
        app.expect(&["reader IN", "writer OUT"]);
        app.main_loop.remove_watch(reader);
        app.expect(&["writer OUT"]);
    });
}

#[test]
fn a_pipe_hangs_up_after_the_last_data() {
    each_way(|mut app| {
        let mut pipe = Pipe::full();
        pipe.write();
        pipe.hang_up();
        let fd = pipe.reader.clone();
        let watch = Watch::new("reader", pipe.fd(), IN, move |app: &mut App, got| {
            let byte = read_byte(&fd);
            app.say(format!("{got:?} {byte:?}"));
            Flow::Keep
        });
        app.main_loop.add_watch(watch);
        app.expect(&["IN Some(120)"]);
        app.expect(&["IN Some(120)"]);
        app.expect(&["HUP None"]);
    });
}

#[test]
fn a_socket_reads_its_end_before_any_watch_hears_of_the_hang_up() {
    each_way(|mut app| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut theirs, b"x").unwrap();
        drop(theirs);
        let fd = Rc::new(ours);
        app.logger("hup", fd.clone(), HUP);
        let source = fd.clone();
        let watch = Watch::new("reader", fd, IN, move |app: &mut App, got| {
            let byte = read_byte(&source);
            app.say(format!("reader {got:?} {byte:?}"));
            match byte {
                Some(_) => Flow::Keep,
                None => Flow::Remove,
            }
        });
        app.main_loop.add_watch(watch);
        app.expect(&["reader IN Some(120)"]);
        app.expect(&["reader IN None"]);
        app.expect(&["hup HUP"]);
    });
}

#[test]
fn a_hang_up_is_told_at_once_where_the_readers_gate_is_closed() {
    each_way(|mut app| {
        let mut pipe = Pipe::full();
        pipe.hang_up();
        let reader = logger("reader", pipe.fd(), IN).gate(|app: &App| app.open);
        app.main_loop.add_watch(reader);
        app.logger("hup", pipe.fd(), HUP);
        app.open = false;
        app.expect(&["hup HUP"]);
        app.open = true;
        app.expect(&["reader IN"]);
    });
}

#[test]
fn hang_ups_run_after_data_of_other_fds() {
    each_way(|mut app| {
        let (mut ended, full) = (Pipe::new(), Pipe::full());
        ended.hang_up();
        app.logger("ended", ended.fd(), IN);
        app.logger("full", full.fd(), IN);
        app.expect(&["full IN", "ended HUP"]);
    });
}

#[test]
fn errors_are_told_though_not_asked_for() {
    each_way(|mut app| {
        let mut pipe = Pipe::new();
        let writer: SharedFd = Rc::new(pipe.writer.take().unwrap());
        drop(pipe);
        app.logger("writer", writer.clone(), OUT);
        app.logger("nothing", writer, Condition::empty());
        app.expect(&["writer OUT|ERR", "nothing ERR"]);
    });
}

#[test]
fn regular_files_and_dev_null_are_always_ready() {
    each_way(|mut app| {
        let file: SharedFd = Rc::new(tempfile::tempfile().unwrap());
        let null: SharedFd = Rc::new(std::fs::File::open("/dev/null").unwrap());
        let pipe = Pipe::new();
        let id = app.logger("file", file.clone(), IN);
        app.logger("null", null, IN);
        app.logger("pipe", pipe.fd(), IN);
        app.expect(&["file IN", "null IN"]);
        pipe.write();
        app.expect(&["file IN", "null IN", "pipe IN"]);
        app.main_loop.remove_watch(id);
        app.expect(&["null IN", "pipe IN"]);
        app.logger("file again", file, IN | OUT);
        app.expect(&["null IN", "pipe IN", "file again IN|OUT"]);
    });
}

#[test]
fn an_fd_that_is_not_open_hangs_up_once_and_its_watch_is_removed() {
    each_way(|mut app| {
        let id = app.logger("stdin", Rc::new(ClosedFd), IN);
        app.expect(&["stdin ERR|HUP"]);
        assert!(!app.main_loop.has_watch(id));
        app.expect(&[]);
    });
}

#[test]
fn an_fd_that_is_not_open_may_be_given_up_or_replaced_in_its_callback() {
    each_way(|mut app| {
        let pipe = Pipe::full();
        let own_id = Rc::new(Cell::new(None));
        let (id, fd) = (own_id.clone(), pipe.fd());
        let watch = Watch::new("stdin", Rc::new(ClosedFd), IN, move |app: &mut App, got| {
            app.say(format!("stdin {got:?}"));
            let new = logger("new", fd.clone(), IN);
            app.replace_watch(id.get().unwrap(), new).unwrap();
            Flow::Keep
        });
        own_id.set(Some(app.main_loop.add_watch(watch)));
        app.expect(&["stdin ERR|HUP"]);
        app.expect(&["new IN"]);
    });
}

#[test]
fn a_trace_names_what_is_watched_and_what_runs() {
    let mut app = App::simulated();
    let pipe = Pipe::full();
    let trace = Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = trace.clone();
    static WANTED: AtomicBool = AtomicBool::new(true);
    let step = move |event, name| {
        if !matches!(event, TurnBegins(_) | WaitBegins(_) | WaitEnds) {
            sink.borrow_mut().push((event, name));
        }
    };
    app.main_loop.set_trace(&WANTED, Box::new(step));
    let watch = app.logger("tcp_chr_read", pipe.fd(), IN);
    let bh = app.main_loop.bh_new("bh", |_| ());
    app.main_loop.bh_schedule(bh);
    app.main_loop.bh_schedule(bh);
    let timer = app
        .main_loop
        .timer_new(ClockType::Realtime, "timer", |_| ());
    app.main_loop.timer_mod_in(timer, Duration::from_secs(1));
    app.main_loop.timer_del(timer);
    app.main_loop.timer_del(timer);
    app.main_loop.timer_mod(timer, 0);
    app.turn();
    app.turn();
    app.main_loop.remove_watch(watch);
    WANTED.store(false, Ordering::Relaxed);
    app.logger("unseen", pipe.fd(), IN);
    app.turn();
    let fd = Some(pipe.fd().as_fd().as_raw_fd());
    let (bh, timer) = (bh.0.to_opaque(), timer.0.to_opaque());
    assert_eq!(
        *trace.borrow(),
        [
            (WatchAdded(fd), "tcp_chr_read"),
            (BhScheduled(bh), "bh"),
            (TimerArmed(timer, 1_000_000_000), "timer"),
            (TimerDisarmed(timer), "timer"),
            (TimerArmed(timer, 0), "timer"),
            (BhRuns(bh), "bh"),
            (Returns, "bh"),
            (WatchRuns(fd), "tcp_chr_read"),
            (Returns, "tcp_chr_read"),
            (TimerRuns(timer), "timer"),
            (Returns, "timer"),
            (WatchRemoved(fd), "tcp_chr_read"),
        ]
    );
}

#[test]
fn a_trace_tells_of_gates_and_of_other_threads() {
    let mut app = App::simulated();
    let pipe = Pipe::full();
    let trace = Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = trace.clone();
    static WANTED: AtomicBool = AtomicBool::new(true);
    let step = move |event, _| {
        if matches!(event, GateOpens(_) | GateCloses(_) | BhCalled(_)) {
            sink.borrow_mut().push(event);
        }
    };
    app.main_loop.set_trace(&WANTED, Box::new(step));
    let watch = logger("gated", pipe.fd(), IN).gate(|app: &App| app.open);
    app.main_loop.add_watch(watch);
    let bh = app.main_loop.bh_new("bh", |_| ());
    let handle = app.main_loop.bh_handle(bh);
    app.open = true;
    app.turn();
    app.open = false;
    app.turn();
    handle.schedule();
    app.turn();
    let fd = Some(pipe.fd().as_fd().as_raw_fd());
    let called = BhCalled(bh.0.to_opaque());
    assert_eq!(*trace.borrow(), [GateOpens(fd), GateCloses(fd), called]);
}

#[test]
fn the_same_seed_shuffles_the_same_way_in_both_ways_of_waiting() {
    let order = |policy: FdmonPolicy, seed: Option<u64>| {
        let mut app = App::new(policy, TimeSource::simulated());
        app.main_loop.set_shuffle(seed);
        let pipes: Vec<Pipe> = (0..6).map(|_| Pipe::full()).collect();
        for (pipe, name) in pipes.iter().zip(["a", "b", "c", "d", "e", "f"]) {
            app.logger(name, pipe.fd(), IN);
        }
        for _ in 0..5 {
            app.turn();
        }
        app.log
    };
    let (poll, epoll) = (FdmonPolicy::Poll, FdmonPolicy::Epoll);
    assert_eq!(order(poll, Some(1)), order(epoll, Some(1)));
    assert_ne!(order(poll, Some(1)), order(poll, Some(2)));
    assert_ne!(order(poll, Some(1)), order(poll, None));
}

#[test]
fn a_watch_prints_its_name_and_fd() {
    let pipe = Pipe::new();
    let text = format!("{:?}", logger("reader", pipe.fd(), IN));
    assert!(text.contains("\"reader\"") && text.contains(&pipe.number().to_string()));
    let text = format!("{:?}", gate_only("gate"));
    assert!(text.contains("\"gate\"") && text.contains("fd: None"));
}
