//! Sessions of the pages, played.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::places::root;
use crate::common::{Client, Server};
use serde_json::Value;

/// The code blocks of a page in a language, without their fences.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("the page");
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap_or(rest).to_owned())
        .collect()
}

/// The words of a command line in a block, its continued lines and quotes taken care of.
fn words(block: &str) -> Vec<String> {
    let line = block.replace("\\\n", " ");
    let line = line
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("$ ")
        .to_owned();
    line.split_whitespace()
        .map(|word| word.trim_matches('\'').to_owned())
        .collect()
}

/// JSON texts that may go over several lines.
fn messages(block: &str) -> Vec<Value> {
    let messages = serde_json::Deserializer::from_str(block).into_iter();
    messages.map(|message| message.expect("JSON")).collect()
}

/// Starts the program with the options of a block, in a directory that stands for /tmp.
fn start(block: &str) -> Server {
    let words = words(block);
    let options: Vec<String> = words[1..]
        .iter()
        .map(|w| w.replace("/tmp/", "{dir}/"))
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Server::start_bare(&options)
}

#[test]
fn monitors_come_and_go_as_the_page_shows() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    for request in messages(&blocks("docs/monitors.md", "json")[0]) {
        let text = request.to_string();
        let dir = server.path("");
        client.send(text.replace("/tmp/", &dir.display().to_string()));
        assert_eq!(client.message()["return"], serde_json::json!({}), "{text}");
    }
}

#[test]
fn restricted_monitors_refuse_as_the_page_shows() {
    let blocks_of = |language| blocks("docs/monitors.md", language);
    let commands = blocks_of("console");
    let restricted = commands.iter().find(|block| block.contains("read-only=on"));
    let server = start(restricted.expect("the command"));
    let shown = &blocks_of("json")[1];
    let [request, read_only, not_allowed] = &messages(shown)[..] else {
        panic!("{shown}");
    };
    for (socket, refusal) in [("watch", read_only), ("some", not_allowed)] {
        let mut client = server.qmp_at(socket);
        client.send(request.to_string());
        assert_eq!(client.message(), *refusal);
    }
}

#[test]
fn the_commands_of_the_page_of_monitors_start() {
    for block in blocks("docs/monitors.md", "console") {
        let server = start(&block);
        let socket = block.split("/tmp/").nth(1).expect("a path");
        let socket = socket.split(',').next().unwrap_or(socket);
        Client::connect(&server.path(socket)).expect_greeting();
    }
}

#[test]
fn versions_differ_as_the_page_shows() {
    let command = &blocks("docs/qemu-versions.md", "console")[0];
    let (input, options) = command.split_once(" | ").expect("a pipe");
    let input = input
        .split('\'')
        .nth(1)
        .expect("a text")
        .replace("\\n", "\n");
    let mut program = Command::new(env!("CARGO_BIN_EXE_qmonitor"))
        .args(&words(options)[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = program.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(
        program.stdout.take().expect("a pipe"),
    ));
    let mut line = || lines.next().expect("a line").expect("text");
    assert!(line().starts_with("{\"QMP\""));
    for shown in blocks("docs/qemu-versions.md", "json")[0].lines() {
        assert_eq!(line().trim_end(), shown);
    }
    program.kill().expect("it runs");
    program.wait().expect("it ends");
}

#[test]
fn the_trace_of_the_page_of_debugging_is_what_is_printed() {
    let block = &blocks("docs/debugging.md", "console")[0];
    let server = start(block);
    let mut client = server.connect();
    client.expect_greeting();
    for request in [
        "{\"execute\": \"qmp_capabilities\"}\n",
        "{\"execute\": \"query-stat\"}\n",
    ] {
        client.send(request);
        client.message();
    }
    let mut other = server;
    other.signal(nix::sys::signal::Signal::SIGTERM);
    drop(other.stdin());
    let printed = String::from_utf8(other.finish().stderr).expect("text");
    let shown: Vec<&str> = block.lines().skip(1).collect();
    let printed: Vec<&str> = printed.lines().take(shown.len()).collect();
    assert_eq!(printed, shown);
}
