//! Sockets, with real clients on real sockets.

use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::sys::socket::{sendmsg, ControlMessage, MsgFlags};

use super::*;
use crate::main_loop::{Condition, Flow};

use ChrEvent::*;

struct Server {
    app: App,
    chr: ChardevId,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Server {
    /// A server on a unix socket.
    fn new(options: &str) -> Self {
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

    fn connect(&mut self) -> UnixStream {
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
    drop(s.connect_quietly());
    let e = s.app.write(front, "x").unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::BrokenPipe);
    s.app.expect_events(front, &[Opened]);
    s.app.turn();
    s.app.expect_events(front, &[Closed]);
    assert_eq!(s.app.write(front, "lost").unwrap(), 4);
}

impl Server {
    /// Connects and has it accepted, but lets nothing else happen after.
    fn connect_quietly(&mut self) -> UnixStream {
        self.connect()
    }

    fn send_fds(&self, client: &UnixStream, bytes: &[u8], fds: &[i32]) {
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights };
        let iov = [IoSlice::new(bytes)];
        sendmsg::<()>(client.as_raw_fd(), &iov, rights, MsgFlags::empty(), None).unwrap();
    }
}

fn name_of(fd: &OwnedFd) -> String {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
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
    s.send_fds(&client, b"1", &[a.as_raw_fd(), b.as_raw_fd()]);
    s.app.turn();
    s.send_fds(&client, b"2", &[]);
    s.app.turn();
    s.app.expect_input(front, "12");
    expect(&mut s.app, Some("a"));
    expect(&mut s.app, None);
    s.send_fds(&client, b"3", &[a.as_raw_fd()]);
    s.app.turn();
    s.send_fds(&client, b"4", &[c.as_raw_fd()]);
    s.app.turn();
    expect(&mut s.app, Some("c"));
    // It goes with the connection.
    s.send_fds(&client, b"5", &[b.as_raw_fd()]);
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
    net::set_nonblocking(std::os::fd::AsFd::as_fd(&reader)).unwrap();
    let at_end = || nix::unistd::read(&reader, &mut [0]) == Ok(0);
    s.send_fds(&client, b"x", &[writer.as_raw_fd(); 253]);
    drop(writer);
    s.app.turn();
    s.app.expect_input(front, "x");
    assert!(!at_end());
    drop(client);
    s.app.turn();
    assert!(at_end());
}

fn tcp(options: &str) -> (App, ChardevId, u16) {
    let mut app = App::new();
    let chr = app.add(&format!(
        "socket,id=s,host=127.0.0.1,port=0,server=on,wait=off{options}"
    ));
    let filename = app.filename(chr);
    let port = filename.strip_suffix(",server=on").unwrap();
    let port = port.rsplit(':').next().unwrap().parse().unwrap();
    (app, chr, port)
}

#[test]
fn tcp_file_names_have_real_addresses() {
    for (options, protocol) in [
        ("", "tcp"),
        (",telnet=on", "telnet"),
        (",tn3270=on", "tcp"),
        (",nodelay=on", "tcp"),
    ] {
        let (mut app, chr, port) = tcp(options);
        // TCP tells no full close from a half close, which only a reader notices.
        app.attach(chr);
        let idle = format!("disconnected:{protocol}:127.0.0.1:{port},server=on");
        assert_eq!(app.filename(chr), idle);
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let peer = client.local_addr().unwrap().port();
        let open = format!("{protocol}:127.0.0.1:{port},server=on <-> 127.0.0.1:{peer}");
        app.until(|app| app.filename(chr) == open);
        drop(client);
        app.until(|app| app.filename(chr) == idle);
    }
}

#[test]
fn telnet_says_its_opening_and_takes_commands_out() {
    let (mut app, chr, port) = tcp(",telnet=on");
    let front = app.attach(chr);
    app.fronts[front].on_event = |app, n, event| {
        if event == Opened {
            app.write(n, "banner").unwrap();
        }
    };
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    app.until(|app| !app.fronts[front].events.is_empty());
    let mut got = [0; 18];
    client.read_exact(&mut got).unwrap();
    assert_eq!(
        &got,
        b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00banner"
    );
    client.write_all(b"a\xff\xfd\x03b\xff\xf3c").unwrap();
    app.until(|app| app.fronts[front].got == b"abc");
    app.expect_events(front, &[Opened, Break]);
    // Output is not touched.
    app.write(front, b"\xff\xff").unwrap();
    let mut got = [0; 2];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"\xff\xff");
}

