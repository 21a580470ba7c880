//! Commands that a monitor allows and refuses, on every way to them, and
//! requests that are too large.

use qmonitor::chardev::ChardevHost;
use qmonitor::chardev::MemoryPeer;
use qmonitor::monitor::{MonitorMode, MonitorOptions, MonitorReadline};
use qmonitor::qapi::QmpCommandOptions;

use crate::world::*;

fn read_only() -> MonitorOptions {
    MonitorOptions {
        read_only: Some(true),
        ..MonitorOptions::new("")
    }
}

fn allow(list: &str) -> MonitorOptions {
    MonitorOptions {
        allow: Some(list.to_owned()),
        ..MonitorOptions::new("")
    }
}

fn refused(id: i64, command: &str) -> String {
    let text = format!("The command '{command}' is refused because this monitor is read-only");
    err(&id.to_string(), &text)
}

fn not_allowed(id: i64, command: &str) -> String {
    let text = format!("The command '{command}' is not among those that this monitor allows");
    err(&id.to_string(), &text)
}

#[test]
fn a_read_only_monitor_refuses_what_changes_something() {
    let mut w = World::new();
    let a = w.client_with("'oob'", read_only());
    for command in ["note", "leave", "chardev-remove", "quit", "yank"] {
        w.send(a, req(command, 1));
        w.expect(a, &[refused(1, command)]);
    }
    w.send(a, oob("note-oob", 2));
    w.expect(a, &[refused(2, "note-oob")]);
    w.expect_notes(&[]);
    assert!(w.rt.exit_requested().is_none());
    // A missing command is no secret.
    w.send(a, req("nope", 3));
    let missing = "{\"id\": 3, \"error\": {\"class\": \"CommandNotFound\", \
                   \"desc\": \"The command nope has not been found\"}}";
    w.expect(a, &[missing]);
    for command in ["query-version", "query-chardev", "query-fdsets"] {
        w.send(a, req(command, 4));
        let reply = String::from_utf8(a.recv(&mut w.rt)).unwrap();
        assert!(reply.starts_with("{\"return\""), "{reply}");
    }
    // Other monitors still allow everything.
    let b = w.client("b");
    w.send(b, note_req("b", 5));
    w.expect(b, &[ok(5)]);
}

#[test]
fn who_registers_a_command_says_that_it_is_read_only() {
    let mut w = World::new();
    w.rt.add_read_only_commands(&["note"]);
    let a = w.client_with("", read_only());
    w.send(a, note_req("a", 1) + &req("leave", 2));
    w.expect(a, &[ok(1), refused(2, "leave")]);
}

#[test]
fn a_list_is_all_there_is_but_for_negotiation() {
    let mut w = World::new();
    let a = w.client_with("'oob'", allow("query-*:note"));
    w.send(
        a,
        note_req("a", 1) + &req("hold", 2) + &req("query-version", 3),
    );
    let lines = String::from_utf8(a.recv(&mut w.rt)).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines[..2], [ok(1), not_allowed(2, "hold")]);
    assert!(lines[2].starts_with("{\"return\": {\"qemu\""));
    w.send(a, oob("note-oob", 4));
    w.expect(a, &[not_allowed(4, "note-oob")]);
    w.expect_notes(&["a"]);
}

#[test]
fn the_human_monitor_is_no_way_around_it() {
    let mut w = World::new();
    let a = w.client_with("", read_only());
    for (line, output) in [
        (
            "chardev-remove client",
            "Error: The command 'chardev-remove' is refused because this monitor is read-only",
        ),
        (
            "q",
            "Error: The command 'quit' is refused because this monitor is read-only",
        ),
        (
            "qmp note tag=x",
            "Error: The command 'note' is refused because this monitor is read-only",
        ),
        ("info version", "10.0.2"),
        (
            "qmp query-name",
            "Error: The command query-name has not been found",
        ),
    ] {
        w.send(a, human(line));
        let reply = String::from_utf8(a.recv(&mut w.rt)).unwrap();
        let start = format!("{{\"return\": \"{output}");
        assert!(reply.starts_with(&start), "{line}: {reply}");
    }
    w.expect_notes(&[]);

    let mut w = World::new();
    let a = w.client_with("", allow("human-monitor-command:info version:qmp:query-*"));
    for (line, output) in [
        ("info version", "10.0.2"),
        (
            "info chardev",
            "Error: The command 'info chardev' is not among those that this monitor allows",
        ),
        (
            "info",
            "Error: The command 'info' is not among those that this monitor allows",
        ),
        ("qmp query-version", "{\\r\\n"),
        (
            "qmp note",
            "Error: The command 'note' is not among those that this monitor allows",
        ),
    ] {
        w.send(a, human(line));
        let reply = String::from_utf8(a.recv(&mut w.rt)).unwrap();
        let start = format!("{{\"return\": \"{output}");
        assert!(reply.starts_with(&start), "{line}: {reply}");
    }
    let mut w = World::new();
    let a = w.client_with("", allow("info"));
    w.send(a, human("info version"));
    let text = "The command 'human-monitor-command' is not among those that this monitor allows";
    w.expect(a, &[err("", text)]);
}

