//! Signals as callbacks. They are raised in the test's own thread, whose mask
//! no other test shares.

use super::*;
use nix::sys::signal::raise;

fn logging_app(policy: FdmonPolicy) -> App {
    let mut app = App::new(policy, TimeSource::system());
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    app.main_loop
        .add_signals(&signals, |app: &mut App, info| {
            assert_eq!(info.pid, std::process::id());
            assert_eq!(info.uid, nix::unistd::getuid().as_raw());
            app.say(info.signal.as_str());
        })
        .unwrap();
    app
}

#[test]
fn each_signal_comes_as_a_callback_with_its_sender() {
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut app = logging_app(policy);
            app.expect(&[]);
            raise(signal).unwrap();
            app.expect_wait(&[signal.as_str()]);
            app.expect(&[]);
        }
    }
}

#[test]
fn several_signals_come_one_a_turn_and_twice_the_same_is_one() {
    let mut app = logging_app(FdmonPolicy::Poll);
    raise(Signal::SIGTERM).unwrap();
    raise(Signal::SIGTERM).unwrap();
    raise(Signal::SIGHUP).unwrap();
    app.expect(&["SIGHUP"]); // the kernel hands out the lowest number first
    app.expect(&["SIGTERM"]);
    app.expect(&[]);
}

#[test]
fn a_signal_callback_removes_its_own_watch() {
    let mut app = App::simulated();
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let watch = app
        .main_loop
        .add_signals(&[Signal::SIGTERM], move |app: &mut App, info| {
            app.say(info.signal.as_str());
            app.main_loop.remove_watch(id.get().unwrap());
        });
    own_id.set(Some(watch.unwrap()));
    raise(Signal::SIGTERM).unwrap();
    app.expect(&["SIGTERM"]);
    app.expect(&[]);
    assert_eq!(app.main_loop.watch_count(), 0);
}