#[test]
fn a_telnet_greeting_needs_no_front_end() {
    let mut s = Server::new(",tn3270=on");
    let client = s.connect();
    assert_eq!(
        received(&client),
        b"\xff\xfd\x19\xff\xfb\x19\xff\xfd\x00\xff\xfb\x00\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0"
    );
    assert_eq!(
        s.app.filename(s.chr),
        format!("unix:{},server=on", s.path.display())
    );
}

#[test]
fn a_range_of_ports_is_tried_in_order() {
    let (_app, _, port) = tcp("");
    let mut app = App::new();
    let e = app
        .try_add(&format!(
            "socket,id=s,host=127.0.0.1,port={port},server=on,wait=off"
        ))
        .unwrap_err();
    assert_eq!(
        e.desc(),
        "Failed to find an available port: Address already in use"
    );
    if port < u16::MAX - 20 {
        let chr = app.add(&format!(
            "socket,id=s,host=127.0.0.1,port={port},to={},server=on,wait=off",
            port + 20
        ));
        assert!(app.filename(chr) != format!("disconnected:tcp:127.0.0.1:{port},server=on"));
    }
}

#[test]
fn abstract_names() {
    for (tight, shown) in [("on", ",abstract=on,tight=on"), ("off", ",abstract=on")] {
        let name = format!("qmonitor-test-{}-{tight}", std::process::id());
        let mut app = App::new();
        let chr = app.add(&format!(
            "socket,id=s,path={name},abstract=on,tight={tight},server=on,wait=off"
        ));
        let idle = format!("disconnected:unix:{name}{shown},server=on");
        assert_eq!(app.filename(chr), idle);
        let mut app2 = App::new();
        let client = app2.add(&format!(
            "socket,id=c,path={name},abstract=on,tight={tight}"
        ));
        app.turn();
        // The name is lost once there is a connection.
        assert_eq!(app.filename(chr), "unix:,server=on");
        assert_eq!(app2.filename(client), "unix:");
    }
}

#[test]
fn a_listening_descriptor_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut app = App::new();
    let listener = UnixListener::bind(&path).unwrap();
    app.named_fds = Some(vec![("k".into(), listener.into())]);
    let chr = app.add("socket,id=s,fd=k,server=on,wait=off");
    let idle = format!("disconnected:unix:{},server=on", path.display());
    assert_eq!(app.filename(chr), idle);
    let front = app.attach(chr);
    let _client = UnixStream::connect(&path).unwrap();
    app.turn();
    app.expect_events(front, &[Opened]);
}

#[test]
fn a_connected_descriptor_by_number() {
    use std::os::fd::IntoRawFd;
    // socketpair() without flags: open across exec, as an inherited one is.
    use nix::sys::socket::{socketpair, AddressFamily, SockFlag, SockType};
    let flags = SockFlag::empty();
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags).unwrap();
    let number = theirs.into_raw_fd();
    let mut app = App::new();
    let chr = app.add(&format!("socket,id=s,fd={number}"));
    assert_eq!(app.filename(chr), "unix:");
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
    drop(ours);
    app.turn();
    app.expect_events(front, &[Closed]);
    assert_eq!(app.filename(chr), format!("disconnected:fd:{number}"));
}

#[test]
fn descriptor_errors() {
    let mut app = App::new();
    let file = std::fs::File::open("/dev/null").unwrap();
    let (a, _b) = UnixStream::pair().unwrap();
    app.named_fds = Some(vec![("k".into(), file.into()), ("pair".into(), a.into())]);
    for (opts, text) in [
        ("fd=k", "File descriptor 'k' is not a socket"),
        // It is used up by the attempt.
        ("fd=k", "File descriptor named 'k' has not been found"),
        ("fd=0", "File descriptor named '0' has not been found"),
        ("", "File descriptor named '' has not been found"),
        (
            "fd=pair,server=on",
            "Failed to listen on fd socket: Invalid argument",
        ),
    ] {
        let e = app.try_add(&format!("socket,id=s,{opts}")).unwrap_err();
        assert_eq!(e.desc(), text, "{opts}");
    }
    // On the command line there is no monitor.
    app.named_fds = None;
    for (opts, text) in [
        ("fd=abc", "Unable to parse FD number abc"),
        ("", "Unable to parse FD number "),
        ("fd=1000000", "File descriptor '1000000' is not a socket"),
    ] {
        let e = app.try_add(&format!("socket,id=s,{opts}")).unwrap_err();
        assert_eq!(e.desc(), text, "{opts}");
    }
}

