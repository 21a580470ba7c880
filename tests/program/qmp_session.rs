//! QMP over a unix socket, as a client sees it.

use crate::common::{Client, Server};
use serde_json::json;

#[test]
fn a_request_goes_all_the_way_and_back() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.expect_greeting();
    assert_eq!(
        client.refused("query-status", json!({})),
        "Expecting capabilities negotiation with 'qmp_capabilities'"
    );
    assert_eq!(client.ask("qmp_capabilities"), json!({}));
    assert_eq!(
        client.ask("query-status"),
        json!({"running": true, "status": "running"})
    );
    assert_eq!(client.ask_with("qmp-test", json!({"value": 80})), json!({}));
    assert_eq!(
        client.refused("qmp-test", json!({"value": "80"})),
        "Invalid parameter type for 'value', expected: integer"
    );
    assert_eq!(
        client.refused("qmp_capabilities", json!({})),
        "Capabilities negotiation is already complete, command ignored"
    );
}

#[test]
fn every_client_gets_its_own_greeting_and_the_second_waits() {
    let server = Server::start(&[]);
    let mut first = server.qmp();
    let mut second = server.connect();
    assert_eq!(first.ask("query-name"), json!({}));
    second.socket().set_nonblocking(true).unwrap();
    let early = std::io::Read::read(&mut second.socket(), &mut [0; 16]);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    second.socket().set_nonblocking(false).unwrap();
    drop(first);
    second.expect_greeting();
    assert_eq!(
        second.refused("query-name", json!({})),
        "Expecting capabilities negotiation with 'qmp_capabilities'"
    );
}

#[test]
fn a_client_that_vanishes_in_mid_request_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    client.send("{\"execute\": \"query-na");
    drop(client);
    let mut next = server.qmp();
    assert_eq!(next.ask("query-name"), json!({}));
}

#[test]
fn bad_bytes_are_answered_and_the_session_goes_on() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    let error = |desc: &str| json!({"error": {"class": "GenericError", "desc": desc}});
    for (bytes, desc) in [
        (&b"{'execute':}"[..], "JSON parse error, expecting value"),
        (b"\xff", "JSON parse error, stray '\u{fffd}'"),
        (b"\0", "JSON parse error, stray ''"),
        (
            b"{'execute': '\\uD800'}",
            "JSON parse error, \\uD800 is not a valid Unicode character",
        ),
        (b"[1]", "QMP input must be a JSON object"),
    ] {
        client.send(bytes);
        assert_eq!(client.message(), error(desc), "{bytes:?}");
    }
    client.send(vec![b'['; 1025]);
    assert_eq!(client.message(), error("JSON nesting depth limit exceeded"));
    client.send("\u{1}");
    assert_eq!(client.message(), error("JSON parse error, stray '\u{1}'"));
    assert_eq!(client.ask("query-name"), json!({}));
}

#[test]
fn half_close_gets_all_answers_first() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    client.send("{'execute':'query-name','id':1}{'execute':'query-name','id':2}{'exec");
    client.half_close();
    assert_eq!(
        client.expect_close(),
        "{\"return\": {}, \"id\": 1}\r\n{\"return\": {}, \"id\": 2}\r\n"
    );
    server.qmp();
}

#[test]
fn quit_announces_itself_answers_and_ends() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    client.send("{'execute':'quit','id':'bye'}{'execute':'query-name'}");
    assert_eq!(
        client.expect_event("SHUTDOWN"),
        json!({"guest": false, "reason": "host-qmp-quit"})
    );
    assert_eq!(client.message(), json!({"return": {}, "id": "bye"}));
    assert_eq!(client.expect_close(), "");
    let socket = server.path("q");
    assert_eq!(server.finish().status.code(), Some(0));
    assert!(!socket.exists(), "the socket file is removed");
}

#[test]
fn sigterm_is_an_orderly_shutdown() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(
        client.expect_event("SHUTDOWN"),
        json!({"guest": false, "reason": "host-signal"})
    );
    client.expect_close();
    assert_eq!(server.finish().status.code(), Some(0));
}

#[test]
fn events_cross_from_one_monitor_to_another() {
    let server = Server::start(&[
        "-qmp",
        "unix:{dir}/q2,server=on,wait=off",
        "-monitor",
        "unix:{dir}/h,server=on,wait=off",
    ]);
    let mut one = server.qmp();
    let mut two = Client::connect(&server.path("q2"));
    two.expect_greeting();
    two.ask("qmp_capabilities");
    let mut human = Client::connect(&server.path("h"));
    human.until("(qemu) ");
    human.send("stop\n");
    one.expect_event("STOP");
    two.expect_event("STOP");
    human.until("(qemu) ");
    human.send("info status\n");
    human.until("VM status: paused\r\n(qemu) ");
    one.ask("cont");
    assert_eq!(two.expect_event("RESUME"), json!(null));
}

#[test]
fn pretty_replies_are_indented() {
    let server = Server::start_bare(&[
        "-nodefaults",
        "-qmp-pretty",
        "unix:{dir}/q,server=on,wait=off",
    ]);
    let mut client = server.connect();
    client.until("\r\n}\r\n");
    client.send("{'execute':'qmp_capabilities','id':[]}");
    assert_eq!(
        client.until("\r\n}\r\n"),
        "{\r\n    \"return\": {\r\n    },\r\n    \"id\": [\r\n    ]\r\n}\r\n"
    );
}

#[test]
fn a_client_that_does_not_read_is_not_read() {
    let server = Server::start(&["-qmp", "unix:{dir}/q2,server=on,wait=off"]);
    let mut client = server.qmp();
    let mut other = Client::connect(&server.path("q2"));
    other.expect_greeting();
    other.ask("qmp_capabilities");
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kb: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kb
    };
    let request = b"{'execute':'query-qmp-schema'}";
    client.send(request);
    let reply = client.line();
    let before = resident();
    client.socket().set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut send_all = || {
        let sent_before = sent;
        // Whole requests only: the session would wait for the rest of a partial
        // one.
        while let Ok(n) = std::io::Write::write(&mut client.socket(), request) {
            assert_eq!(n, request.len(), "small writes are not divided");
            sent += 1;
        }
        sent > sent_before
    };
    // The kernel's buffer is full, perhaps because the server has not come to
    // it yet. Another client's request makes the server look at all clients. It
    // then reads what it is still willing to read, and there is room again.
    while send_all() {
        other.ask("query-name");
    }
    client.socket().set_nonblocking(false).unwrap();
    let grown = resident().saturating_sub(before);
    assert!(grown < 4096, "{sent} requests unread, grown by {grown} kB");
    for n in 0..sent {
        assert_eq!(client.line().len(), reply.len(), "reply {n} of {sent}");
    }
    assert_eq!(client.ask("query-name"), json!({}));
}
