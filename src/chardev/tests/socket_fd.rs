//! Descriptors that come along with bytes.

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use nix::sys::socket::{sendmsg, ControlMessage, MsgFlags};

use super::socket::Server;
use super::*;

fn send_fds(client: &UnixStream, bytes: &[u8], fds: &[i32]) {
    let rights = [ControlMessage::ScmRights(fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights };
    let iov = [IoSlice::new(bytes)];
    sendmsg::<()>(client.as_raw_fd(), &iov, rights, MsgFlags::empty(), None).unwrap();
}

fn name_of(fd: &OwnedFd) -> String {
    let link = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    std::fs::read_link(link).unwrap().display().to_string()
}

#[test]
fn descriptors_wait_for_a_taker_and_newer_ones_replace_them() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let fe = s.app.fronts[front].fe;
    let client = s.connect();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| std::fs::File::create(dir.path().join(name)).unwrap();
    let (a, b, c) = (file("a"), file("b"), file("c"));
    let expect = |app: &mut App, name: Option<&str>| {
        let got = qemu_chr_fe_get_msgfd(app, fe).map(|fd| name_of(&fd));
        let name = name.map(|n| dir.path().join(n).display().to_string());
        assert_eq!(got, name);
    };
    expect(&mut s.app, None);
    // Of several the first is kept, over messages without any.
    send_fds(&client, b"1", &[a.as_raw_fd(), b.as_raw_fd()]);
    s.app.turn();
    send_fds(&client, b"2", &[]);
    s.app.turn();
    s.app.expect_input(front, "12");
    expect(&mut s.app, Some("a"));
    expect(&mut s.app, None);
    send_fds(&client, b"3", &[a.as_raw_fd()]);
    send_fds(&client, b"4", &[c.as_raw_fd()]);
    s.app.turn();
    expect(&mut s.app, Some("c"));
    // It goes with the connection.
    send_fds(&client, b"5", &[b.as_raw_fd()]);
    s.app.turn();
    drop(client);
    s.app.turn();
    let _client = s.connect();
    expect(&mut s.app, None);
}

/// As many as one message holds: none may stay open unseen. The other end of
/// a pipe tells.
#[test]
fn descriptors_that_nobody_takes_are_closed() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    net::fd::set_nonblocking(std::os::fd::AsFd::as_fd(&reader)).unwrap();
    let at_end = || nix::unistd::read(&reader, &mut [0]) == Ok(0);
    send_fds(&client, b"x", &[writer.as_raw_fd(); 253]);
    drop(writer);
    s.app.turn();
    s.app.expect_input(front, "x");
    assert!(!at_end());
    drop(client);
    s.app.turn();
    assert!(at_end());
}

/// What is read, and the name of the descriptor that came just before it.
fn arrivals(s: &mut Server, front: usize) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    while main_loop_wait(&mut s.app, Some(Duration::ZERO)).unwrap() {
        let bytes = std::mem::take(&mut s.app.fronts[front].got);
        let fe = s.app.fronts[front].fe;
        let fd = qemu_chr_fe_get_msgfd(&mut s.app, fe);
        if !bytes.is_empty() {
            let text = String::from_utf8(bytes).unwrap();
            let name = fd.map(|fd| name_of(&fd).rsplit('/').next().unwrap().to_owned());
            all.push((text, name));
        }
    }
    all
}

/// One string of all that came, in which a name stands before the byte that
/// its descriptor came with.
fn joined(arrivals: &[(String, Option<String>)]) -> String {
    let piece = |(text, name): &(String, Option<String>)| match name {
        Some(name) => format!("[{name}]{text}"),
        None => text.clone(),
    };
    arrivals.iter().map(piece).collect()
}

