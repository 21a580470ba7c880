//! Servers, with real clients on real sockets: coming, talking, leaving.

use std::io::Write;
use std::net::Shutdown;
use std::path::PathBuf;

use super::*;
use crate::main_loop::{Condition, Flow};

use ChrEvent::*;

/// A server on a unix socket.
pub(super) struct Server {
    pub(super) app: App,
    pub(super) chr: ChardevId,
    pub(super) path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(super) fn new(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut app = App::new();
        let chr = app.add(&format!(
            "socket,id=s,path={},server=on,wait=off{options}",
            path.display()
        ));
        Server {
            app,
            chr,
            path,
            _dir: dir,
        }
    }

    pub(super) fn connect(&mut self) -> UnixStream {
        let client = UnixStream::connect(&self.path).unwrap();
        self.app.turn();
        client
    }
}

#[test]
fn accept_talk_leave_and_again() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    s.app.expect_events(front, &[]);
    for _ in 0..3 {
        let client = s.connect();
        s.app.expect_events(front, &[Opened]);
        send(&client, "hello");
        s.app.turn();
        s.app.expect_input(front, "hello");
        assert_eq!(s.app.write(front, "hi").unwrap(), 2);
        assert_eq!(received(&client), b"hi");
        drop(client);
        s.app.turn();
        s.app.expect_events(front, &[Closed]);
    }
}

#[test]
fn a_second_client_waits_for_the_first_to_go() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let first = s.connect();
    let second = s.connect();
    send(&second, "second");
    s.app.turn();
    s.app.expect_input(front, "");
    s.app.expect_events(front, &[Opened]);
    drop(first);
    s.app.turn();
    s.app.expect_events(front, &[Closed, Opened]);
    s.app.expect_input(front, "second");
    s.app.write(front, "you").unwrap();
    assert_eq!(received(&second), b"you");
}

#[test]
fn half_close_is_the_end_after_the_last_byte() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    s.app.fronts[front].room = 2;
    s.app.fronts[front].on_read = |app, n, bytes| {
        app.write(n, bytes).unwrap();
    };
    let client = s.connect();
    send(&client, "abcde");
    client.shutdown(Shutdown::Write).unwrap();
    s.app.turn();
    s.app.expect_input(front, "abcde");
    s.app.expect_events(front, &[Opened, Closed]);
    assert_eq!(received(&client), b"abcde");
    assert!(is_at_end(&client));
}

#[test]
fn what_was_sent_before_a_full_close_is_read_when_the_front_end_can() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    s.app.fronts[front].room = 0;
    let client = s.connect();
    send(&client, "last words");
    drop(client);
    s.app.turn();
    s.app.expect_events(front, &[Opened]);
    s.app.fronts[front].room = 100;
    s.app.turn();
    s.app.expect_input(front, "last words");
    s.app.expect_events(front, &[Closed]);
    // Nothing keeps the loop busy meanwhile, and the next client is served.
    let _client = s.connect();
    s.app.expect_events(front, &[Opened]);
}

#[test]
fn a_front_end_that_takes_nothing_does_not_hide_a_hang_up() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    s.app.fronts[front].room = 0;
    drop(s.connect());
    s.app.turn();
    s.app.expect_events(front, &[Opened, Closed]);
}

#[test]
fn without_a_front_end_a_full_close_is_noticed_and_a_half_close_is_not() {
    let mut s = Server::new("");
    let idle = format!("disconnected:unix:{},server=on", s.path.display());
    let open = format!("unix:{},server=on", s.path.display());
    assert_eq!(s.app.filename(s.chr), idle);
    let client = s.connect();
    assert_eq!(s.app.filename(s.chr), open);
    send(&client, "unread");
    client.shutdown(Shutdown::Write).unwrap();
    s.app.turn();
    assert_eq!(s.app.filename(s.chr), open);
    drop(client);
    s.app.turn();
    assert_eq!(s.app.filename(s.chr), idle);
}

#[test]
fn a_connection_from_before_the_front_end_opens_it_at_once() {
    let mut s = Server::new("");
    let client = s.connect();
    send(&client, "early");
    let front = s.app.attach(s.chr);
    s.app.expect_events(front, &[Opened]);
    s.app.turn();
    s.app.expect_input(front, "early");
}

#[test]
fn removal_ends_connection_listener_and_file() {
    let mut s = Server::new("");
    let client = s.connect();
    assert!(s.path.exists());
    chardev_remove(&mut s.app, "s").unwrap();
    assert!(is_at_end(&client));
    assert!(!s.path.exists());
    assert_eq!(s.app.main_loop().watch_count(), 0);
}

