//! A server for one client at a time, which gets back what it sends.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use qmonitor::impl_host;
use qmonitor::main_loop::{Condition, Flow, MainLoop, Watch};

/// The program: its loop, and the socket that it listens on.
pub struct App {
    pub main_loop: MainLoop<App>,
    pub listener: Rc<UnixListener>,
}

impl_host!(App, main_loop);

/// Waits for a client.
pub fn listen(app: &mut App) {
    let watch = Watch::new(
        "accept",
        app.listener.clone(),
        Condition::IN,
        |app: &mut App, _| {
            if let Ok((client, _)) = app.listener.accept() {
                serve(app, client);
            }
            // The echo takes its place until the client leaves.
            Flow::Remove
        },
    );
    app.main_loop.add_watch(watch);
}

/// Sends back what the client sends, until it leaves.
fn serve(app: &mut App, client: UnixStream) {
    let client = Rc::new(client);
    let watch = Watch::new(
        "echo",
        client.clone(),
        Condition::IN,
        move |app: &mut App, _| {
            let mut buf = [0; 1024];
            let stream = &mut client.as_ref();
            match stream.read(&mut buf) {
                Ok(n) if n > 0 && stream.write_all(&buf[..n]).is_ok() => Flow::Keep,
                _ => {
                    listen(app);
                    Flow::Remove
                }
            }
        },
    );
    app.main_loop.add_watch(watch);
}
