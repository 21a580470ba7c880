//! After warming up, a turn of the main loop allocates nothing.

#[path = "../common/counting.rs"]
mod counting;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use counting::allocations;
use qmonitor::impl_host;
use qmonitor::main_loop::{
    main_loop_wait, BhId, ClockType, Condition, FdmonPolicy, Flow, MainLoop, TimerId, Watch,
};

struct App {
    main_loop: MainLoop<App>,
    bh: Option<BhId>,
    timer: Option<TimerId>,
    runs: u32,
}

impl_host!(App, main_loop);

/// An app that has something of each kind to run in each turn.
fn busy_app(policy: FdmonPolicy) -> App {
    let mut app = App {
        main_loop: MainLoop::new().unwrap(),
        bh: None,
        timer: None,
        runs: 0,
    };
    let main_loop = &mut app.main_loop;
    main_loop.set_fdmon(policy);
    main_loop.set_shuffle(Some(1));
    for _ in 0..20 {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&writer, b"x").unwrap();
        let fd: Rc<OwnedFd> = Rc::new(reader);
        let writer = Rc::new(writer);
        let callback = move |app: &mut App, _| {
            app.runs += u32::from(Rc::strong_count(&writer) == 1);
            Flow::Keep
        };
        let watch = Watch::new("fd", fd, Condition::IN, callback);
        // The gate opens and closes, so the set of polled fds changes in each
        // turn.
        main_loop.add_watch(watch.gate(|app: &App| app.runs % 5 != 0));
    }
    app.bh = Some(main_loop.bh_new("bh", |app: &mut App| {
        app.runs += 1;
        let (bh, timer) = (app.bh.unwrap(), app.timer.unwrap());
        app.main_loop.bh_schedule(bh);
        app.main_loop.timer_mod(timer, 0);
    }));
    let other = main_loop.bh_new("other", |app: &mut App| app.runs += 1);
    app.timer = Some(
        main_loop.timer_new(ClockType::Realtime, "timer", move |app: &mut App| {
            app.main_loop.bh_schedule(other);
        }),
    );
    main_loop.bh_schedule(app.bh.unwrap());
    app
}

#[test]
fn a_busy_turn_allocates_nothing_in_either_way_of_waiting() {
    let test = "alloc::a_busy_turn_allocates_nothing_in_either_way_of_waiting";
    crate::alone(test, count_allocations);
}

fn count_allocations() {
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        let mut app = busy_app(policy);
        let mut turns = |count| {
            for _ in 0..count {
                assert!(main_loop_wait(&mut app, Some(Duration::ZERO)).unwrap());
            }
            app.main_loop.counters()
        };
        let before = turns(20);
        let allocated = allocations();
        let after = turns(1000);
        assert_eq!(allocations(), allocated, "{policy:?}");
        assert!(after.watches > before.watches);
        assert!(after.timers > before.timers);
        assert!(after.bhs > before.bhs + 1000);
    }
}
