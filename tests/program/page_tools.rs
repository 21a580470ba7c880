//! Sessions of the pages that need a program of others: strace, gdb, systemd.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::places::root;
use crate::common::Client;
use crate::page_sessions::blocks;

const PROGRAM: &str = env!("CARGO_BIN_EXE_qmonitor");

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no {program}");
    }
    there
}

/// The block of a page that begins with this command: its commands, each with what it
/// prints.
fn sessions(page: &str, command: &str) -> Vec<(String, String)> {
    let blocks = blocks(page, "console");
    let start = format!("$ {command}");
    let block = blocks.iter().find(|block| block.starts_with(&start));
    let block = block.unwrap_or_else(|| panic!("{page} shows no {command}"));
    // A line that ends with a backslash goes on.
    let block = block.replace("\\\n", " ");
    let sessions = block.trim_start_matches("$ ").split("\n$ ");
    sessions
        .map(|text| {
            let (command, printed) = text.split_once('\n').unwrap_or((text, ""));
            (command.to_owned(), printed.trim_end().to_owned())
        })
        .collect()
}

/// A command of a page, in a directory that stands for /tmp, with no descriptors but the
/// standard ones.
fn bash(command: &str, dir: &Path) -> Command {
    let command = command
        .replace("/tmp/", &format!("{}/", dir.display()))
        .replace("target/debug/qmonitor", PROGRAM);
    let mut bash = Command::new("bash");
    let script = format!("exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; {command}");
    bash.args(["-c", &script]).current_dir(root());
    bash
}

fn start(command: &str, dir: &Path) -> Child {
    let mut bash = bash(command, dir);
    bash.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    bash.spawn().expect("bash starts")
}

/// What a program prints until it ends, as its standard output and standard error.
fn printed(child: Child) -> (String, String) {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

fn send(client: &mut Client, command: &str) {
    client.send(format!("{{\"execute\": \"{command}\"}}\n"));
}

/// Sends a command, and takes its reply and the events before it.
fn ask(client: &mut Client, command: &str) {
    send(client, command);
    while client.message().get("return").is_none() {}
}

/// Replaces each number by `N`.
fn without_numbers(text: &str) -> String {
    let mut short = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if short.ends_with('N') => {}
            '0'..='9' => short.push('N'),
            c => short.push(c),
        }
    }
    short
}

#[test]
fn system_calls_are_those_of_the_page() {
    if !is_there("strace") {
        return;
    }
    let sessions = sessions("docs/debugging.md", "strace -o /tmp/calls -e trace=ppoll");
    let dir = tempfile::tempdir().expect("a directory");
    let strace = start(&sessions[0].0, dir.path());
    let mut client = Client::connect(&dir.path().join("q"));
    client.expect_greeting();
    ask(&mut client, "qmp_capabilities");
    ask(&mut client, "quit");
    let (_, err) = printed(strace);
    assert_eq!(err, "");

    let (filter, shown) = &sessions[1];
    let (calls, _) = printed(start(filter, dir.path()));
    // The time of the event is its own.
    let without_time = |calls: &str| -> String {
        let of_event = "{\\\"seconds\\\": ";
        let (before, after) = calls.split_once(of_event).expect("an event");
        before.to_owned() + after.trim_start_matches(|c: char| c.is_ascii_digit())
    };
    assert_eq!(without_time(calls.trim_end()), without_time(shown));
}

#[test]
fn a_call_that_fails_does_what_the_page_says() {
    if !is_there("strace") {
        return;
    }
    let sessions = sessions("docs/debugging.md", "strace -o /tmp/calls -e trace=sendto");
    let [(command, shown)] = &sessions[..] else {
        panic!("{sessions:?}");
    };
    let dir = tempfile::tempdir().expect("a directory");
    let strace = start(command, dir.path());
    let socket = dir.path().join("q");
    let mut client = Client::connect(&socket);
    client.expect_greeting();
    send(&mut client, "qmp_capabilities");
    assert_eq!(client.expect_close(), "");
    let mut next = Client::connect(&socket);
    next.expect_greeting();
    ask(&mut next, "qmp_capabilities");
    ask(&mut next, "quit");
    let (_, trace) = printed(strace);
    let path = format!("{}/", dir.path().display());
    let trace = trace.replace(&path, "/tmp/");
    let first = trace.lines().take(shown.lines().count());
    assert_eq!(first.collect::<Vec<_>>().join("\n"), *shown);
}

#[test]
fn gdb_shows_what_the_page_shows() {
    if !is_there("gdb") {
        return;
    }
    let page = "docs/debugging.md";
    let dir = tempfile::tempdir().expect("a directory");
    let (command, shown) = &sessions(page, "gdb -q -batch -ex")[0];
    let (found, _) = printed(start(command, dir.path()));
    if !found.contains("run_state.rs") {
        eprintln!("skipped: the program has no names for gdb");
        return;
    }
    assert_eq!(without_numbers(found.trim()), without_numbers(shown.trim()));

    let sessions = sessions(page, "cat /tmp/stop.gdb");
    std::fs::write(dir.path().join("stop.gdb"), &sessions[0].1).expect("a script");
    let (command, shown) = &sessions[1];
    let gdb = start(command, dir.path());
    let mut client = Client::connect(&dir.path().join("q"));
    client.expect_greeting();
    ask(&mut client, "qmp_capabilities");
    send(&mut client, "query-status");
    // gdb ends the program when the script is done.
    let (stopped, _) = printed(gdb);
    assert_eq!(without_numbers(stopped.trim()), without_numbers(shown));
}

#[test]
fn systemd_starts_the_program_as_the_page_shows() {
    if !is_there("systemd-socket-activate") {
        return;
    }
    let (command, _) = &sessions("docs/install.md", "systemd-socket-activate")[0];
    let dir = tempfile::tempdir().expect("a directory");
    let activate = start(command, dir.path());
    let mut client = Client::connect(&dir.path().join("qmp"));
    client.expect_greeting();
    ask(&mut client, "qmp_capabilities");
    ask(&mut client, "quit");
    assert!(printed(activate).1.contains("qmonitor"));
}

/// The packages have the programs that the page names beside them.
#[test]
fn packages_have_the_programs_of_the_page() {
    let sessions = sessions("docs/install.md", "cargo install --path");
    assert_eq!(sessions.len(), 3);
    for (command, _) in sessions {
        let (command, programs) = command.split_once('#').expect("a comment");
        let package = root().join(command.trim().rsplit(' ').next().unwrap_or_default());
        let manifest = std::fs::read_to_string(package.join("Cargo.toml")).expect("a manifest");
        for program in programs.split(", ").map(str::trim) {
            let named = manifest.contains(&format!("name = \"{program}\""));
            let own = package.join(format!("src/bin/{program}.rs")).exists();
            let main = package.join("src/main.rs").exists();
            assert!(own || named && main, "{}: {program}", package.display());
        }
    }
}
