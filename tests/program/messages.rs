//! What the program says on its own streams, compared with what 10.0.2 and 11.1.3 say.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{run, Server};

/// What goes to standard error, without the program's path, and with `TIME` for times.
fn said(args: &[&str]) -> String {
    let out = run(args);
    let text = String::from_utf8(out.stderr).expect("text");
    let text = text.replace(env!("CARGO_BIN_EXE_qmonitor"), "qmonitor");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &mut lines {
        let time = line.split(' ').next().unwrap_or_default().to_owned();
        if time.len() == 27 && time.ends_with('Z') {
            line.replace_range(..27, "TIME");
        }
    }
    lines.join("\n")
}

#[test]
fn an_option_is_named_as_it_was_written() {
    for (args, message) in [
        (
            ["--rtc", "foo=bar"],
            "--rtc foo=bar: Invalid parameter 'foo'",
        ),
        (
            ["-rtc", "base=x"],
            "invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'",
        ),
        (
            ["--chardev", "foo,id=a"],
            "--chardev foo,id=a: 'foo' is not a valid char driver name",
        ),
        (
            ["-prom-env", "x"],
            "-prom-env x: Option not supported for this target",
        ),
    ] {
        assert_eq!(said(&args), format!("qmonitor: {message}"));
    }
}

#[test]
fn the_time_and_the_name_are_in_front_once_the_option_was_read() {
    let rtc = "-rtc foo=bar: Invalid parameter 'foo'";
    for (args, message) in [
        ("-msg timestamp=on -rtc foo=bar", format!("TIME qmonitor: {rtc}")),
        ("-rtc foo=bar -msg timestamp=on", format!("qmonitor: {rtc}")),
        (
            "-name n -msg guest-name=on,timestamp=on -rtc foo=bar",
            format!("TIME n qmonitor: {rtc}"),
        ),
        ("-msg guest-name=on -rtc foo=bar", format!("qmonitor: {rtc}")),
        (
            "-trace nope -msg timestamp=on -rtc foo=bar",
            format!("qmonitor: -trace nope: warning: trace event 'nope' does not exist\nTIME qmonitor: {rtc}"),
        ),
        (
            "-msg timestamp=on -trace nope -rtc foo=bar",
            format!("TIME qmonitor: -trace nope: warning: trace event 'nope' does not exist\nTIME qmonitor: {rtc}"),
        ),
        (
            "-chardev foo,id=a -msg timestamp=on",
            "TIME qmonitor: -chardev foo,id=a: 'foo' is not a valid char driver name".to_owned(),
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        assert_eq!(said(&args), message, "{args:?}");
    }
}

#[test]
fn of_several_wrong_properties_the_same_one_is_named() {
    for (args, message) in [
        (
            ["-object", "iothread,id=a,foo=1,bar=2,baz=3"],
            "-object iothread,id=a,foo=1,bar=2,baz=3: Invalid parameter 'baz'",
        ),
        (
            ["-object", "secret,id=a,data=x,foo=1,bar=2"],
            "-object secret,id=a,data=x,foo=1,bar=2: Invalid parameter 'bar'",
        ),
        (
            [
                "-object",
                r#"{"qom-type":"iothread","id":"a","a":1,"b":2,"qq":1}"#,
            ],
            r#"-object {"qom-type":"iothread","id":"a","a":1,"b":2,"qq":1}: Parameter 'b' is unexpected"#,
        ),
        (
            ["-machine", "pc,aaa=1,zzz=2,mmm=3"],
            "Property 'pc-i440fx-10.0-machine.mmm' not found",
        ),
    ] {
        assert_eq!(said(&args), format!("qmonitor: {message}"));
    }
    let device = "virtio-serial-pci,zzz=1,aaa=2,mmm=3";
    let message = format!("qmonitor: -device {device}: Property 'virtio-serial-pci.mmm' not found");
    assert_eq!(said(&["-machine", "pc", "-device", device]), message);
}

#[test]
fn items_and_file_of_the_log_are_checked() {
    for (args, message) in [
        (
            &["-D", "x%d%d.log"][..],
            "qmonitor: Bad logfile template: x%d%d.log",
        ),
        (
            &["-d", "tid"],
            "qmonitor: Filename template with '%d' required for 'tid'",
        ),
        (
            &["-d", "trace:nope,all"],
            "qmonitor: warning: trace event 'nope' does not exist\n\
             qmonitor: Filename template with '%d' required for 'tid'",
        ),
        // Which items there are goes to standard output.
        (&["-d", "nope"], ""),
    ] {
        assert_eq!(said(args), message);
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    drop(reader);
    let mut program = Command::new(env!("CARGO_BIN_EXE_qmonitor"));
    let program = program
        .arg("-version")
        .stdout(writer)
        .stderr(Stdio::piped());
    let out = program.output().expect("it runs");
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
}

#[test]
fn the_last_of_two_monitors_on_a_mux_leaves_without_a_prompt() {
    let mut server = Server::start(&[
        "-chardev",
        "stdio,id=c,mux=on,signal=off",
        "-mon",
        "chardev=c",
        "-mon",
        "chardev=c",
    ]);
    let mut keys = server.stdin();
    keys.write_all(b"\x01cquit\n").expect("it reads");
    let out = server.finish();
    let text = String::from_utf8(out.stdout).expect("text");
    assert!(out.status.success(), "{text}");
    let end = text.rsplit("(qemu) ").next().unwrap_or_default();
    assert!(end.ends_with("quit\x1b[K\r\n"), "{text}");
}
