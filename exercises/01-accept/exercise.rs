//! A server that greets each client.

use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use qmonitor::impl_host;
use qmonitor::main_loop::MainLoop;

/// The program: its loop, and its clients.
pub struct App {
    pub main_loop: MainLoop<App>,
    pub clients: Vec<UnixStream>,
}

impl_host!(App, main_loop);

/// Accepts clients from now on, and sends each "hello\n".
pub fn listen(app: &mut App, listener: Rc<UnixListener>) {
    // Your turn: add a watch to app.main_loop that waits for the listener, accepts
    // a client, greets it and keeps it in app.clients.
    let _ = (app, listener);
}
