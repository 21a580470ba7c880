//! Timers and simulated time.

use super::*;

const MS: i64 = 1_000_000;

fn timer(app: &mut App, clock: ClockType, name: &'static str) -> TimerId {
    app.main_loop
        .timer_new(clock, name, move |app: &mut App| app.say(name))
}

fn now(app: &App) -> i64 {
    app.main_loop.clock_get_ns(ClockType::Realtime)
}

#[test]
fn simulated_time_jumps_to_the_next_deadline() {
    each_way(|mut app| {
        let day = timer(&mut app, ClockType::Realtime, "day");
        let hour = timer(&mut app, ClockType::Host, "hour");
        app.main_loop.timer_mod(day, 86_400_000 * MS);
        app.main_loop.timer_mod(hour, 3_600_000 * MS);
        app.expect(&[]); // no time to pass
        assert_eq!(now(&app), 0);
        app.expect_wait(&["hour"]);
        assert_eq!(now(&app), 3_600_000 * MS);
        app.expect_wait(&["day"]);
        assert_eq!(now(&app), 86_400_000 * MS);
    });
}

#[test]
fn simulated_time_stands_still_while_an_fd_is_ready() {
    each_way(|mut app| {
        let timer = timer(&mut app, ClockType::Realtime, "timer");
        app.main_loop.timer_mod(timer, MS);
        let pipe = Pipe::full();
        app.logger("fd", pipe.fd(), IN);
        app.expect_wait(&["fd IN"]);
        assert_eq!(now(&app), 0);
        read_byte(&pipe.reader);
        app.expect_wait(&["timer"]);
    });
}

#[test]
fn a_simulated_turn_takes_its_timeout_and_never_blocks() {
    let mut app = App::simulated();
    let timer = timer(&mut app, ClockType::Realtime, "timer");
    app.main_loop.timer_mod(timer, 3 * MS);
    let timeout = Some(Duration::from_millis(2));
    assert!(!main_loop_wait(&mut app, timeout).unwrap());
    assert_eq!(now(&app), 2 * MS);
    assert!(main_loop_wait(&mut app, timeout).unwrap());
    assert_eq!(now(&app), 3 * MS);
    assert!(!main_loop_wait(&mut app, timeout).unwrap());
    assert_eq!(now(&app), 5 * MS);
    assert!(!app.wait(), "nothing can happen any more");
    assert_eq!(now(&app), 5 * MS);
}

#[test]
fn equal_deadlines_run_in_order_of_arming() {
    let mut app = App::simulated();
    let a = timer(&mut app, ClockType::Realtime, "a");
    let b = timer(&mut app, ClockType::Realtime, "b");
    let c = timer(&mut app, ClockType::Realtime, "c");
    for id in [c, a, b] {
        app.main_loop.timer_mod(id, MS);
    }
    app.main_loop.timer_mod(c, MS); // armed anew: now the last
    app.expect_wait(&["a", "b", "c"]);
}

#[test]
fn clocks_run_their_timers_in_qemus_order() {
    let mut app = App::simulated();
    let host = timer(&mut app, ClockType::Host, "host");
    let virt = timer(&mut app, ClockType::Virtual, "virtual");
    let real = timer(&mut app, ClockType::Realtime, "realtime");
    for (id, deadline) in [(host, -3), (virt, -2), (real, -1)] {
        app.main_loop.timer_mod(id, deadline);
    }
    app.expect(&["realtime", "virtual", "host"]);
}

#[test]
fn a_timer_is_armed_again_in_its_own_callback() {
    let mut app = App::simulated();
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let periodic =
        app.main_loop
            .timer_new(ClockType::Realtime, "periodic", move |app: &mut App| {
                let id = id.get().unwrap();
                assert!(!app.main_loop.timer_pending(id));
                let now = app.main_loop.clock_get_ns(ClockType::Realtime);
                app.say(format!("at {now}"));
                app.main_loop.timer_mod(id, now + MS);
            });
    own_id.set(Some(periodic));
    app.main_loop.timer_mod(periodic, MS);
    app.expect_wait(&["at 1000000"]);
    app.expect_wait(&["at 2000000"]);
    assert!(app.main_loop.timer_pending(periodic));
}

#[test]
fn a_timer_armed_for_the_past_in_its_own_callback_waits_for_the_next_turn() {
    let mut app = App::simulated();
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let greedy = app
        .main_loop
        .timer_new(ClockType::Realtime, "greedy", move |app: &mut App| {
            app.say("greedy");
            app.main_loop.timer_mod(id.get().unwrap(), i64::MIN);
        });
    own_id.set(Some(greedy));
    app.main_loop.timer_mod(greedy, 0);
    app.expect(&["greedy"]);
    app.expect(&["greedy"]);
}

