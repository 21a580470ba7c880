//! The library in other programs: the examples as a package of their own, two
//! runtimes in one process, a runtime in a foreign loop.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::package::Package;
use common::{Client, Server};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::MonitorMode;
use qmonitor::qapi::Error;
use qmonitor::Runtime;
use serde_json::{json, Value};

const EMBED: &str = include_str!("../examples/embed.rs");

/// Builds the examples as they are; `embed.rs` is the package's program.
#[track_caller]
fn examples() -> Package {
    let nix = "nix = { version = \"0.31\", features = [\"poll\"] }\n";
    let package = Package::new("thermostat", "embed.json", nix);
    package.write("embed.json", include_str!("../examples/embed.json"));
    package.write("src/main.rs", EMBED);
    let own_loop = include_str!("../examples/own_loop.rs");
    package.write("src/bin/own_loop.rs", own_loop);
    let watchers = include_str!("../examples/watchers.rs");
    package.write("src/bin/watchers.rs", watchers);
    package.build().unwrap_or_else(|e| panic!("{e}"));
    package
}

#[test]
fn the_examples_are_a_package_of_their_own() {
    assert!(EMBED.lines().count() <= 80, "embed.rs is to stay short");
    let package = examples();
    the_thermostat_serves_programs_and_people(&package);
    own_loop_sees_to_its_input_and_to_the_monitor(&package);
    watchers_look_and_the_owner_acts(&package);
}

#[track_caller]
fn watchers_look_and_the_owner_acts(package: &Package) {
    let program = package.program_named("watchers");
    let mut server = Server::start_program(&program, &["{dir}/q"]);
    let mut output = BufReader::new(server.stdout());
    let mut owner = server.qmp();
    let mut watchers: Vec<_> = (0..8)
        .map(|_| {
            let mut watcher = Client::connect(&server.path("q.watch"));
            watcher.expect_greeting();
            watcher.ask("qmp_capabilities");
            watcher
        })
        .collect();
    for watcher in &mut watchers {
        assert_eq!(watcher.ask("query-version")["qemu"]["major"], 10);
        assert_eq!(
            watcher.refused("quit", json!({})),
            "The command 'quit' is refused because this monitor is read-only"
        );
    }
    drop(watchers.pop());
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "1 sessions are over\n");
    assert_eq!(owner.ask("quit"), json!({}));
    for watcher in &mut watchers {
        assert_eq!(watcher.expect_close(), "");
    }
    assert!(server.finish().status.success());
}

#[track_caller]
fn the_thermostat_serves_programs_and_people(package: &Package) {
    let server = Server::start_program(&package.program(), &["{dir}/q"]);
    let mut qmp = server.qmp();
    assert_eq!(
        qmp.ask("query-thermostat"),
        json!({"target": 21, "heating": true})
    );
    assert_eq!(
        qmp.refused("set-target", json!({"target": "warm"})),
        "Invalid parameter type for 'target', expected: number"
    );
    assert_eq!(
        qmp.refused("set-target", json!({"target": 80})),
        "Parameter 'target' expects 5 to 30 degrees"
    );
    assert_eq!(
        qmp.call("query-status", json!({})),
        json!({"error": {"class": "CommandNotFound",
                         "desc": "The command query-status has not been found"}}),
        "that is the machine's, which is not built in"
    );
    let schema = qmp.ask("query-qmp-schema");
    let schema = schema.as_array().expect("a list");
    assert!(schema.iter().any(|e| e["name"] == "set-target"));

    let mut hmp = Client::connect(&server.path("q.hmp"));
    hmp.until("(qemu) ");
    hmp.send("set_target 18\n");
    hmp.until("(qemu) ");
    assert_eq!(qmp.expect_event("TARGET_CHANGED"), json!({"target": 18}));
    assert_eq!(
        qmp.ask("query-thermostat"),
        json!({"target": 18, "heating": false})
    );
    hmp.send("set_target 80\n");
    let said = hmp.until("(qemu) ");
    let error = "\r\nError: Parameter 'target' expects 5 to 30 degrees\r\n(qemu) ";
    assert!(said.ends_with(error), "{said}");
    hmp.send("help set_target\n");
    let said = hmp.until("(qemu) ");
    let help = "\r\nset_target degrees -- aim at another temperature\r\n(qemu) ";
    assert!(said.ends_with(help), "{said}");

    assert_eq!(qmp.ask("quit"), json!({}));
    assert!(server.finish().status.success());
}

#[track_caller]
fn own_loop_sees_to_its_input_and_to_the_monitor(package: &Package) {
    let program = package.program_named("own_loop");
    let mut server = Server::start_program(&program, &["{dir}/q"]);
    let mut output = BufReader::new(server.stdout());
    let mut said = || {
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        line
    };
    let mut stdin = server.stdin();
    let mut qmp = server.qmp();
    stdin.write_all(b"one\ntwo\n").expect("it reads");
    assert_eq!(said(), "2 lines so far\n");
    assert_eq!(qmp.ask("query-version")["qemu"]["major"], 10);
    drop(stdin);
    assert_eq!(said(), "2 lines so far\n");
    // The end of its input is not the end of the monitor.
    assert_eq!(qmp.ask("quit"), json!({}));
    assert!(server.finish().status.success());
}

#[allow(missing_docs, dead_code)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/embed.rs"));
}

/// A state for runtimes in this process.
struct Oven {
    target: f64,
}

impl schema::EmbedCommands for Oven {
    fn qmp_query_thermostat(rt: &mut Runtime<Self>) -> Result<schema::Thermostat, Error> {
        let target = rt.state.target;
        let heating = true;
        Ok(schema::Thermostat { target, heating })
    }

