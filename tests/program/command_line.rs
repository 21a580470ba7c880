//! The program's options: a wrong one gives one line that names it.

use std::path::Path;

use crate::common::{run, Client, Server};

#[track_caller]
fn refused(args: &[&str]) -> String {
    let out = run(args);
    assert_eq!(out.status.code(), Some(1), "{args:?}: {out:?}");
    assert!(out.stdout.is_empty(), "{out:?}");
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(err.ends_with('\n'), "{err}");
    match err.split_once(": ") {
        Some((program, rest)) if program.ends_with("qmonitor") => rest.trim_end().to_owned(),
        _ => panic!("the program's name comes first: {err}"),
    }
}

#[test]
fn a_wrong_option_is_named() {
    for (args, message) in [
        (&["-foo"][..], "-foo: invalid option"),
        (&["-qmp"], "-qmp: requires an argument"),
        (
            &["-qmp", "unix:/nonexistent/q,server=on,wait=off"],
            "-qmp unix:/nonexistent/q,server=on,wait=off: Failed to bind socket to /nonexistent/q: No such file or directory",
        ),
        (&["-mon", "chardev=x"], "-mon chardev=x: chardev \"x\" not found"),
        (
            &["-chardev", "nosuch,id=a"],
            "-chardev nosuch,id=a: 'nosuch' is not a valid char driver name",
        ),
        (
            &["-chardev", "null,id=a", "-chardev", "null,id=a"],
            "-chardev null,id=a: Duplicate ID 'a' for chardev",
        ),
        (
            &["-mon", "mode=bogus"],
            "-mon mode=bogus: Parameter 'mode' does not accept value 'bogus'",
        ),
        (
            &["-mon", "chardev=x,pretty=on"],
            "-mon chardev=x,pretty=on: chardev \"x\" not found",
        ),
        (
            &["-chardev", "null,id=a", "-mon", "a,pretty=on"],
            "-mon a,pretty=on: 'pretty' is not compatible with HMP monitors",
        ),
        (
            &["-chardev", "null,id=a", "-mon", "a,id=m", "-mon", "a,id=m"],
            "-mon a,id=m: Duplicate ID 'm' for mon",
        ),
        (
            &["-device", "foo,id=x"],
            "-device foo,id=x: 'foo' is not a valid device model name",
        ),
        (
            &["-device", "{\"driver\": 1}"],
            "-device {\"driver\": 1}: Parameter 'driver' is missing",
        ),
        (
            &["-object", "nosuch,id=x"],
            "-object nosuch,id=x: Parameter 'qom-type' does not accept value 'nosuch'",
        ),
        (
            &["-object", "iothread,id=a", "-object", "iothread,id=a"],
            "-object iothread,id=a: Duplicate ID 'a' for object",
        ),
        (&["-uuid", "x"], "-uuid x: failed to parse UUID string: wrong format"),
        (
            &["-name", "guest=a,foo=b"],
            "-name guest=a,foo=b: Invalid parameter 'foo'",
        ),
        (
            &["-compat", "deprecated-input=foo"],
            "-compat deprecated-input=foo: Parameter 'deprecated-input' does not accept value 'foo'",
        ),
        (
            &["-add-fd", "fd=1,set=1"],
            "-add-fd fd=1,set=1: fd cannot be a standard I/O stream",
        ),
        (
            &["-pidfile", "/nonexistent/pid"],
            "cannot create PID file: Could not create '/nonexistent/pid': No such file or directory",
        ),
        (
            &["-D", "/nonexistent/log"],
            "Error opening logfile /nonexistent/log: No such file or directory",
        ),
        (
            &["/nonexistent/disk"],
            "/nonexistent/disk: Could not open '/nonexistent/disk': No such file or directory",
        ),
    ] {
        assert_eq!(refused(args), message, "{args:?}");
    }
}

#[test]
fn a_form_that_cannot_be_parsed_has_its_second_line() {
    assert_eq!(
        refused(&["-qmp", "unix:/tmp/x,server=maybe"])
            .lines()
            .collect::<Vec<_>>()
            .len(),
        2
    );
}

#[test]
fn version_and_help_go_to_standard_output() {
    let out = run(&["-version"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("QEMU emulator version 10.0.2 ("));
    let out = run(&["--help"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&out.stdout).contains("-qmp DEV"));
}

#[test]
fn the_limit_of_descriptors_is_raised_as_far_as_allowed() {
    let script = format!(
        "ulimit -Sn 64 && ulimit -Hn 128 && exec {} -nodefaults -qmp unix:q,server=on,wait=off",
        env!("CARGO_BIN_EXE_qmonitor")
    );
    let server = Server::start_program(Path::new("/bin/sh"), &["-c", &script]);
    server.qmp();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3..5], ["128", "128"]);
}

/// As after the terminal's window or the reader of a pipe has gone.
#[test]
fn what_cannot_be_printed_does_no_harm() {
    let sh = |script: &str| {
        let script = script.replace("qmonitor", env!("CARGO_BIN_EXE_qmonitor"));
        Server::start_program(Path::new("/bin/sh"), &["-c", &script])
    };
    let out = sh("exec qmonitor -foo 2>/dev/full").finish();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let server = sh("exec qmonitor -nodefaults -qmp unix:q,server=on,wait=off \
         -chardev pty,id=p -mon p -chardev socket,id=w,path=w,server=on >/dev/full 2>&1");
    // Both have printed a line by now: the name of the new terminal, and that
    // the program waits for a client.
    let _waited_for = Client::connect(&server.path("w"));
    let mut client = server.qmp();
    client.ask("query-version");
}

/// Whoever started the program reads no further once it has ended.
#[test]
fn what_goes_wrong_in_the_background_is_told_before_the_program_ends() {
    let script = "for i in 1 2 3 4 5 6 7 8; do \
         qmonitor -nodefaults -daemonize -qmp unix:q,server=on,wait=off -device foo 2>err; \
         echo \"$? $(wc -l <err)\"; done"
        .replace("qmonitor", env!("CARGO_BIN_EXE_qmonitor"));
    let out = Server::start_program(Path::new("/bin/sh"), &["-c", &script]).finish();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1 1\n".repeat(8));
}
