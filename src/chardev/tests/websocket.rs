//! A socket chardev that speaks websocket.

use super::socket::Server;
use super::*;
use crate::chardev::socket::connection;

use ChrEvent::*;

pub(super) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A server, its front end, and a client that has been accepted over websocket.
fn open() -> (Server, usize, UnixStream) {
    let mut s = Server::new(",websocket=on");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    send(&client, REQUEST);
    s.app.turn();
    let answer = String::from_utf8(received(&client)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with(ACCEPT), "{answer}");
    s.app.expect_events(front, &[Opened]);
    (s, front, client)
}

#[test]
fn it_opens_after_the_handshake_however_it_is_cut_and_whoever_listens() {
    let mut s = Server::new(",websocket=on");
    let idle = s.app.filename(s.chr);
    let client = s.connect();
    for byte in REQUEST.bytes() {
        assert_eq!(s.app.filename(s.chr), idle);
        send(&client, [byte]);
        s.app.turn();
    }
    let open = format!("unix:{},server=on", s.path.display());
    assert_eq!(s.app.filename(s.chr), open);
    drop(client);
    s.app.turn();
    assert_eq!(s.app.filename(s.chr), idle);
}

#[test]
fn what_comes_with_the_request_waits_for_the_front_end() {
    let mut s = Server::new(",websocket=on");
    let client = s.connect();
    send(&client, [REQUEST.as_bytes(), b"\x82\x82ABCD)+"].concat());
    s.app.turn();
    let front = s.app.attach(s.chr);
    s.app.turn();
    s.app.expect_input(front, "hi");
}

#[test]
fn frames_in_and_out() {
    let (mut s, front, client) = open();
    send(&client, b"\x82\x84ABCD1brN\x89\x82ABCD)+");
    s.app.turn();
    s.app.expect_input(front, "p 1\n");
    s.app.write(front, "one").unwrap();
    s.app.write(front, "two").unwrap();
    let got = received(&client);
    assert_eq!(got, b"\x8a\x02hi\x82\x03one\x82\x03two");
}

#[test]
fn a_close_is_answered_and_the_next_client_is_served() {
    let (mut s, front, client) = open();
    send(&client, b"\x88\x82ABCDB\xaa");
    s.app.turn();
    s.app.expect_events(front, &[Closed]);
    assert_eq!(received(&client), b"\x88\x16\x03\xe8peer requested close");
    assert!(is_at_end(&client));
    let client = s.connect();
    send(&client, REQUEST);
    s.app.turn();
    s.app.expect_events(front, &[Opened]);
}

#[test]
fn a_bad_request_is_refused_and_nobody_told() {
    let mut s = Server::new(",websocket=on");
    let front = s.app.attach(s.chr);
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "),
        (&*"x".repeat(5000), "HTTP/1.1 403 "),
        ("", ""),
    ] {
        let client = s.connect();
        send(&client, request);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        s.app.turn();
        let got = String::from_utf8(received(&client)).unwrap();
        assert!(got.starts_with(answer), "{got}");
    }
    s.app.expect_events(front, &[]);
}

#[test]
fn the_rest_of_a_large_frame_follows_when_there_is_room() {
    let (mut s, front, client) = open();
    let large = vec![b'x'; 2 << 20];
    assert_eq!(s.app.write(front, &large).unwrap(), large.len());
    let e = s.app.write(front, "next").unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock);
    let mut got = Vec::new();
    while got.len() < large.len() + 10 {
        got.extend(received(&client));
        s.app.turn();
    }
    assert_eq!(got[..10], *b"\x82\x7f\0\0\0\0\0\x20\0\0");
    assert_eq!(got[10..], large);
    s.app.write(front, "next").unwrap();
    assert_eq!(received(&client), b"\x82\x04next");
}

#[test]
fn telnet_goes_inside() {
    let mut s = Server::new(",websocket=on,telnet=on");
    let client = s.connect();
    send(&client, REQUEST);
    s.app.turn();
    let got = received(&client);
    let opening = b"\x82\x0c\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00";
    assert!(got.ends_with(opening), "{}", got.escape_ascii());
}

#[test]
fn waiting_includes_the_handshake() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let client = std::thread::spawn({
        let path = path.clone();
        move || loop {
            if let Ok(client) = UnixStream::connect(&path) {
                send(&client, REQUEST);
                return client;
            }
            std::thread::yield_now();
        }
    });
    let mut app = App::new();
    let path = path.display();
    let chr = app.add(&format!("socket,id=s,path={path},server=on,websocket=on"));
    assert_eq!(app.filename(chr), format!("unix:{path},server=on"));
    drop(client.join().unwrap());
}

#[test]
fn who_pings_and_does_not_read_gets_no_more_answers() {
    let (mut s, front, client) = open();
    let mut ping = vec![0x89, 0xfd, 0, 0, 0, 0];
    ping.resize(6 + 125, b'x');
    let pings = ping.repeat(400);
    for _ in 0..100 {
        send(&client, &pings);
        s.app.turn();
    }
    let stream = &connection(&mut s.app, s.chr).unwrap().stream;
    let unsent = stream.as_ref().unwrap().wire().len();
    assert!(unsent < 256 * 1024, "{unsent}");
    // All that was said is read nevertheless, and the answers are whole.
    send(&client, b"\x82\x82ABCD)+");
    s.app.turn();
    s.app.expect_input(front, "hi");
    let mut got = Vec::new();
    s.app.until(|_| {
        got.extend(received(&client));
        got.len() >= unsent
    });
    assert_eq!(got[..2], [0x8a, 125]);
}
