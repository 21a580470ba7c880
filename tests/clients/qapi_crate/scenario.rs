//! crates.io's `qapi` in a scenario: scenario SOCKET.

use std::os::unix::net::UnixStream;

use qapi::{qmp, Command, Qmp, Stream};

type Session<'a> = Qmp<Stream<std::io::BufReader<&'a UnixStream>, &'a UnixStream>>;

fn text(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn tell<C: Command>(session: &mut Session<'_>, command: C, show: impl Fn(C::Ok) -> String) {
    match session.execute(&command) {
        Ok(value) => println!("[\"return\", {}]", show(value)),
        Err(error) => println!("[\"error\", {}]", text(&error.to_string())),
    }
}

fn main() {
    let address = std::env::args().nth(1).expect("an address");
    let stream = UnixStream::connect(&address).expect("it listens");
    let mut session = Qmp::from_stream(&stream);
    if let Err(error) = session.handshake() {
        return println!("[\"error\", {}]", text(&error.to_string()));
    }
    tell(&mut session, qmp::query_status {}, |status| {
        format!("{{\"running\": {}}}", status.running)
    });
    tell(&mut session, qmp::query_name {}, |_| "{}".to_owned());
    tell(&mut session, qmp::quit {}, |_| "{}".to_owned());
}