#[test]
fn errors_of_options_that_do_not_go_together() {
    let mut app = App::new();
    for (opts, text) in [
        (
            "path=/s,wait=off",
            "'wait' option is incompatible with socket in client connect mode",
        ),
        (
            "path=/s,server=on,wait=off,reconnect=0",
            "'reconnect' option is incompatible with socket in server listen mode",
        ),
        (
            "path=/s,reconnect=1,reconnect-ms=5",
            "'reconnect' and 'reconnect-ms' are mutually exclusive",
        ),
        (
            "fd=3,reconnect=1",
            "'reconnect' option is incompatible with 'fd' address type",
        ),
        (
            "path=/s,websocket=on",
            "Websocket client is not implemented",
        ),
        (
            "path=/s,tls-authz=y",
            "'tls_authz' option requires 'tls_creds' option",
        ),
        (
            "host=127.0.0.1,port=0,server=on,wait=off,tls-creds=x",
            "No TLS credentials with id 'x'",
        ),
        (
            "path=/no/dir/s,server=on,wait=off",
            "Failed to bind socket to /no/dir/s: No such file or directory",
        ),
        (
            "path=/no/dir/s",
            "Failed to connect to '/no/dir/s': No such file or directory",
        ),
        ("path=", "Failed to connect to '': Connection refused"),
        (
            "host=1.2.3.4,port=0,server=on,wait=off",
            "Failed to bind socket: Cannot assign requested address",
        ),
    ] {
        let e = app.try_add(&format!("socket,id=s,{opts}")).unwrap_err();
        assert_eq!(e.desc(), text, "{opts}");
        assert!(app.chardevs().is_empty());
    }
}

#[test]
fn a_client_without_reconnect_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut app = App::new();
    let chr = app.add(&format!("socket,id=s,path={}", path.display()));
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
    assert_eq!(app.filename(chr), format!("unix:{}", path.display()));
    drop(listener.accept().unwrap());
    app.turn();
    app.expect_events(front, &[Closed]);
    assert_eq!(
        app.filename(chr),
        format!("disconnected:unix:{}", path.display())
    );
    listener.set_nonblocking(true).unwrap();
    app.advance(10_000);
    assert!(listener.accept().is_err());
}

#[test]
fn reconnecting_reports_once_and_keeps_its_interval() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut app = App::new();
    let chr = app.add(&format!(
        "socket,id=s,path={},reconnect-ms=300",
        path.display()
    ));
    let front = app.attach(chr);
    app.advance(1000);
    let report = format!(
        "Unable to connect character device s: Failed to connect to '{}': No such file or directory",
        path.display()
    );
    assert_eq!(app.reports, std::slice::from_ref(&report));
    let listener = UnixListener::bind(&path).unwrap();
    app.advance(300);
    app.expect_events(front, &[Opened]);
    drop(listener.accept().unwrap());
    app.turn();
    app.expect_events(front, &[Closed]);
    app.advance(299);
    app.expect_events(front, &[]);
    app.advance(1);
    app.expect_events(front, &[Opened]);
    // After a success the next failure is news again.
    drop(listener);
    app.turn();
    std::fs::remove_file(&path).unwrap();
    app.advance(600);
    assert_eq!(app.reports, [report.clone(), report]);
    let fe = app.fronts[front].fe;
    qemu_chr_fe_deinit(&mut app, fe, true);
    app.advance(1000);
    assert_eq!(app.reports.len(), 2);
}

#[test]
fn reconnecting_over_tcp_goes_on_in_the_background() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut app = App::new();
    let chr = app.add(&format!(
        "socket,id=s,host=127.0.0.1,port={port},reconnect=1"
    ));
    let front = app.attach(chr);
    app.until(|app| app.fronts[front].events == [Opened]);
    let (client, peer) = listener.accept().unwrap();
    assert_eq!(
        app.filename(chr),
        format!("tcp:127.0.0.1:{} <-> 127.0.0.1:{port}", peer.port())
    );
    drop((client, listener));
    app.until(|app| app.fronts[front].events == [Opened, Closed]);
    app.advance(1000);
    app.until(|app| !app.reports.is_empty());
    assert_eq!(
        app.reports[0],
        format!(
            "Unable to connect character device s: \
             Failed to connect to '127.0.0.1:{port}': Connection refused"
        )
    );
}

#[test]
fn waiting_for_a_client_blocks_until_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let client = std::thread::spawn({
        let path = path.clone();
        move || loop {
            match UnixStream::connect(&path) {
                Ok(client) => return client,
                Err(_) => std::thread::yield_now(),
            }
        }
    });
    let mut app = App::new();
    let chr = app.add(&format!("socket,id=s,path={},server=on", path.display()));
    assert_eq!(
        app.reports,
        [format!(
            "QEMU waiting for connection on: disconnected:unix:{},server=on",
            path.display()
        )]
    );
    let _client = client.join().unwrap();
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
}