#[test]
fn a_descriptor_comes_with_the_first_byte_it_was_sent_with() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| std::fs::File::create(dir.path().join(name)).unwrap();
    let files = [file("a"), file("b"), file("c")];
    let fd = |n: usize| files[n].as_raw_fd();
    type Sent<'a> = &'a [(&'a str, &'a [i32])];
    let cases: [(Sent<'_>, &str); 7] = [
        (&[("first", &[]), ("second", &[fd(0)])], "first[a]second"),
        (
            &[
                ("one", &[]),
                ("two", &[]),
                ("three", &[fd(1)]),
                ("four", &[]),
            ],
            "onetwo[b]threefour",
        ),
        (&[("x", &[fd(0)]), ("y", &[fd(1)])], "[a]x[b]y"),
        (
            &[
                ("long", &[fd(0)]),
                ("short", &[fd(1), fd(2)]),
                ("end", &[fd(2)]),
            ],
            "[a]long[b]short[c]end",
        ),
        (
            &[("a message", &[fd(2)]), (" without", &[])],
            "[c]a message without",
        ),
        (&[("same", &[fd(0)]), ("fd", &[fd(0)])], "[a]same[a]fd"),
        (&[("none", &[]), ("at all", &[])], "noneat all"),
    ];
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    for (sent, expected) in cases {
        for (bytes, fds) in sent {
            send_fds(&client, bytes.as_bytes(), fds);
        }
        let got = arrivals(&mut s, front);
        assert_eq!(joined(&got), expected);
        // The same with a front end that takes three bytes at a time.
        s.app.fronts[front].room = 3;
        for (bytes, fds) in sent {
            send_fds(&client, bytes.as_bytes(), fds);
        }
        let got = arrivals(&mut s, front);
        assert_eq!(joined(&got), expected);
        s.app.fronts[front].room = usize::MAX;
    }
}

/// A monitor's client must negotiate first, and until it has, no request takes a
/// descriptor.
#[test]
fn so_much_of_the_first_input_as_is_safe_is_read_without_a_look() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let fe = s.app.fronts[front].fe;
    let handlers = CharHandlers {
        safe_start: 7,
        ..HANDLERS
    };
    qemu_chr_fe_set_handlers(&mut s.app, fe, Some(handlers), front as u64);
    let file = std::fs::File::open("/dev/null").unwrap();
    for (hello, got) in [
        ("hello", "[null]hellofirst[null]second"),
        ("welcome", "welcome[null]first[null]second"),
    ] {
        let client = s.connect();
        send_fds(&client, hello.as_bytes(), &[]);
        send_fds(&client, b"first", &[file.as_raw_fd()]);
        send_fds(&client, b"second", &[file.as_raw_fd()]);
        assert_eq!(joined(&arrivals(&mut s, front)), got);
        assert_eq!(s.app.fronts[front].pieces[0], 7);
        s.app.fronts[front].pieces.clear();
        drop(client);
        s.app.turn();
    }
}

/// A client that has not passed any for long is not looked at any more; when one
/// comes all the same, it comes, and from then on with its byte again.
#[test]
fn descriptors_of_a_client_that_had_none_for_long_come_too() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    for _ in 0..100 {
        send_fds(&client, b"x", &[]);
        s.app.turn();
    }
    s.app.expect_input(front, "x".repeat(100));
    let file = std::fs::File::open("/dev/null").unwrap();
    send_fds(&client, b"first", &[]);
    send_fds(&client, b"second", &[file.as_raw_fd()]);
    assert_eq!(joined(&arrivals(&mut s, front)), "[null]firstsecond");
    send_fds(&client, b"first", &[]);
    send_fds(&client, b"second", &[file.as_raw_fd()]);
    assert_eq!(joined(&arrivals(&mut s, front)), "first[null]second");
}

#[test]
fn what_comes_without_a_descriptor_is_read_at_once() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let client = s.connect();
    send_fds(&client, b"first", &[]);
    send_fds(&client, b"second", &[]);
    s.app.turn();
    s.app.expect_input(front, "firstsecond");
    assert_eq!(s.app.fronts[front].pieces, [11]);
}