#[test]
fn a_timer_is_freed_in_its_own_callback() {
    let mut app = App::simulated();
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let timer = app
        .main_loop
        .timer_new(ClockType::Realtime, "once", move |app: &mut App| {
            app.say("once");
            let id = id.get().unwrap();
            assert!(!app.main_loop.timer_del(id), "not armed while it runs");
            app.main_loop.timer_mod(id, 0);
            assert!(app.main_loop.timer_free(id));
            assert!(!app.main_loop.timer_mod(id, 0));
        });
    own_id.set(Some(timer));
    app.main_loop.timer_mod(timer, 0);
    app.expect(&["once"]);
    app.expect(&[]);
}

#[test]
fn a_due_timer_is_put_off_deleted_or_freed_by_one_before_it() {
    let mut app = App::simulated();
    let off = timer(&mut app, ClockType::Realtime, "put off");
    let deleted = timer(&mut app, ClockType::Realtime, "deleted");
    let freed = timer(&mut app, ClockType::Realtime, "freed");
    let pipe = Pipe::full();
    let watch = Watch::new("fd", pipe.fd(), IN, move |app: &mut App, _| {
        app.say("fd");
        app.main_loop.timer_mod(off, MS);
        assert!(app.main_loop.timer_pending(deleted));
        app.main_loop.timer_del(deleted);
        app.main_loop.timer_free(freed);
        Flow::Remove
    });
    app.main_loop.add_watch(watch);
    for id in [off, deleted, freed] {
        app.main_loop.timer_mod(id, 0);
    }
    app.expect(&["fd"]);
    app.expect(&[]);
    app.expect_wait(&["put off"]);
}

#[test]
fn a_timer_armed_by_an_fd_waits_for_the_next_turn() {
    let mut app = App::simulated();
    let timer = timer(&mut app, ClockType::Realtime, "timer");
    let pipe = Pipe::full();
    let watch = Watch::new("fd", pipe.fd(), IN, move |app: &mut App, _| {
        app.say("fd");
        app.main_loop.timer_mod(timer, 0);
        Flow::Remove
    });
    app.main_loop.add_watch(watch);
    app.expect(&["fd"]);
    app.expect(&["timer"]);
}

#[test]
fn virtual_timers_wait_for_the_machine_to_run() {
    let mut app = App::simulated();
    let virt = timer(&mut app, ClockType::Virtual, "virtual");
    let real = timer(&mut app, ClockType::Realtime, "real");
    app.main_loop.timer_mod(virt, MS);
    app.main_loop.timer_mod(real, 5 * MS);
    app.main_loop.clock_enable(ClockType::Virtual, false);
    app.expect_wait(&["real"]);
    assert_eq!(app.main_loop.clock_get_ns(ClockType::Virtual), 0);
    assert!(!app.wait());
    app.main_loop.clock_enable(ClockType::Virtual, true);
    app.expect_wait(&["virtual"]);
    assert_eq!(now(&app), 6 * MS);
}

#[test]
fn a_delay_counts_from_now_on_the_timers_own_clock() {
    let mut app = App::simulated();
    app.main_loop.clock_enable(ClockType::Virtual, false);
    app.main_loop.time_advance(Duration::from_millis(7));
    app.main_loop.clock_enable(ClockType::Virtual, true);
    let real = timer(&mut app, ClockType::Realtime, "real");
    let virt = timer(&mut app, ClockType::Virtual, "virtual");
    let never = timer(&mut app, ClockType::Realtime, "never");
    let delay = Duration::from_millis(2);
    assert!(app.main_loop.timer_mod_in(real, delay));
    assert!(app.main_loop.timer_mod_in(virt, delay));
    assert!(app.main_loop.timer_mod_in(never, Duration::MAX));
    app.main_loop.time_advance(delay - Duration::from_nanos(1));
    app.expect(&[]);
    app.main_loop.time_advance(Duration::from_nanos(1));
    app.expect(&["real", "virtual"]);
    assert!(app.main_loop.timer_free(real));
    assert!(!app.main_loop.timer_mod_in(real, delay));
}

#[test]
fn a_machine_stopped_by_a_callback_keeps_its_due_timers() {
    let mut app = App::simulated();
    let virt = timer(&mut app, ClockType::Virtual, "virtual");
    let stop = app
        .main_loop
        .timer_new(ClockType::Realtime, "stop", |app: &mut App| {
            app.say("stop");
            app.main_loop.clock_enable(ClockType::Virtual, false);
        });
    app.main_loop.timer_mod(virt, MS);
    app.main_loop.timer_mod(stop, MS);
    app.expect_wait(&["stop"]);
    app.expect(&[]);
    app.main_loop.clock_enable(ClockType::Virtual, true);
    app.expect(&["virtual"]);
}

