//! Who has the terminal, and who is told when it ends.

use std::io::{Read, Write};

use nix::sys::signal::Signal;

use crate::common::{run, Server};

/// The chardevs of a program with these options, but for its QMP monitor's.
fn chardevs(args: &[&str]) -> Vec<String> {
    let qmp = ["-chardev", "socket,id=q,path=q,server=on,wait=off"];
    let mon = ["-mon", "q,mode=control"];
    let server = Server::start_bare(&[&qmp[..], &mon, args].concat());
    let list = server.qmp().ask("query-chardev");
    let mut list: Vec<String> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| format!("{}={}", c["label"], c["filename"]).replace('"', ""))
        .filter(|c| !c.starts_with("q="))
        .collect();
    list.sort();
    list
}

/// As QEMU 10.0.2 has them.
#[test]
fn ports_and_monitors_are_where_nothing_else_was_said() {
    for (args, expected) in [
        ("-M none", ""),
        ("-M none -nographic", ""),
        ("-M pc", "parallel0=vc serial0=vc"),
        ("-M pc -nodefaults -nographic", ""),
        ("-M q35 -nographic", "parallel0=null serial0=stdio"),
        (
            "-M pc -nographic -serial null",
            "parallel0=null serial0=null",
        ),
        (
            "-M pc -nographic -serial none -parallel none -monitor null",
            "compat_monitor0=null",
        ),
        (
            "-M pc -nographic -serial mon:stdio",
            "parallel0=null serial0-base=stdio serial0=mux",
        ),
        (
            "-M pc -nographic -chardev null,id=c -device isa-serial,chardev=c",
            "c=null parallel0=null",
        ),
        (
            "-M pc -display none -serial stdio -serial vc:80Cx24C",
            "parallel0=vc serial0=stdio serial1=vc",
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        assert_eq!(chardevs(&args).join(" "), expected, "{args:?}");
    }
}

#[test]
fn a_serial_port_has_the_keys_until_the_monitor_is_asked_for() {
    let mut server = Server::start_program(
        std::path::Path::new(env!("CARGO_BIN_EXE_qmonitor")),
        &["-M", "pc", "-S", "-nographic"],
    );
    let mut keys = server.stdin();
    keys.write_all(b"info version\n\x01cinfo status\n\x01x")
        .expect("keys");
    let mut text = String::new();
    server.stdout().read_to_string(&mut text).expect("text");
    assert!(text.contains("VM status: paused (prelaunch)"), "{text}");
    assert!(!text.contains("10.0.2 ("), "the port has lost it: {text}");
    assert!(text.contains("QEMU: Terminated"), "{text}");
}

#[test]
fn a_program_in_the_background_has_no_terminal() {
    let out = run(&["-nographic", "-daemonize"]);
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(
        text.ends_with(": -nographic cannot be used with -daemonize\n"),
        "{text}"
    );
}

#[test]
fn the_end_tells_who_wanted_it_and_harmless_signals_do_nothing() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    for signal in [Signal::SIGUSR1, Signal::SIGALRM, Signal::SIGIO] {
        server.signal(signal);
        client.ask("query-version");
    }
    server.signal(Signal::SIGTERM);
    client.expect_event("SHUTDOWN");
    let out = server.finish();
    let text = String::from_utf8_lossy(&out.stderr);
    let expected = format!(
        ": terminating on signal 15 from pid {} (",
        std::process::id()
    );
    assert!(text.contains(&expected), "{text}");
}
