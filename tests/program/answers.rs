//! What QEMU answered to command lines and commands is what the program answers. The
//! recordings are made by `tests/record/answers.py`, which tells their form.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A command line, and what followed.
struct Case<'a> {
    args: &'a str,
    /// The lines with their marks, in order.
    lines: Vec<(&'a str, &'a str)>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines() {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (mark, cases.last_mut()) {
            ("$", _) => cases.push(Case {
                args: rest,
                lines: Vec::new(),
            }),
            (">" | "~" | "<" | "2" | "=", Some(case)) => case.lines.push((mark, rest)),
            _ => {}
        }
    }
    cases
}

/// The value without what differs between two runs.
fn still(value: Value) -> Value {
    match value {
        Value::Object(mut members) => {
            members.remove("timestamp");
            if ["cpu-index", "poll-grow"]
                .iter()
                .any(|key| members.contains_key(*key))
            {
                members.remove("thread-id");
            }
            let members = members.into_iter().map(|(k, v)| (k, still(v)));
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(still).collect()),
        other => other,
    }
}

/// The program under the name that it takes the place of.
struct Program {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    place: String,
}

impl Program {
    fn start(profile: &str, args: &str, folder: &Path) -> Program {
        let link = folder.join("qemu-system-x86_64");
        symlink(env!("CARGO_BIN_EXE_qmonitor"), &link).expect("a link");
        let place = folder.display().to_string();
        let args = args.replace("DIR", &place);
        let mut child = Command::new("timeout")
            .arg("20")
            .arg(link)
            .args(["-profile", profile])
            .args("-display none -nodefaults -S -qmp stdio".split(' '))
            .args(args.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("timeout runs");
        let output = child.stdout.take().expect("a pipe");
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        Program {
            child,
            lines: Box::new(lines),
            place,
        }
    }

    /// Sends a command; an end of the program is noticed when the reply is missing.
    fn send(&mut self, command: &str) {
        let command = command.replace("DIR", &self.place);
        let line = if command.starts_with('{') {
            command
        } else {
            let arguments = serde_json::json!({ "command-line": command });
            serde_json::json!({"execute": "human-monitor-command", "arguments": arguments})
                .to_string()
        };
        let input = self.child.stdin.as_mut().expect("a pipe");
        let _ = writeln!(input, "{line}");
    }

    fn read(&mut self) -> Option<Value> {
        let line = self.lines.next()?.replace(&self.place, "DIR");
        Some(still(serde_json::from_str(&line).expect("JSON")))
    }

    /// What stands on standard error, and how it ended.
    fn end(mut self) -> (String, i32) {
        drop(self.child.stdin.take());
        for _ in self.lines {}
        let output = self.child.wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).replace(&self.place, "DIR");
        (
            errors.replace("DIR/qemu-system", "qemu-system"),
            output.status.code().unwrap_or(-1),
        )
    }
}

/// Plays a case, and returns how it differs.
fn differences(profile: &str, case: &Case<'_>) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Program::start(profile, case.args, folder.path());
    let mut found = Vec::new();
    let alive = program.read().is_some();
    if alive {
        program.send(r#"{"execute": "qmp_capabilities"}"#);
        program.read();
    }
    let (mut errors, mut status) = (String::new(), 0);
    for (mark, text) in &case.lines {
        match *mark {
            ">" => program.send(text),
            "<" => {
                let recorded: Value = serde_json::from_str(text).expect("JSON");
                let read = program.read();
                if read.as_ref() != Some(&recorded) {
                    let read = read.map_or("nothing".to_owned(), |v| v.to_string());
                    found.push(format!("QEMU: {recorded}\n  here: {read}"));
                }
            }
            "2" => {
                errors += text;
                errors.push('\n');
            }
            "=" => status = text.parse().expect("a status"),
            _ => {}
        }
    }
    program.send(r#"{"execute": "quit"}"#);
    let (read, ended) = program.end();
    if read != errors || ended != status {
        found.push(format!("QEMU: {status} {errors}\n  here: {ended} {read}"));
    }
    found
}

#[track_caller]
fn play(text: &str) {
    play_as("10.0", text);
}

#[track_caller]
fn play_as(profile: &str, text: &str) {
    let cases = cases(text);
    assert!(!cases.is_empty());
    let mut wrong = String::new();
    for case in &cases {
        let found = differences(profile, case);
        if !found.is_empty() {
            wrong += &format!("\n$ {}\n  {}\n", case.args, found.join("\n  "));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nodes_of_memory_and_processors() {
    play(include_str!("answers/numa.txt"));
}

#[test]
fn models_of_processors() {
    play(include_str!("answers/processors.txt"));
}

#[test]
fn network_back_ends_on_sockets() {
    play(include_str!("answers/sockets.txt"));
}

#[test]
fn migration_pages_and_parameters() {
    play(include_str!("answers/migration.txt"));
    play_as("11.1", include_str!("answers/11.1/migration.txt"));
}

#[test]
fn orders_of_listings_and_defaults_of_objects() {
    play(include_str!("answers/listings.txt"));
    play_as("11.1", include_str!("answers/11.1/listings.txt"));
}

#[test]
fn memory_that_comes_as_a_device() {
    play(include_str!("answers/memory_devices.txt"));
}

#[test]
fn displays_and_input() {
    play(include_str!("answers/displays.txt"));
}

#[test]
fn wrong_json_and_parameters() {
    play(include_str!("answers/wrong.txt"));
    play_as("11.1", include_str!("answers/11.1/wrong.txt"));
}

#[test]
fn parts_of_the_host() {
    play(include_str!("answers/host.txt"));
}

#[test]
fn values_of_options() {
    play(include_str!("answers/options.txt"));
}
