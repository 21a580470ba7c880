//! A server that greets each client.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use qmonitor::impl_host;
use qmonitor::main_loop::{Condition, Flow, MainLoop, Watch};

/// The program: its loop, and its clients.
pub struct App {
    pub main_loop: MainLoop<App>,
    pub clients: Vec<UnixStream>,
}

impl_host!(App, main_loop);

/// Accepts clients from now on, and sends each "hello\n".
pub fn listen(app: &mut App, listener: Rc<UnixListener>) {
    let watch = Watch::new(
        "accept",
        listener.clone(),
        Condition::IN,
        move |app: &mut App, _| {
            if let Ok((mut client, _)) = listener.accept() {
                if client.write_all(b"hello\n").is_ok() {
                    app.clients.push(client);
                }
            }
            Flow::Keep
        },
    );
    app.main_loop.add_watch(watch);
}
