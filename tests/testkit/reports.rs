//! What people reported of QMP clients: each scenario of `docs/scenarios` against a naive client,
//! which fails, and a right one, which does not.

use std::collections::VecDeque;
use std::time::Duration;

use qmonitor_testkit::scenario::Scenario;
use qmonitor_testkit::serde_json::{from_slice, json, Value};
use qmonitor_testkit::{Sim, Slice};

/// How much a client reads at once.
const READ: usize = 4096;

/// How long a client waits.
const LIMIT: Duration = Duration::from_secs(10);

/// A connection as a client sees it: each read gives what one write wrote, 4 KiB of it at most.
struct Wire {
    sim: Sim,
    reads: VecDeque<Vec<u8>>,
}

impl Wire {
    fn open(scenario: &str) -> Wire {
        let mut sim = Sim::of(scenario);
        if scenario.contains("nth: 2, do: silence") {
            // Another one is there already.
            sim.connect();
        }
        sim.connect();
        let reads = VecDeque::new();
        Wire { sim, reads }
    }

    fn send(&mut self, command: &str, id: u64) {
        self.sim
            .send_raw(format!("{{\"execute\": \"{command}\", \"id\": {id}}}\n"));
    }

    fn poll(&mut self) {
        let reads = &mut self.reads;
        self.sim
            .pipe(|bytes| reads.extend(bytes.chunks(READ).map(<[u8]>::to_vec)));
    }

    /// The next read within a limit. None if nothing comes, or the connection has ended.
    fn read(&mut self, limit: Duration) -> Option<Vec<u8>> {
        self.poll();
        if self.reads.is_empty() {
            self.sim.advance(limit);
            self.poll();
        }
        self.reads.pop_front()
    }
}

/// What a client makes of a session: the result of each command, or what it complains of.
type Outcome = Vec<Result<Value, &'static str>>;

/// Takes one read for one message, the first for the greeting, and the next for the reply.
fn naive(wire: &mut Wire, commands: &[&str]) -> Outcome {
    let second = Duration::from_secs(1);
    let message = |wire: &mut Wire| -> Result<Value, &'static str> {
        let bytes = wire.read(second).ok_or("nothing came")?;
        from_slice(&bytes).map_err(|_| "no JSON")
    };
    let Ok(greeting) = message(wire) else {
        return vec![Err("no greeting")];
    };
    if greeting.get("QMP").is_none() {
        return vec![Err("no greeting")];
    }
    let results = commands.iter().map(|command| {
        wire.send(command, 0);
        let reply = message(wire)?;
        reply.get("return").cloned().ok_or("no return")
    });
    results.collect()
}

/// Reads lines, tells messages apart by their members, matches ids, and has limits.
fn right(wire: &mut Wire, commands: &[&str]) -> Outcome {
    let mut text = Vec::new();
    let mut message = |wire: &mut Wire, limit| -> Result<Value, &'static str> {
        loop {
            if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                return from_slice(&line).map_err(|_| "no JSON");
            }
            let bytes: Vec<u8> = wire.read(limit).ok_or("lost")?;
            text.extend(bytes);
        }
    };
    loop {
        match message(wire, LIMIT) {
            Ok(greeting) if greeting.get("QMP").is_some() => break,
            Ok(_) => {}
            Err(_) => return vec![Err("no greeting")],
        }
    }
    let mut last = 0;
    let mut outcome = Outcome::new();
    for command in commands {
        last += 1;
        wire.send(command, last);
        outcome.push(loop {
            // A command may take long; the connection's end is told by the system.
            let Ok(reply) = message(wire, Duration::from_secs(600)) else {
                let quits = *command == "quit";
                break if quits {
                    Ok(json!({}))
                } else {
                    Err("no answer came")
                };
            };
            match reply.get("id").and_then(Value::as_u64) {
                _ if reply.get("event").is_some() => {}
                Some(id) if id == last => {
                    break reply.get("return").cloned().ok_or("refused");
                }
                // It was answered before, or is an answer to nothing.
                _ => {}
            }
        });
    }
    outcome
}

/// What a right client makes of a scenario; the naive one must make something else of it.
fn expected(name: &str) -> Outcome {
    let done = || Ok(json!({}));
    let status = || Ok(json!({"status": "running", "running": true}));
    match name {
        "greeting-never" | "silent" | "second-connection" => vec![Err("no greeting")],
        "reply-of-another" => vec![done(), Err("no answer came"), done(), done()],
        "lost-in-mid-reply" => {
            let lost = || Err("no answer came");
            vec![done(), lost(), lost(), done()]
        }
        "event-before-reply" => {
            let paused = Ok(json!({"status": "paused", "running": false}));
            vec![done(), paused, done(), done()]
        }
        _ => vec![done(), status(), done(), done()],
    }
}

const COMMANDS: [&str; 4] = ["qmp_capabilities", "query-status", "query-name", "quit"];

fn scenarios() -> Vec<(String, String)> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios");
    let files = std::fs::read_dir(dir).expect("the scenarios");
    let mut list: Vec<_> = files
        .map(|file| {
            let path = file.expect("an entry").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read_to_string(path).expect("text"))
        })
        .collect();
    list.sort();
    list
}

#[test]
fn a_right_client_copes_with_each_report_and_a_naive_one_does_not() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 12);
    for (name, text) in scenarios {
        let head: Vec<_> = text.lines().take_while(|l| l.starts_with("# ")).collect();
        assert_eq!(head.len(), 4, "{name}: three lines and the report");
        assert!(head[3].starts_with("# Reported in https://"), "{name}");
        let mut client = Wire::open(&text);
        let outcome = right(&mut client, &COMMANDS);
        let expected = expected(&name);
        assert_eq!(outcome, expected, "{name}: the right client");
        // Where nothing can be right, the naive client is told from it by its hanging.
        if expected != [Err("no greeting")] {
            let outcome = naive(&mut Wire::open(&text), &COMMANDS);
            assert_ne!(outcome, expected, "{name}: the naive client");
        }
    }
}

#[test]
fn a_right_client_copes_with_each_report_in_any_pieces() {
    for (name, text) in scenarios() {
        for seed in 0..5 {
            let text = format!("seed: {seed}\n{text}");
            assert!(Scenario::read("", &text, None).is_ok());
            let mut client = Wire::open(&text);
            client.sim.fault(Slice::random());
            let outcome = right(&mut client, &COMMANDS);
            assert_eq!(outcome, expected(&name), "{name}, seed {seed}");
        }
    }
}

#[test]
fn without_a_fault_both_clients_are_right() {
    let expected = expected("");
    assert_eq!(right(&mut Wire::open("{}"), &COMMANDS), expected);
    assert_eq!(naive(&mut Wire::open("{}"), &COMMANDS[..3]), expected[..3]);
}
