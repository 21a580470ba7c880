//! At most one event a second. The first goes out at once. Of those that follow
//! within the second only the last is kept, and goes out when the second is over;
//! then another second begins.

use std::time::Duration;

use qmonitor::impl_host;
use qmonitor::main_loop::{ClockType, MainLoop, TimeSource, TimerId};

const SECOND: Duration = Duration::from_secs(1);

/// The program: its loop, the events that have gone out, and the one that waits.
pub struct App {
    pub main_loop: MainLoop<App>,
    pub sent: Vec<&'static str>,
    pending: Option<&'static str>,
    throttled: bool,
    timer: TimerId,
}

impl_host!(App, main_loop);

impl App {
    /// A program in simulated time.
    pub fn new() -> App {
        let time = TimeSource::simulated();
        let mut main_loop = MainLoop::with_time(time).expect("a loop");
        let timer = main_loop.timer_new(ClockType::Virtual, "second", second_is_over);
        App {
            main_loop,
            sent: Vec::new(),
            pending: None,
            throttled: false,
            timer,
        }
    }
}

/// Sends an event, now or when the second is over.
pub fn emit(app: &mut App, event: &'static str) {
    if app.throttled {
        app.pending = Some(event);
        return;
    }
    app.sent.push(event);
    app.throttled = true;
    app.main_loop.timer_mod_in(app.timer, SECOND);
}

fn second_is_over(app: &mut App) {
    // The event that waits opens a second of its own.
    app.throttled = false;
    if let Some(event) = app.pending.take() {
        emit(app, event);
    }
}