fn human(line: &str) -> String {
    format!("{{'execute': 'human-monitor-command', 'arguments': {{'command-line': '{line}'}}}}")
}

#[test]
fn people_are_held_to_it_as_well() {
    let mut w = World::new();
    let peer = MemoryPeer::new(&mut w.rt, "h").unwrap();
    let options = MonitorOptions {
        readline: Some(MonitorReadline::Off),
        allow: Some("info".to_owned()),
        ..MonitorOptions::new("h")
    };
    w.rt.monitor_init(&options).unwrap();
    peer.open(&mut w.rt);
    peer.recv(&mut w.rt);
    for (line, output) in [
        ("info version\n", "10.0.2"),
        (
            "quit\n",
            "Error: The command 'quit' is not among those that this monitor allows\r\n",
        ),
        (
            "qmp note\n",
            "Error: The command 'qmp' is not among those that this monitor allows\r\n",
        ),
    ] {
        peer.send(&mut w.rt, line);
        let reply = String::from_utf8(peer.recv(&mut w.rt)).unwrap();
        assert!(reply.starts_with(output), "{line}: {reply}");
    }
    assert!(w.rt.exit_requested().is_none());
}

#[test]
fn limits_are_the_monitor_s_own() {
    let mut w = World::new();
    let small = MonitorOptions {
        json_max_size: Some(100),
        json_max_tokens: Some(20),
        json_max_depth: Some(3),
        ..MonitorOptions::new("")
    };
    let a = w.client_with("", small);
    let long = format!(
        "{{'execute': 'note', 'arguments': {{'tag': '{}'}}}}",
        "x".repeat(100)
    );
    for (input, desc) in [
        (&*long, "JSON token size limit exceeded"),
        (
            "{'a': [1,2,3,4,5,6,7,8,9,0]}",
            "JSON token count limit exceeded",
        ),
        ("{'a': [[[", "JSON nesting depth limit exceeded"),
    ] {
        w.send(a, input);
        let replies = String::from_utf8(a.recv(&mut w.rt)).unwrap();
        // The rest is read as a new message and has errors of its own.
        assert_eq!(replies.lines().next(), Some(&*err("", desc)), "{input}");
        w.send(a, "\u{1}");
        a.recv(&mut w.rt);
    }
    w.send(a, note_req("n", 1));
    w.expect(a, &[ok(1)]);
    // Others have QEMU's.
    let b = w.client("b");
    w.send(b, long);
    w.expect(b, &["{\"return\": {}}"]);
}

#[test]
fn options_that_do_not_go_together_leave_the_chardev_free() {
    let mut w = World::new();
    let peer = MemoryPeer::new(&mut w.rt, "c").unwrap();
    let options = MonitorOptions {
        mode: Some(MonitorMode::Readline),
        drain_on_close: Some(true),
        ..MonitorOptions::new("c")
    };
    let e = w.rt.monitor_init(&options).unwrap_err();
    assert_eq!(
        e.desc(),
        "'drain-on-close' is not compatible with HMP monitors"
    );
    assert!(!w.rt.chardevs().get(peer.chardev()).unwrap().is_busy());
    w.monitor_on(peer, false);
}

#[test]
fn a_restricted_monitor_makes_none_that_may_do_more() {
    let mut w = World::new();
    immediate(&mut w.rt, "make", QmpCommandOptions::NONE, |rt, _| {
        let peer = MemoryPeer::new(rt, "made").unwrap();
        rt.monitor_init(&MonitorOptions {
            mode: Some(MonitorMode::Control),
            allow: Some("note:make:query-*".to_owned()),
            ..MonitorOptions::new("made")
        })?;
        rt.state.made = Some(peer);
        Ok(())
    });
    let a = w.client_with("", allow("make:query-version"));
    w.send(a, req("make", 1));
    w.expect(a, &[ok(1)]);
    let made = w.rt.state.made.take().unwrap();
    w.connect(made, "");
    // Its own list has the first, its maker's has not.
    for command in ["note", "query-chardev", "leave"] {
        w.send(made, req(command, 2));
        w.expect(made, &[not_allowed(2, command)]);
    }
    w.send(made, req("query-version", 3));
    let reply = String::from_utf8(made.recv(&mut w.rt)).unwrap();
    assert!(reply.starts_with("{\"return\""), "{reply}");
}
