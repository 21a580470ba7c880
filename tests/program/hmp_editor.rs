//! The line editor of HMP over a unix socket, key by key.

use super::hmp_session::{ask, human, server, BANNER, PROMPT};
use crate::common::{Client, Server};

#[test]
fn each_key_draws_the_line_again() {
    let server = server(&[]);
    let mut client = human(&server);
    client.send("ab");
    let typed = "a\x1b[K\x1b[Dab\x1b[K";
    assert_eq!(client.until(typed), typed);
    client.send("\x01X");
    let inserted = "\x1b[D\x1b[DXab\x1b[K\x1b[D\x1b[D";
    assert_eq!(client.until(inserted), inserted);
    // ^E ^U: the whole line is gone, nothing runs.
    client.send("\x05\x15\n");
    let cleared = "\x1b[C\x1b[C\x1b[D\x1b[D\x1b[D\x1b[K\r\n(qemu) ";
    assert_eq!(client.until(PROMPT), cleared);
}

#[test]
fn lines_are_edited_and_fetched_again() {
    let server = server(&[]);
    let mut client = human(&server);
    // "prnt", two to the left, the missing letter.
    client.send("prnt 7\x1b[D\x1b[D\x1b[D\x1b[Di\n");
    client.until("print 7\x1b[K\x1b[D\x1b[D\x1b[D\x1b[D\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
    assert_eq!(ask(&mut client, "print 8"), "0x8\n");
    client.send("\x1b[A\x1b[A\n");
    client.until("\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
    assert_eq!(
        ask(&mut client, "info history"),
        "0: 'print 8'\n1: 'print 7'\n2: 'info history'\n"
    );
}

#[test]
fn history_outlives_a_connection_and_a_half_typed_line_does_not() {
    let server = server(&[]);
    let mut client = human(&server);
    assert_eq!(ask(&mut client, "print 1"), "0x1\n");
    client.send("quit");
    client.until("quit\x1b[K");
    drop(client);
    let mut client = human(&server);
    assert_eq!(
        ask(&mut client, "info history"),
        "0: 'print 1'\n1: 'info history'\n"
    );
}

#[test]
fn tab_fills_in_and_lists() {
    let server = server(&["-chardev", "null,id=con0", "-chardev", "null,id=con1"]);
    let mut client = human(&server);
    client.send("chardev-rem\t");
    client.until("chardev-remove \x1b[K");
    client.send("con\t");
    let listing = "con0      con1      \r\n(qemu) chardev-remove con\x1b[K";
    client.until(&format!("\r\n{listing}"));
    client.send("1\n");
    client.until(PROMPT);
    assert!(!ask(&mut client, "info chardev").contains("con1"));
    client.send("set_link nosuch o\t");
    client.until("\r\noff       on        \r\n");
    client.until("set_link nosuch o\x1b[K");
    client.send("\x15sendkey ctrl-pgu\t");
    client.until("sendkey ctrl-pgup \x1b[K");
    client.send("\x15qmp query-vers\t");
    client.until("qmp query-version \x1b[K");
}

/// Each level of arguments is completed from the schema.
#[test]
fn arguments_of_the_generic_command_are_completed() {
    let server = server(&[]);
    let mut client = human(&server);
    for (typed, completed) in [
        ("qmp qmp-t", "qmp qmp-test "),
        ("qmp qmp-test ", "qmp qmp-test value="),
        ("qmp chardev-add id=x b", "qmp chardev-add id=x backend."),
        (
            "qmp chardev-add id=x backend.t",
            "qmp chardev-add id=x backend.type=",
        ),
        (
            "qmp chardev-add backend.type=ringb",
            "qmp chardev-add backend.type=ringbuf ",
        ),
        (
            "qmp watchdog-set-action action=inj",
            "qmp watchdog-set-action action=inject-nmi ",
        ),
        (
            "qmp trace-event-set-state enable=of",
            "qmp trace-event-set-state enable=off ",
        ),
        (
            "qmp trace-event-set-state enable=off n",
            "qmp trace-event-set-state enable=off name=",
        ),
    ] {
        client.send(format!("{typed}\t"));
        client.until(&format!("{completed}\x1b[K"));
        client.send("\x15");
        client.until("\x1b[K");
    }
    // Completion does not offer a given argument again.
    client.send("qmp qmp-test value=1 \t!\n");
    client.until("qmp qmp-test value=1 !\x1b[K\r\n");
    assert_eq!(
        client.until(PROMPT),
        format!("Error: Expected '=' after parameter '!'\r\n{PROMPT}")
    );
}

/// A server whose monitor has this editor.
fn server_with_readline(mode: &str) -> Server {
    let mon = format!("chardev=c,mode=readline,readline={mode}");
    let chardev = "socket,id=c,path={dir}/h,server=on,wait=off";
    Server::start(&["-chardev", chardev, "-mon", &mon])
}

#[test]
fn a_socket_has_the_full_editor_if_asked_for() {
    let server = server_with_readline("full");
    let mut client = human(&server);
    client.send("print 7 8\x1bb\x02\x0b\n");
    client.until("print 7\x1b[K\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
    client.send("\x12rin");
    let found = "(reverse-i-search)`rin': print 7\x1b[K";
    client.until(found);
    client.send("\n");
    client.until("print 7\x1b[K\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
}

#[test]
fn the_full_editor_completes_what_qemus_does_not() {
    let server = server_with_readline("full");
    let mut client = human(&server);
    for (typed, completed) in [
        ("qom-list /mac", "qom-list /machine/"),
        ("qom-list /obj", "qom-list /objects "),
        ("qom-get /chardevs/c ty", "qom-get /chardevs/c type "),
        ("info qom-tree /char", "info qom-tree /chardevs/"),
        ("chardev-change c nul", "chardev-change c null "),
        ("sync-profile re", "sync-profile reset "),
        ("log guest_errors,uni", "log guest_errors,unimp "),
        ("one-insn-per-tb of", "one-insn-per-tb off "),
    ] {
        client.send(format!("{typed}\t"));
        client.until(&format!("{completed}\x1b[K"));
        client.send("\x15");
        client.until("\x1b[K");
    }
}

#[test]
fn without_the_editor_lines_are_taken_as_they_come() {
    let server = server_with_readline("off");
    let mut client = Client::connect(&server.path("h"));
    client.until(BANNER);
    client.send("print 1\x08\n");
    assert_eq!(
        client.line(),
        "print|p: extraneous characters at the end of line"
    );
    client.line();
    // No echo, no prompt, no history, no completion; CR NUL ends a line too.
    client.send("print\t2\r\0info history\nprint 3\n");
    assert_eq!(client.line(), "0x2");
    assert_eq!(client.line(), "0x3");
    client.send(format!("{}\nprint 4\n", "x".repeat(70_000)));
    assert_eq!(client.line(), "Error: a line has at most 65536 bytes");
    assert_eq!(client.line(), "0x4");
}