#[test]
fn whatever_has_the_path_makes_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    std::fs::write(&path, "old").unwrap();
    let mut app = App::new();
    app.add(&format!(
        "socket,id=s,path={},server=on,wait=off",
        path.display()
    ));
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_handler_may_remove_the_chardev_or_itself() {
    // Inside "Opened", inside a read, inside "Closed".
    for at in 0..3 {
        let mut s = Server::new("");
        let front = s.app.attach(s.chr);
        fn remove(app: &mut App, n: usize) {
            let fe = app.fronts[n].fe;
            qemu_chr_fe_deinit(app, fe, true);
        }
        match at {
            0 => s.app.fronts[front].on_event = |app, n, _| remove(app, n),
            1 => s.app.fronts[front].on_read = |app, n, _| remove(app, n),
            _ => {
                s.app.fronts[front].on_event = |app, n, event| {
                    if event == Closed {
                        remove(app, n);
                    }
                }
            }
        }
        let client = s.connect();
        // Fails if the chardev is gone by now, as in the first round.
        let _ = (&client).write_all(b"x");
        s.app.turn();
        let _ = client.shutdown(Shutdown::Both);
        s.app.turn();
        assert!(s.app.chardevs().is_empty(), "{at}");
        assert_eq!(s.app.main_loop().watch_count(), 0, "{at}");
        assert!(!s.path.exists(), "{at}");
    }
}

#[test]
fn detaching_inside_a_read_leaves_the_connection() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    s.app.fronts[front].room = 1;
    s.app.fronts[front].on_read = |app, n, _| {
        let fe = app.fronts[n].fe;
        qemu_chr_fe_set_handlers(app, fe, None, 0);
    };
    let client = s.connect();
    send(&client, "abc");
    s.app.turn();
    s.app.expect_input(front, "a");
    let fe = s.app.fronts[front].fe;
    s.app.fronts[front].on_read = |_, _, _| {};
    qemu_chr_fe_set_handlers(&mut s.app, fe, Some(HANDLERS), front as u64);
    s.app.turn();
    s.app.expect_input(front, "bc");
}

#[test]
fn a_client_that_does_not_read_makes_writes_short() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    let chunk = vec![b'x'; 1 << 20];
    let mut written = 0;
    loop {
        match s.app.write(front, &chunk) {
            Ok(n) => written += n,
            Err(e) => {
                assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock);
                break;
            }
        }
    }
    let fe = s.app.fronts[front].fe;
    let watch = qemu_chr_fe_add_watch(&mut s.app, fe, Condition::OUT, move |app: &mut App, _| {
        app.write(front, ".").unwrap();
        Flow::Remove
    });
    let watch = watch.unwrap();
    s.app.turn();
    assert!(s.app.main_loop().has_watch(watch));
    let got = received(&client);
    assert_eq!(got.len(), written);
    s.app.turn();
    assert!(!s.app.main_loop().has_watch(watch));
    assert_eq!(received(&client), b".");
}

#[test]
fn a_watch_for_room_hears_of_the_end_and_does_not_keep_the_peer_waiting() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    while s.app.write(front, [b'x'; 65536]).is_ok() {}
    let fe = s.app.fronts[front].fe;
    qemu_chr_fe_add_watch(
        &mut s.app,
        fe,
        Condition::OUT,
        |app: &mut App, condition| {
            assert!(condition.contains(Condition::HUP));
            app.reports.push("hung up".into());
            Flow::Remove
        },
    );
    client.shutdown(Shutdown::Write).unwrap();
    s.app.turn();
    s.app.expect_events(front, &[Opened, Closed]);
    received(&client);
    assert!(is_at_end(&client));
    assert_eq!(s.app.reports, ["hung up"]);
    assert_eq!(
        qemu_chr_fe_add_watch(&mut s.app, fe, Condition::OUT, |_, _| Flow::Remove),
        None
    );
}

#[test]
fn writing_to_a_peer_that_left_fails_and_ends_in_the_next_turn() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    drop(s.connect());
    let e = s.app.write(front, "x").unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::BrokenPipe);
    s.app.expect_events(front, &[Opened]);
    s.app.turn();
    s.app.expect_events(front, &[Closed]);
    assert_eq!(s.app.write(front, "lost").unwrap(), 4);
}
