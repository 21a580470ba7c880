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
    // What has come and is no whole line yet.
    let mut pending = Vec::new();
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
            pending.extend(&buf[..n]);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let _ = stream.write_all(answer(&line[..end]));
            }
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
