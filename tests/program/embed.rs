//! The library in other programs: the examples as an outside package.

use std::io::{BufRead, BufReader, Write};

use nix::sys::signal::Signal;

use crate::common::{Client, Server};
use crate::package::Package;
use serde_json::json;

/// Builds the examples as an outside package that has their own manifest.
#[track_caller]
fn examples() -> Package {
    let package = Package::copy_of("thermostat", "examples/embed");
    let program = package.read("src/main.rs");
    assert!(program.lines().count() <= 80, "the example stays short");
    package.build().unwrap_or_else(|e| panic!("{e}"));
    package
}

#[test]
fn the_examples_are_a_package_of_their_own() {
    let package = examples();
    the_thermostat_serves_programs_and_people(&package);
    own_loop_sees_to_its_input_and_to_the_monitor(&package);
    watchers_look_and_the_owner_acts(&package);
    a_signal_ends_each_as_quit_does(&package);
}

#[track_caller]
fn a_signal_ends_each_as_quit_does(package: &Package) {
    for (name, sockets) in [
        ("thermostat", &["q", "q.hmp"][..]),
        ("own_loop", &["q"]),
        ("watchers", &["q", "q.watch"]),
    ] {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let dir = tempfile::tempdir().expect("a directory");
            let paths: Vec<_> = sockets.iter().map(|name| dir.path().join(name)).collect();
            let first = paths[0].to_str().expect("UTF-8");
            let server = Server::start_program(&package.program_named(name), &[first]);
            let mut client = Client::connect(&paths[0]);
            client.expect_greeting();
            server.signal(signal);
            assert!(server.finish().status.success(), "{name} {signal}");
            for path in paths {
                assert!(!path.exists(), "{name} {signal}: {}", path.display());
            }
        }
    }
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
