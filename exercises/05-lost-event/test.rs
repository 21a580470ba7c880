//! Find the lost event.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/turns.rs"]
mod turns;

use std::time::Duration;

use exercise::{emit, App};
use turns::settle;

/// Time passes, then an event happens.
#[track_caller]
fn after(app: &mut App, ms: u64, event: &'static str, sent: &[&str]) {
    for _ in 0..ms / 100 {
        app.main_loop.time_advance(Duration::from_millis(100));
        settle(app);
    }
    emit(app, event);
    settle(app);
    assert_eq!(app.sent, sent, "after {event}");
}

#[test]
fn no_second_has_two_events_and_the_last_is_never_lost() {
    let mut app = App::new();
    after(&mut app, 0, "a", &["a"]);
    after(&mut app, 100, "b", &["a"]);
    after(&mut app, 100, "c", &["a"]);
    // The second is over: c went out, b was replaced. Another second has begun.
    after(&mut app, 800, "d", &["a", "c"]);
    // It is over: d went out. The second after that is quiet.
    after(&mut app, 5000, "e", &["a", "c", "d", "e"]);
    after(&mut app, 5000, "f", &["a", "c", "d", "e", "f"]);
}
