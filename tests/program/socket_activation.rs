//! Sockets that listened before the program started, as systemd passes them on.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::Client;

/// The process id is known only in the process itself.
const AS_SYSTEMD: &str = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=qmp:qmp
    exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";

/// Starts a program with two listening sockets, which have the same name.
fn start(program: &str, args: &[&str], dir: &Path) -> Child {
    let listen = |name: &str| {
        let listener = UnixListener::bind(dir.join(name)).expect("a socket");
        Stdio::from(std::os::fd::OwnedFd::from(listener))
    };
    Command::new("sh")
        .args(["-c", AS_SYSTEMD, "sh", program])
        .args(args)
        .stdin(listen("a"))
        .stdout(listen("b"))
        .spawn()
        .expect("it starts")
}

#[track_caller]
fn serves_both(program: &str, args: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = start(program, args, dir.path());
    for name in ["a", "b"] {
        let mut client = Client::connect(&dir.path().join(name));
        client.expect_greeting();
        client.ask("qmp_capabilities");
        if name == "b" {
            client.ask("quit");
        }
    }
    assert!(child.wait().expect("it ends").success());
    // They are those of systemd, which goes on listening.
    assert!(dir.path().join("a").exists() && dir.path().join("b").exists());
}

#[test]
fn sockets_are_taken_by_their_name() {
    let (first, second) = (
        "socket,id=a,fd=qmp,server=on,wait=off",
        "socket,id=b,fd=qmp,server=on,wait=off",
    );
    let program = env!("CARGO_BIN_EXE_qmonitor");
    let args = ["-nodefaults", "-chardev", first, "-chardev", second];
    let monitors = ["-mon", "a,mode=control", "-mon", "b,mode=control"];
    serves_both(program, &[&args[..], &monitors].concat());
    let daemon = env!("CARGO_BIN_EXE_qmonitor-storage-daemon");
    let args = [
        "--chardev",
        first,
        "--chardev",
        second,
        "--monitor",
        "a",
        "--monitor",
        "b",
    ];
    serves_both(daemon, &args);
}

#[test]
fn a_name_that_is_not_passed_on_is_no_number() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [
        "-nodefaults",
        "-chardev",
        "socket,id=c,fd=hmp,server=on,wait=off",
    ];
    let mut child = start(env!("CARGO_BIN_EXE_qmonitor"), &args, dir.path());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}
