//! Plays the session of docs/trace.md and compares the output of `-trace` with
//! the page.

use std::cell::Cell;

use crate::common::Server;
use qmonitor::{trace, trace_event};
use serde_json::json;

const PAGE: &str = include_str!("../../docs/trace.md");

/// The page's code blocks in a language, put together.
fn blocks(language: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = PAGE.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split_once("```").expect("the end of the block").0)
        .collect()
}

/// The same lines with descriptors numbered by their first appearance, so that
/// only their identity counts.
fn name_descriptors(text: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let name = |line: &str| {
        let mut named = String::new();
        let mut parts = line.split("fd ");
        named += parts.next().unwrap_or("");
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit());
            let (number, rest) = part.split_at(end.unwrap_or(part.len()));
            let known = seen.iter().position(|other| other == number);
            let place = known.unwrap_or_else(|| {
                seen.push(number.to_owned());
                seen.len() - 1
            });
            named += &format!("fd <{place}>{rest}");
        }
        named
    };
    text.lines().map(name).collect()
}

/// The trace of a server's whole life with these arguments: one client plays
/// the page's session, another ends the program.
#[track_caller]
fn trace_of_the_session(args: &[&str]) -> String {
    let server = Server::start(args);
    let mut client = server.connect();
    let session = blocks("console");
    let mut lines = session.lines().skip_while(|line| !line.starts_with("$ nc"));
    lines.next();
    let lines = lines.take_while(|line| !line.starts_with('$'));
    for line in lines {
        if line.starts_with("{\"exec") {
            client.send(format!("{line}\n"));
        } else {
            assert_eq!(client.line(), line);
        }
    }
    drop(client);
    // Served only once the first has gone.
    let mut second = server.qmp();
    assert_eq!(second.ask("quit"), json!({}));
    let place = server.path("q").display().to_string();
    let output = server.finish();
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).expect("text");
    text.replace(&place, "/tmp/qmp-test")
}

#[test]
fn the_trace_is_the_page_line_by_line() {
    let documented = name_descriptors(&blocks("text"));
    let traced = name_descriptors(&trace_of_the_session(&["-trace", "*"]));
    for (i, line) in documented.iter().enumerate() {
        assert_eq!(traced.get(i), Some(line), "line {}", i + 1);
    }
    // Then it is the next client's turn, on the same listening socket.
    let accepted = documented.iter().find(|l| l.starts_with("tcp_chr_accept"));
    let mut rest = traced[documented.len()..].iter();
    let next = rest.find(|l| l.starts_with("tcp_chr_accept"));
    let listening = accepted.and_then(|line| line.split(" accepted").next());
    let next_listening = next.and_then(|line| line.split(" accepted").next());
    assert!(listening.is_some());
    assert_eq!(next_listening, listening);
}

#[test]
fn the_way_from_socket_to_function_and_back_is_in_order() {
    // The book's steps, whatever else is printed between them.
    let steps = [
        "socket_listen fd <0> at unix:",
        "watch_add fd <0> for tcp_chr_accept",
        "tcp_chr_accept fd <0> accepted fd <3>",
        "tcp_chr_new_client fd <3>",
        "watch_remove fd <0> for tcp_chr_accept",
        "tcp_chr_connect fd <3>",
        "watch_add fd <3> for tcp_chr_read",
        "monitor_qmp_event compat_monitor0 CHR_EVENT_OPENED",
        "monitor_qmp_respond compat_monitor0 {\"QMP\"",
        "tcp_chr_read fd <3> got ",
        "monitor_qmp_read compat_monitor0",
        "handle_qmp_command compat_monitor0 #2 {\"execute\": \"query-status\"}",
        "monitor_qmp_cmd_in_band compat_monitor0",
        "bh_schedule monitor_qmp_bh_dispatcher by tcp_chr_read",
        "monitor_qmp_bh_dispatcher serves compat_monitor0 #2",
        "qmp_dispatch in band",
        "do_qmp_dispatch query-status: cmd->fn",
        "qmp_enter qmp_query_status",
        "qmp_dispatch_done query-status: succeeded",
        "monitor_qmp_respond compat_monitor0 #2 {\"return\": {\"status\": \"running\"",
        "chr_write compat_monitor0 is given ",
        "tcp_chr_write fd <3> took ",
    ];
    let traced = name_descriptors(&trace_of_the_session(&["-trace", "*"]));
    let mut lines = traced.iter();
    for step in steps {
        let found = lines.any(|line| line.starts_with(step));
        assert!(found, "{step} in its place of\n{}", traced.join("\n"));
    }
}

#[test]
fn a_pattern_chooses_and_a_file_takes_the_lines() {
    let chosen = trace_of_the_session(&["-trace", "do_qmp_*", "-trace", "tcp_chr_connect"]);
    let expected = "tcp_chr_connect fd <0> is unix:/tmp/qmp-test,server=on
do_qmp_dispatch qmp_capabilities: cmd->fn
do_qmp_dispatch query-status: cmd->fn
tcp_chr_connect fd <0> is unix:/tmp/qmp-test,server=on
do_qmp_dispatch qmp_capabilities: cmd->fn
do_qmp_dispatch quit: cmd->fn";
    assert_eq!(name_descriptors(&chosen).join("\n"), expected);
    assert_eq!(trace_of_the_session(&[]), "", "nothing is on by itself");

    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let option = format!("enable=do_qmp_*,file={}", log.display());
    assert_eq!(trace_of_the_session(&["-trace", &option]), "");
    let logged = std::fs::read_to_string(log).expect("the file");
    assert_eq!(logged.lines().count(), 4, "{logged}");
}

#[test]
fn events_are_switched_while_the_program_runs() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    let state = |name: &str, enable: bool| json!({"name": name, "enable": enable});
    client.ask_with("trace-event-set-state", state("do_qmp_*", true));
    client.ask("query-name");
    client.ask_with("trace-event-set-state", state("*", false));
    client.ask("query-name");
    client.ask("quit");
    let output = server.finish();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "do_qmp_dispatch query-name: cmd->fn\ndo_qmp_dispatch trace-event-set-state: cmd->fn\n"
    );
}

#[test]
fn an_event_that_is_off_computes_nothing() {
    let computed = Cell::new(0);
    let say = || {
        computed.set(computed.get() + 1);
        "said"
    };
    trace_event!(tcp_chr_read, "{}", say());
    assert_eq!(computed.get(), 0);
    trace::set_enabled("tcp_chr_read", true);
    trace_event!(tcp_chr_read, "{}", say());
    trace::set_enabled("tcp_chr_read", false);
    assert_eq!(computed.get(), 1);
}
