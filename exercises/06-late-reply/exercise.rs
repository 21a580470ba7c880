//! A server for one client at a time whose answers take 100 ms.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use qmonitor::impl_host;
use qmonitor::main_loop::{ClockType, Condition, Flow, MainLoop, TimeSource, Watch};

const WORK: Duration = Duration::from_millis(100);

/// The program: its loop, and the client that is connected.
pub struct App {
    pub main_loop: MainLoop<App>,
    client: Option<Rc<UnixStream>>,
}

impl_host!(App, main_loop);

impl App {
    /// A program in simulated time.
    pub fn new() -> App {
        let main_loop = MainLoop::with_time(TimeSource::simulated()).expect("a loop");
        App {
            main_loop,
            client: None,
        }
    }
}

/// Serves a client until it leaves.
pub fn connect(app: &mut App, client: UnixStream) {
    let client = Rc::new(client);
    app.client = Some(client.clone());
    let watch = Watch::new(
        "requests",
        client.clone(),
        Condition::IN,
        |app: &mut App, _| {
            let mut buf = [0; 1024];
            let read = app
                .client
                .as_ref()
                .map(|client| client.as_ref().read(&mut buf));
            match read {
                Some(Ok(n)) if n > 0 => {
                    work(app, String::from_utf8_lossy(&buf[..n]).into_owned());
                    Flow::Keep
                }
                _ => {
                    app.client = None;
                    Flow::Remove
                }
            }
        },
    );
    app.main_loop.add_watch(watch);
}

/// Answers a request when the work is done.
fn work(app: &mut App, request: String) {
    let timer = app
        .main_loop
        .timer_new(ClockType::Virtual, "work", move |app: &mut App| {
            // Your turn: is this still the client that asked?
            if let Some(client) = &app.client {
                let _ = writeln!(client.as_ref(), "answer to {request}");
            }
        });
    app.main_loop.timer_mod_in(timer, WORK);
}
