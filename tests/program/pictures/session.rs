//! Sessions whose traces the pictures are drawn from.

use serde_json::Value;

use crate::common::{Client, Server};

/// What one run of the program has recorded, with the numbers of descriptors and the
/// paths as the pages have them.
pub struct Recorded {
    /// The lines of `-trace '*'`.
    pub lines: Vec<String>,
    /// The sequence diagram.
    pub diagram: String,
    /// The events in Chrome's format.
    pub events: Vec<Value>,
}

const RECORDING: [&str; 6] = [
    "-trace",
    "*",
    "-trace-out",
    "{dir}/t.mmd",
    "-trace-out",
    "{dir}/t.json",
];

/// Names the descriptors of a text from 4 on, in the order of their first appearance.
pub struct Descriptors(Vec<String>);

impl Descriptors {
    pub fn new() -> Self {
        Descriptors(Vec::new())
    }

    pub fn name(&mut self, number: &str) -> usize {
        let known = self.0.iter().position(|other| other == number);
        4 + known.unwrap_or_else(|| {
            self.0.push(number.to_owned());
            self.0.len() - 1
        })
    }

    fn in_text(&mut self, text: &str) -> String {
        let mut parts = text.split("fd ");
        let mut named = parts.next().unwrap_or("").to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit());
            let (number, rest) = part.split_at(end.unwrap_or(part.len()));
            if number.is_empty() {
                named += &format!("fd {rest}");
            } else {
                named += &format!("fd {}{rest}", self.name(number));
            }
        }
        named
    }
}

/// Runs the program with more options until `play` has it end.
#[track_caller]
pub fn record(options: &[&str], play: impl FnOnce(&Server)) -> Recorded {
    let server = Server::start_bare(&[&["-nodefaults"], &RECORDING[..], options].concat());
    play(&server);
    // The directory goes with the server, the files stay open.
    let kept = tempfile::tempdir().expect("a directory");
    for name in ["t.mmd", "t.json"] {
        std::fs::hard_link(server.path(name), kept.path().join(name)).expect("a link");
    }
    let place = server.path("q").display().to_string();
    let output = server.finish();
    let read = |name: &str| std::fs::read_to_string(kept.path().join(name)).expect("a recording");
    let named = |text: String| Descriptors::new().in_text(&text.replace(&place, "/tmp/qmp-test"));
    let lines = named(String::from_utf8(output.stderr).expect("text"));
    Recorded {
        lines: lines.lines().map(str::to_owned).collect(),
        diagram: named(read("t.mmd")),
        events: serde_json::from_str(&read("t.json")).expect("JSON"),
    }
}

const QMP: [&str; 2] = ["-qmp", "unix:{dir}/q,server=on,wait=off"];

/// The session of docs/trace.md: a client negotiates, asks one thing and leaves. Another
/// ends the program.
#[track_caller]
pub fn trace_of(options: &[&str]) -> Recorded {
    record(&[&QMP[..], options].concat(), |server| {
        let mut client = server.connect();
        client.expect_greeting();
        for command in ["qmp_capabilities", "query-status"] {
            client.send(format!("{{\"execute\": \"{command}\"}}\n"));
            client.line();
        }
        drop(client);
        server.qmp().ask("quit");
    })
}

/// A person asks one thing of a human monitor.
#[track_caller]
pub fn human() -> Recorded {
    let options = ["-monitor", "unix:{dir}/h,server=on,wait=off"];
    record(&[&QMP[..], &options].concat(), |server| {
        let mut person = Client::connect(&server.path("h"));
        person.send("info status\n");
        while !person.line().contains("VM status: running") {}
        server.qmp().ask("quit");
    })
}
