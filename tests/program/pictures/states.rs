//! The diagrams of states: each transition occurs, and no other.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal;

use super::diagram;
use super::session::record;
use crate::common::Client;

/// A transition: where from, the event, where to.
type Transition = (String, String, String);

fn transitions(title: &str) -> BTreeSet<Transition> {
    let shown = diagram(title);
    let rows = shown.lines().filter_map(|line| {
        let (states, event) = line.trim().split_once(": ")?;
        let (from, to) = states.split_once(" --> ")?;
        Some((from.to_owned(), event.to_owned(), to.to_owned()))
    });
    rows.collect()
}

/// Follows a trace through a diagram and returns the transitions that it takes. An event
/// of the diagram for which the state has no transition is an error; after the end
/// nothing counts.
#[track_caller]
fn follow(title: &str, start: &str, trace: &[String]) -> BTreeSet<Transition> {
    let all = transitions(title);
    let mut state = start.to_owned();
    let mut taken = BTreeSet::new();
    for line in trace {
        if state == "[*]" && !taken.is_empty() {
            break;
        }
        let words: Vec<&str> = line.split(' ').collect();
        // `bh_schedule X by tcp_chr_accept` is no accept.
        let is_step = |event: &str| words[0] == event || words.last() == Some(&event);
        let named = words[0].starts_with("watch_")
            || words[0].starts_with("bh_")
            || words[0] == "dispatch_done";
        let mut events = all.iter().filter(|(_, event, _)| !named && is_step(event));
        if events.clone().next().is_none() {
            continue;
        }
        let found = events.find(|(from, _, _)| *from == state);
        let found =
            found.unwrap_or_else(|| panic!("{title}: {line} while {state}\n{}", trace.join("\n")));
        state = found.2.clone();
        taken.insert(found.clone());
    }
    taken
}

const QMP: [&str; 2] = ["-qmp", "unix:{dir}/q,server=on,wait=off"];

#[test]
fn a_server_goes_through_its_states() {
    let left = record(&QMP, |server| {
        drop(server.qmp());
        server.qmp().ask("quit");
    });
    let ended = record(&QMP, |server| {
        let mut client = server.qmp();
        client.ask("query-status");
        client.half_close();
        client.expect_close();
        server.signal(Signal::SIGTERM);
    });
    let title = "states of a server";
    let mut taken = follow(title, "[*]", &left.lines);
    taken.extend(follow(title, "[*]", &ended.lines));
    assert_eq!(taken, transitions(title));
}

#[test]
fn a_client_goes_through_its_states() {
    let options = [
        "-chardev",
        "socket,id=c,path={dir}/q,reconnect-ms=10",
        "-mon",
        "c,mode=control",
    ];
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("peer");
    let peer = UnixListener::bind(&place).expect("a socket");
    let options = options.map(|word| word.replace("{dir}/q", &place.display().to_string()));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let trace = record(&options, |_| {
        let (first, _) = peer.accept().expect("it connects");
        Client::on(first).expect_greeting();
        let (again, _) = peer.accept().expect("it connects again");
        let mut client = Client::on(again);
        client.expect_greeting();
        client.ask("qmp_capabilities");
        client.ask("quit");
    });
    let title = "states of a client";
    let alive = trace
        .lines
        .iter()
        .take_while(|line| !line.starts_with("chardev_finalize"));
    let alive: Vec<String> = alive.cloned().collect();
    assert_eq!(follow(title, "[*]", &alive), transitions(title));
}

#[test]
fn a_session_goes_through_its_states() {
    let trace = record(&QMP, |server| {
        let mut client = server.connect();
        client.expect_greeting();
        client.refused("query-status", serde_json::json!({}));
        client.ask("qmp_capabilities");
        client.ask("query-status");
        client.half_close();
        client.expect_close();
        let mut client = server.connect();
        client.expect_greeting();
        client.half_close();
        client.expect_close();
        server.qmp().ask("quit");
    });
    let title = "states of a session";
    let alive = trace
        .lines
        .iter()
        .take_while(|line| !line.starts_with("chardev_finalize"));
    let alive: Vec<String> = alive.cloned().collect();
    assert_eq!(follow(title, "no_client", &alive), transitions(title));
}