#[test]
fn a_step_makes_virtual_timers_due() {
    for time in [TimeSource::simulated(), TimeSource::system()] {
        let mut app = App::new(FdmonPolicy::Poll, time);
        let second = timer(&mut app, ClockType::Virtual, "second");
        let first = timer(&mut app, ClockType::Virtual, "first");
        let hour = 3_600_000 * MS;
        app.main_loop.timer_mod(second, 2 * hour);
        app.main_loop.timer_mod(first, hour);
        app.expect(&[]);
        app.main_loop.clock_step(hour as u64);
        app.expect(&["first"]);
        app.main_loop.clock_step(5 * hour as u64);
        app.expect(&["second"]);
    }
}

#[test]
fn advanced_time_makes_timers_of_all_clocks_due() {
    let mut app = App::simulated();
    let real = timer(&mut app, ClockType::Realtime, "real");
    let virt = timer(&mut app, ClockType::Virtual, "virtual");
    app.main_loop.timer_mod(real, MS);
    app.main_loop.timer_mod(virt, MS);
    app.main_loop.time_advance(Duration::from_millis(1));
    app.expect(&["real", "virtual"]);
}

#[test]
fn a_system_timer_ends_the_wait_and_not_before_its_time() {
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        let mut app = App::new(policy, TimeSource::system());
        let pipe = Pipe::new();
        app.logger("fd", pipe.fd(), IN);
        let timer = timer(&mut app, ClockType::Realtime, "timer");
        let deadline = now(&app) + MS;
        app.main_loop.timer_mod(timer, deadline);
        while app.log.is_empty() {
            app.wait();
        }
        assert!(now(&app) >= deadline);
        assert!(app.main_loop.counters().turns <= 3, "it waited, not spun");
    }
}

#[test]
fn manual_time_moves_by_decree_alone_and_waits_for_fds() {
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        let mut app = App::new(policy, TimeSource::manual_from(7));
        let timer = timer(&mut app, ClockType::Realtime, "timer");
        app.main_loop.timer_mod(timer, MS);
        let deadline = app.main_loop.next_deadline();
        assert_eq!(deadline, Some(Duration::from_millis(1)));
        let pipe = Pipe::full();
        app.logger("fd", pipe.fd(), IN);
        app.expect_wait(&["fd IN"]);
        assert_eq!(now(&app), 0);
        app.main_loop.time_advance(Duration::from_millis(1));
        assert_eq!(app.main_loop.clock_get_ns(ClockType::Host), MS + 7);
        app.expect(&["fd IN", "timer"]);
        assert_eq!(app.main_loop.next_deadline(), None);
    }
}

#[test]
fn a_warp_runs_each_timer_at_its_time() {
    let mut app = App::simulated();
    app.main_loop.take_virtual_clock_in_hand();
    let virtual_now = |app: &App| app.main_loop.clock_get_ns(ClockType::Virtual);
    let second = timer(&mut app, ClockType::Virtual, "second");
    let first = app
        .main_loop
        .timer_new(ClockType::Virtual, "first", move |app: &mut App| {
            let now = virtual_now(app);
            app.say(format!("first at {now}"));
            app.main_loop.timer_mod(second, now + 5);
        });
    app.main_loop.timer_mod(first, 10);
    assert_eq!(
        app.main_loop.next_virtual_deadline(),
        Some(Duration::from_nanos(10))
    );
    assert!(!main_loop_wait(&mut app, Some(Duration::from_millis(1))).unwrap());
    assert!(virtual_clock_warp(&mut app, 14));
    assert_eq!(std::mem::take(&mut app.log), ["first at 10"]);
    assert_eq!(virtual_now(&app), 14);
    assert!(virtual_clock_warp(&mut app, 15));
    assert_eq!(std::mem::take(&mut app.log), ["second"]);
    assert!(!virtual_clock_warp(&mut app, 14));
    assert_eq!(virtual_now(&app), 15);
}

#[test]
fn a_warp_runs_no_timer_of_a_stopped_clock() {
    let mut app = App::simulated();
    app.main_loop.take_virtual_clock_in_hand();
    let timer = timer(&mut app, ClockType::Virtual, "timer");
    app.main_loop.timer_mod(timer, 10);
    app.main_loop.clock_enable(ClockType::Virtual, false);
    assert_eq!(app.main_loop.next_virtual_deadline(), None);
    assert!(virtual_clock_warp(&mut app, 20));
    assert!(app.log.is_empty());
    app.main_loop.clock_enable(ClockType::Virtual, true);
    assert!(virtual_clock_warp(&mut app, 20));
    assert_eq!(std::mem::take(&mut app.log), ["timer"]);
}
