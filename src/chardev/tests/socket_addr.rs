//! Addresses: TCP, abstract names, descriptors, and what is refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

use super::socket::Server;
use super::*;
use crate::InheritedFds;

use ChrEvent::*;

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

/// A path of that many bytes below the directory.
fn path_of(dir: &tempfile::TempDir, len: usize) -> String {
    let path = format!("{}/", dir.path().display());
    format!("{path}{}", "x".repeat(len - path.len()))
}

#[test]
fn unix_paths_may_fill_the_address() {
    let dir = tempfile::tempdir().unwrap();
    for len in [107, 108] {
        let path = path_of(&dir, len);
        let mut app = App::new();
        let server = app.add(&format!("socket,id=s,path={path},server=on,wait=off"));
        let idle = format!("disconnected:unix:{path},server=on");
        assert_eq!(app.filename(server), idle);
        let client = app.add(&format!("socket,id=c,path={path}"));
        app.until(|app| app.filename(server) == format!("unix:{path},server=on"));
        assert_eq!(app.filename(client), format!("unix:{path}"));
        drop(app);
        assert!(!std::path::Path::new(&path).exists(), "{path}");
    }
    let path = path_of(&dir, 109);
    for options in [",server=on,wait=off", ""] {
        let e = App::new().try_add(&format!("socket,id=s,path={path}{options}"));
        let e = e.err().unwrap();
        assert_eq!(e.desc(), format!("UNIX socket path '{path}' is too long"));
        assert_eq!(e.hint(), "Path must be less than 108 bytes\n");
    }
}

/// A descriptor is asked for its address, and has the path whole.
#[test]
fn a_path_that_fills_the_address_is_read_back() {
    use nix::sys::socket::{bind, socket, AddressFamily, SockFlag, SockType};
    let dir = tempfile::tempdir().unwrap();
    for len in [107, 108] {
        let mut app = App::new();
        let path = path_of(&dir, len);
        let (unix, stream) = (AddressFamily::Unix, SockType::Stream);
        let bound = socket(unix, stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let addr = crate::sys::unix_path_addr(&path).unwrap();
        bind(bound.as_raw_fd(), &addr).unwrap();
        app.named_fds = Some(vec![("bound".into(), bound)]);
        let chr = app.add("socket,id=s,fd=bound,server=on,wait=off");
        let idle = format!("disconnected:unix:{path},server=on");
        assert_eq!(app.filename(chr), idle);
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

/// socketpair() without flags: open across exec, as what is inherited is.
fn inheritable_pair() -> (OwnedFd, OwnedFd) {
    use nix::sys::socket::{socketpair, AddressFamily, SockFlag, SockType};
    let flags = SockFlag::empty();
    socketpair(AddressFamily::Unix, SockType::Stream, None, flags).unwrap()
}

#[test]
fn a_connected_descriptor_by_number() {
    let mut app = App::new();
    let (ours, theirs) = inheritable_pair();
    let number = theirs.as_raw_fd();
    app.chardevs.set_inherited_fds(InheritedFds::of([theirs]));
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
fn a_descriptor_is_taken_by_number_once_and_only_if_it_was_inherited() {
    let mut app = App::new();
    let (ours, theirs) = inheritable_pair();
    let (pipe, _writer) = nix::unistd::pipe().unwrap();
    let (number, pipe_number) = (theirs.as_raw_fd(), pipe.as_raw_fd());
    app.chardevs
        .set_inherited_fds(InheritedFds::of([theirs, pipe]));
    let mut refused = |number, text: &str| {
        let e = app.try_add(&format!("socket,id=x,fd={number}"));
        let text = format!("File descriptor '{number}' {text}");
        assert_eq!(e.unwrap_err().desc(), text);
    };
    // It looks like an inherited one, but nobody said that it is.
    refused(ours.as_raw_fd(), "is already in use");
    // What is refused stays where it is.
    refused(pipe_number, "is not a socket");
    refused(pipe_number, "is not a socket");
    app.add(&format!("socket,id=s,fd={number}"));
    let e = app.try_add(&format!("socket,id=t,fd={number}"));
    let text = format!("File descriptor '{number}' is already in use");
    assert_eq!(e.unwrap_err().desc(), text);
    // Only so that the test leaves none open.
    drop(app.chardevs.inherited_fds_mut().take(pipe_number));
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
