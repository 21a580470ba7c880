//! A server of lines: "ping" is answered by "pong", anything else by "what?".

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use qmonitor::impl_host;
use qmonitor::main_loop::{Condition, Flow, MainLoop, Watch};

/// The program.
pub struct App {
    pub main_loop: MainLoop<App>,
}

impl_host!(App, main_loop);

/// Answers the lines of a client until it leaves.
pub fn serve(app: &mut App, client: UnixStream) {
    let client = Rc::new(client);
    let watch = Watch::new(
        "lines",
        client.clone(),
        Condition::IN,
        move |_: &mut App, _| {
            let mut buf = [0; 1024];
            let stream = &mut client.as_ref();
            let n = stream.read(&mut buf).unwrap_or(0);
            if n == 0 {
                return Flow::Remove;
            }
            // Your turn: is what was read one line?
            let line = &buf[..n];
            let _ = stream.write_all(answer(line.trim_ascii_end()));
            Flow::Keep
        },
    );
    app.main_loop.add_watch(watch);
}

fn answer(line: &[u8]) -> &'static [u8] {
    match line {
        b"ping" => b"pong\n",
        _ => b"what?\n",
    }
}
