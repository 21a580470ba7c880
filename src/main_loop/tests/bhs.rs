//! Bottom halves, from here and from other threads.

use super::*;

fn bh(app: &mut App, name: &'static str) -> BhId {
    app.main_loop
        .bh_new(name, move |app: &mut App| app.say(name))
}

#[test]
fn bottom_halves_run_once_in_order_of_scheduling() {
    let mut app = App::simulated();
    let (a, b) = (bh(&mut app, "a"), bh(&mut app, "b"));
    app.expect(&[]);
    assert!(app.main_loop.bh_schedule(b));
    assert!(app.main_loop.bh_schedule(a));
    assert!(app.main_loop.bh_schedule(b));
    assert!(app.main_loop.bh_scheduled(a));
    app.expect(&["b", "a"]);
    assert!(!app.main_loop.bh_scheduled(a));
    app.expect(&[]);
}

#[test]
fn a_bottom_half_scheduled_by_a_bottom_half_runs_in_the_next_turn() {
    let mut app = App::simulated();
    let inner = bh(&mut app, "inner");
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let outer = app.main_loop.bh_new("outer", move |app: &mut App| {
        app.say("outer");
        app.main_loop.bh_schedule(inner);
        app.main_loop.bh_schedule(id.get().unwrap());
    });
    own_id.set(Some(outer));
    app.main_loop.bh_schedule(outer);
    app.expect(&["outer"]);
    app.expect(&["inner", "outer"]);
}

#[test]
fn bottom_halves_run_before_fds_and_those_of_fds_in_the_next_turn() {
    let mut app = App::simulated();
    let pipe = Pipe::full();
    let later = bh(&mut app, "later");
    let watch = Watch::new("fd", pipe.fd(), IN, move |app: &mut App, _| {
        app.say("fd");
        app.main_loop.bh_schedule(later);
        Flow::Remove
    });
    app.main_loop.add_watch(watch);
    app.main_loop
        .bh_schedule_oneshot("oneshot", |app: &mut App| app.say("oneshot"));
    app.expect(&["oneshot"]);
    app.expect(&["fd"]);
    app.expect(&["later"]);
    app.expect(&[]);
}

#[test]
fn bottom_halves_without_end_do_not_starve_fds_and_timers() {
    let mut app = App::simulated();
    let pipe = Pipe::full();
    app.logger("fd", pipe.fd(), IN);
    let timer = app
        .main_loop
        .timer_new(ClockType::Realtime, "timer", |app: &mut App| {
            app.say("timer");
        });
    app.main_loop.timer_mod(timer, 0);
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let endless = app.main_loop.bh_new("bh", move |app: &mut App| {
        app.say("bh");
        app.main_loop.bh_schedule(id.get().unwrap());
    });
    own_id.set(Some(endless));
    app.main_loop.bh_schedule(endless);
    app.expect(&["bh"]);
    app.expect(&["bh", "fd IN", "timer"]);
    app.expect(&["bh"]);
    app.expect(&["bh", "fd IN"]);
    let counters = app.main_loop.counters();
    assert_eq!((counters.turns, counters.wait_syscalls), (4, 2));
}

#[test]
fn a_bottom_half_deletes_another_of_the_same_turn() {
    let mut app = App::simulated();
    let (kept, deleted) = (bh(&mut app, "kept"), bh(&mut app, "deleted"));
    let killer = app.main_loop.bh_new("killer", move |app: &mut App| {
        app.say("killer");
        assert!(app.main_loop.bh_delete(deleted));
        assert!(!app.main_loop.bh_delete(deleted));
        assert!(!app.main_loop.bh_schedule(deleted));
    });
    for id in [killer, deleted, kept] {
        app.main_loop.bh_schedule(id);
    }
    app.expect(&["killer", "kept"]);
}

#[test]
fn a_bottom_half_deletes_itself() {
    let mut app = App::simulated();
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let bh = app.main_loop.bh_new("self", move |app: &mut App| {
        app.say("self");
        assert!(app.main_loop.bh_delete(id.get().unwrap()));
    });
    own_id.set(Some(bh));
    app.main_loop.bh_schedule(bh);
    app.expect(&["self"]);
    assert!(!app.main_loop.bh_schedule(bh));
    app.expect(&[]);
}

#[test]
fn a_turn_that_ran_a_bottom_half_does_not_block() {
    // In the system's time, for that is where it could.
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::system());
    let bh = bh(&mut app, "bh");
    app.main_loop.bh_schedule(bh);
    app.expect_wait(&["bh"]);
}

#[test]
fn a_thread_schedules_a_bottom_half() {
    each_way(|mut app| {
        let bh = bh(&mut app, "from the thread");
        let handle = app.main_loop.bh_handle(bh);
        app.expect(&[]);
        let thread = std::thread::spawn(move || {
            handle.schedule();
            handle.clone().schedule();
        });
        thread.join().unwrap();
        app.expect(&["from the thread"]);
        app.expect(&[]);
        assert_eq!(app.main_loop.counters().wakeups, 1);
    });
}

#[test]
fn a_thread_ends_the_wait_of_a_loop_that_blocks() {
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        let mut app = App::new(policy, TimeSource::system());
        let bh = bh(&mut app, "from the thread");
        let handle = app.main_loop.bh_handle(bh);
        let thread = std::thread::spawn(move || handle.schedule());
        while app.log.is_empty() {
            app.wait();
        }
        thread.join().unwrap();
        assert_eq!(app.log, ["from the thread"]);
    }
}

/// Each thread schedules again as soon as its last request was served, which
/// meets every order of the steps on both sides sooner or later; a wake-up lost
/// in one of them leaves the loop waiting for ever.
#[test]
fn no_wake_up_is_lost_between_threads_and_loop() {
    const THREADS: usize = 3;
    const ROUNDS: usize = 2000;
    let mut app = App::new(FdmonPolicy::Poll, TimeSource::system());
    let mut threads = Vec::new();
    let served = Rc::new(Cell::new(0));
    for _ in 0..THREADS {
        let (sender, receiver) = std::sync::mpsc::channel();
        let count = served.clone();
        let bh = app.main_loop.bh_new("served", move |_: &mut App| {
            count.set(count.get() + 1);
            sender.send(()).unwrap();
        });
        let handle = app.main_loop.bh_handle(bh);
        threads.push(std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                handle.schedule();
                receiver.recv().unwrap();
            }
        }));
    }
    while served.get() < THREADS * ROUNDS {
        app.wait();
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_handle_outlives_its_bottom_half_and_its_loop() {
    let _fds = FdGuard::new(); // the handles keep one open
    let mut app = App::simulated();
    let bh = bh(&mut app, "deleted");
    let handle = app.main_loop.bh_handle(bh);
    app.main_loop.bh_delete(bh);
    let stale = app.main_loop.bh_handle(bh);
    handle.schedule();
    stale.schedule();
    app.expect(&[]);
    drop(app);
    handle.schedule();
    stale.schedule();
}