    fn qmp_set_target(rt: &mut Runtime<Self>, target: f64) -> Result<(), Error> {
        rt.state.target = target;
        schema::qapi_event_send_target_changed(rt, target);
        Ok(())
    }
}

/// A runtime that serves QMP on the socket `name` of a directory.
#[track_caller]
fn oven(dir: &tempfile::TempDir, name: &str, target: f64) -> Runtime<Oven> {
    let mut rt = Runtime::new(Oven { target }).expect("a runtime");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    let path = dir.path().join(name);
    let form = format!("unix:{},server=on,wait=off", path.display());
    let listening = rt.monitor_parse(&form, MonitorMode::Control, false);
    listening.expect("a listening socket");
    rt
}

/// A client in the same thread as its server: it never waits.
struct Guest {
    stream: UnixStream,
    got: Vec<u8>,
}

impl Guest {
    #[track_caller]
    fn connect(dir: &tempfile::TempDir, name: &str) -> Guest {
        let stream = UnixStream::connect(dir.path().join(name)).expect("someone listens");
        stream.set_nonblocking(true).expect("a socket");
        let got = Vec::new();
        Guest { stream, got }
    }

    #[track_caller]
    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("room for it");
    }

    /// The messages that have arrived whole.
    #[track_caller]
    fn messages(&mut self) -> Vec<Value> {
        // At the end there is nothing more to come for now.
        let _ = self.stream.read_to_end(&mut self.got);
        let end = self.got.iter().rposition(|byte| *byte == b'\n');
        let whole: Vec<u8> = self.got.drain(..end.map_or(0, |end| end + 1)).collect();
        whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect()
    }
}

#[test]
fn several_instances_live_in_one_process() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ovens = [oven(&dir, "a", 100.0), oven(&dir, "b", 200.0)];
    let mut guests = [Guest::connect(&dir, "a"), Guest::connect(&dir, "b")];
    let turns = |ovens: &mut [Runtime<Oven>; 2]| {
        // A turn each, until neither has anything to do.
        let turn = |rt: &mut Runtime<Oven>| rt.turn(Some(Duration::ZERO)).expect("a turn");
        while ovens.iter_mut().fold(false, |ran, rt| turn(rt) | ran) {}
    };
    turns(&mut ovens);
    for guest in &mut guests {
        assert_eq!(guest.messages().len(), 1, "the greeting");
        guest.send(r#"{"execute": "qmp_capabilities"}"#);
    }
    turns(&mut ovens);
    for guest in &mut guests {
        assert_eq!(guest.messages(), [json!({"return": {}})]);
    }

    guests[0].send(r#"{"execute": "set-target", "arguments": {"target": 150}, "id": "a"}"#);
    guests[1].send(r#"{"execute": "query-thermostat", "id": "b"}"#);
    turns(&mut ovens);
    let first = guests[0].messages();
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first[0]["event"], "TARGET_CHANGED");
    assert_eq!(first[1], json!({"return": {}, "id": "a"}));
    assert_eq!(
        guests[1].messages(),
        [json!({"return": {"target": 200, "heating": true}, "id": "b"})],
        "neither the other's state nor the other's event"
    );

    guests[0].send(r#"{"execute": "quit"}"#);
    turns(&mut ovens);
    assert!(ovens[0].exit_requested().is_some());
    assert!(ovens[1].exit_requested().is_none());
    let [mut first, mut second] = ovens;
    first.shut_down();
    drop(first);
    guests[1].send(r#"{"execute": "query-version"}"#);
    while second.turn(Some(Duration::ZERO)).expect("a turn") {}
    assert_eq!(guests[1].messages().len(), 1, "the other serves on");
}

#[test]
fn a_foreign_loop_sleeps_until_there_is_something_to_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut rt = oven(&dir, "q", 100.0);
    let mut guest = Guest::connect(&dir, "q");
    let timer =
        rt.main_loop_mut()
            .timer_new(ClockType::Realtime, "done", |rt: &mut Runtime<Oven>| {
                rt.request_exit(3)
            });
    let (mut got, mut sleeps) = (Vec::new(), 0);
    let status = loop {
        if let Some(exit) = rt.exit_requested() {
            break exit.status;
        }
        let timeout = match rt.main_loop().next_timeout() {
            Some(wait) => PollTimeout::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap(),
            None => PollTimeout::NONE,
        };
        sleeps += u32::from(timeout != PollTimeout::ZERO);
        let monitor_fd = rt.main_loop_mut().poll_fd().expect("epoll");
        let mut fds = [
            PollFd::new(monitor_fd, PollFlags::POLLIN),
            PollFd::new(guest.stream.as_fd(), PollFlags::POLLIN),
        ];
        // Without a reason to wake up this would never return.
        poll(&mut fds, timeout).expect("poll");
        for message in guest.messages() {
            match got.len() {
                0 => guest.send(r#"{"execute": "qmp_capabilities"}"#),
                1 => guest.send(r#"{"execute": "set-target", "arguments": {"target": 1}}"#),
                // The event is first, then the reply: nothing is left but time.
                3 => {
                    let delay = Duration::from_millis(20);
                    rt.main_loop_mut().timer_mod_in(timer, delay);
                }
                _ => {}
            }
            got.push(message);
        }
        rt.turn(Some(Duration::ZERO)).expect("a turn");
    };
    assert_eq!(status, 3, "the timer's");
    assert_eq!(got.len(), 4, "{got:?}");
    assert_eq!(got[2]["event"], "TARGET_CHANGED");
    assert_eq!(got[3], json!({"return": {}}));
    // Each message and the timer were slept for, and little more than that.
    assert!((1..=20).contains(&sleeps), "{sleeps}");
    rt.shut_down();
}
