//! A server that asks a slow device. The client sends anything; the device answers
//! on a socket of its own, some time later; and the client is told "done: ANSWER".
//!
//! The answer is told in a bottom half, so that it never happens in the middle of
//! something else.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use qmonitor::impl_host;
use qmonitor::main_loop::{BhId, Condition, Flow, MainLoop, Watch};

/// The program: its loop, and the answer of the device that the client has yet to
/// be told.
pub struct App {
    pub main_loop: MainLoop<App>,
    answer: Option<String>,
}

impl_host!(App, main_loop);

impl App {
    /// A program with a client and a device.
    pub fn new(client: UnixStream, device: UnixStream) -> App {
        let main_loop = MainLoop::new().expect("a loop");
        let mut app = App {
            main_loop,
            answer: None,
        };
        let (client, device) = (Rc::new(client), Rc::new(device));
        let tell = bh_tell(&mut app, client.clone());
        watch_client(&mut app, client, device.clone(), tell);
        watch_device(&mut app, device, tell);
        app
    }
}

/// The bottom half that tells the client.
fn bh_tell(app: &mut App, client: Rc<UnixStream>) -> BhId {
    app.main_loop.bh_new("tell", move |app: &mut App| {
        if let Some(answer) = app.answer.take() {
            let _ = writeln!(client.as_ref(), "done: {answer}");
        }
    })
}

fn watch_client(app: &mut App, client: Rc<UnixStream>, device: Rc<UnixStream>, tell: BhId) {
    let watch = Watch::new(
        "client",
        client.clone(),
        Condition::IN,
        move |app: &mut App, _| {
            let mut buf = [0; 1024];
            match client.as_ref().read(&mut buf) {
                Ok(n) if n > 0 => {
                    let _ = device.as_ref().write_all(&buf[..n]);
                    app.main_loop.bh_schedule(tell);
                    Flow::Keep
                }
                _ => Flow::Remove,
            }
        },
    );
    app.main_loop.add_watch(watch);
}

fn watch_device(app: &mut App, device: Rc<UnixStream>, tell: BhId) {
    let watch = Watch::new(
        "device",
        device.clone(),
        Condition::IN,
        move |app: &mut App, _| {
            let mut buf = [0; 1024];
            match device.as_ref().read(&mut buf) {
                Ok(n) if n > 0 => {
                    app.answer = Some(String::from_utf8_lossy(&buf[..n]).into_owned());
                    // Your turn: when does the bottom half have something to do?
                    let _ = tell;
                    Flow::Keep
                }
                _ => Flow::Remove,
            }
        },
    );
    app.main_loop.add_watch(watch);
}
