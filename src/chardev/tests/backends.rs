//! Backends that are neither sockets nor muxes.

use std::fs::File;
use std::net::UdpSocket;

use super::*;

use ChrEvent::*;

#[test]
fn ring_buffer() {
    let mut app = App::new();
    app.add("ringbuf,id=r,size=8");
    ringbuf_write(&mut app, "r", b"abc").unwrap();
    assert_eq!(ringbuf_read(&mut app, "r", 2).unwrap(), b"ab");
    assert_eq!(ringbuf_read(&mut app, "r", 9).unwrap(), b"c");
    assert_eq!(ringbuf_read(&mut app, "r", 9).unwrap(), b"");
    ringbuf_write(&mut app, "r", b"x").unwrap();
    ringbuf_write(&mut app, "r", b"0123456789").unwrap();
    assert_eq!(ringbuf_read(&mut app, "r", i64::MAX).unwrap(), b"23456789");
    ringbuf_write(&mut app, "r", b"01234567").unwrap();
    ringbuf_write(&mut app, "r", b"89").unwrap();
    assert_eq!(ringbuf_read(&mut app, "r", 20).unwrap(), b"23456789");
}

#[test]
fn ring_buffer_errors() {
    let mut app = App::new();
    app.add("memory,id=r,size=8");
    app.add("null,id=n");
    for (device, size, text) in [
        ("x", 1, "Device 'x' not found"),
        ("n", 0, "n is not a ringbuf device"),
        ("r", 0, "size must be greater than zero"),
        ("r", -1, "size must be greater than zero"),
    ] {
        let e = ringbuf_read(&mut app, device, size).unwrap_err();
        assert_eq!(e.desc(), text);
    }
    let e = ringbuf_write(&mut app, "x", b"").unwrap_err();
    assert_eq!(e.desc(), "Device 'x' not found");
    for (size, ok) in [
        (Some(0), true),
        (None, true),
        (Some(1), true),
        (Some(3), false),
    ] {
        let ring = ChardevBackend::Ringbuf(RingbufConfig { size });
        let added = chardev_add(&mut app, &format!("{size:?}"), ring.into());
        match added {
            Ok(_) => assert!(ok),
            Err(e) => assert_eq!(e.desc(), "size of ringbuf chardev must be power of two"),
        }
    }
}

#[test]
fn what_is_written_past_the_log_is_not_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut app = App::new();
    app.add(&format!("ringbuf,id=r,logfile={}", log.display()));
    ringbuf_write(&mut app, "r", b"abc").unwrap();
    assert_eq!(std::fs::read(&log).unwrap(), b"");
}

#[test]
fn test_device() {
    for (output, status) in [
        ("q", Some(1)),
        ("5q", Some(11)),
        ("12x3q", Some(7)),
        ("(qemu) ", Some(1)),
        ("12", None),
        (
            "99999999999q",
            Some((99999999999u64 as u32).wrapping_mul(2) as i32 | 1),
        ),
    ] {
        let mut app = App::new();
        let chr = app.add("testdev,id=t");
        let front = app.attach(chr);
        // However it is cut.
        for byte in output.bytes() {
            app.write(front, [byte]).unwrap();
        }
        let asked = status.map(ChardevRequest::Exit);
        assert_eq!(app.requests.first().copied(), asked, "{output}");
    }
}

#[test]
fn file_output_and_input() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("in"), "input").unwrap();
    std::fs::write(path("out"), "old").unwrap();
    let mut app = App::new();
    let opts = format!("file,id=f,path={},input-path={}", path("out"), path("in"));
    let chr = app.add(&opts);
    let front = app.attach(chr);
    app.write(front, "new").unwrap();
    app.turn();
    app.expect_input(front, "input");
    // The end of the input is not the end of the output.
    app.expect_events(front, &[Opened, Closed]);
    app.write(front, "er").unwrap();
    assert_eq!(std::fs::read(path("out")).unwrap(), b"newer");
    assert_eq!(app.filename(chr), "file");
    qemu_chr_cleanup(&mut app);
    let chr = app.add(&format!("{opts},append=on"));
    let front = app.attach(chr);
    app.write(front, "!").unwrap();
    assert_eq!(std::fs::read(path("out")).unwrap(), b"newer!");
}

#[test]
fn file_errors() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display();
    let mut app = App::new();
    for (opts, text) in [
        (
            format!("file,id=a,path={dir}"),
            format!("Could not open '{dir}': Is a directory"),
        ),
        (
            format!("file,id=a,path={dir}/o,input-path={dir}/i"),
            format!("Could not open '{dir}/i': No such file or directory"),
        ),
        (
            "file,id=a,path=".into(),
            "Could not open '': No such file or directory".into(),
        ),
        (
            "file,id=a,path=/dev/fdset/x".into(),
            "Could not open '/dev/fdset/x': Invalid argument".into(),
        ),
        (
            "file,id=a,path=/dev/fdset/4".into(),
            "Could not open '/dev/fdset/4': No such file or directory".into(),
        ),
        (
            format!("pipe,id=a,path={dir}/p"),
            format!("Could not open '{dir}/p': No such file or directory"),
        ),
        (
            format!("serial,id=a,path={dir}/x"),
            format!("Could not open '{dir}/x': No such file or directory"),
        ),
        (
            "parallel,id=a,path=/dev/null".into(),
            "not a parallel port: Inappropriate ioctl for device".into(),
        ),
    ] {
        let e = app.try_add(&opts).unwrap_err();
        assert_eq!(e.desc(), text, "{opts}");
    }
    // The output file is made before the input is looked for.
    assert!(std::path::Path::new(&format!("{dir}/o")).exists());
}

#[test]
fn serial_on_what_is_no_terminal() {
    let mut app = App::new();
    let chr = app.add("serial,id=t,path=/dev/null");
    let front = app.attach(chr);
    app.write(front, "x").unwrap();
    app.turn();
    app.expect_events(front, &[Opened, Closed]);
}

#[test]
fn a_pair_of_fifos() {
    use nix::sys::stat::Mode;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p");
    let fifo = |suffix: &str| {
        let path = format!("{}.{suffix}", path.display());
        nix::unistd::mkfifo(path.as_str(), Mode::S_IRWXU).unwrap();
        path
    };
    let (input, output) = (fifo("in"), fifo("out"));
    let mut app = App::new();
    let chr = app.add(&format!("pipe,id=p,path={}", path.display()));
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
    let mut reader = File::open(&output).unwrap();
    app.write(front, "out").unwrap();
    let mut got = [0; 3];
    std::io::Read::read_exact(&mut reader, &mut got).unwrap();
    assert_eq!(&got, b"out");
    // Writers come and go without an end.
    for text in ["one", "two"] {
        std::fs::write(&input, text).unwrap();
        app.turn();
        app.expect_input(front, text);
        app.expect_events(front, &[]);
    }
}

#[test]
fn a_pipe_may_be_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p");
    std::fs::write(&path, "text").unwrap();
    let mut app = App::new();
    let chr = app.add(&format!("pipe,id=p,path={}", path.display()));
    let front = app.attach(chr);
    app.turn();
    app.expect_input(front, "text");
}

/// A pseudo terminal, and the path to open it.
fn pty(app: &mut App, options: &str) -> (ChardevId, String) {
    let added = app.try_add(&format!("pty,id=p{options}")).unwrap();
    (added.id, added.pty.unwrap())
}

#[test]
fn a_terminal_that_is_opened_and_closed_and_opened() {
    let mut app = App::new();
    let (chr, name) = pty(&mut app, "");
    assert_eq!(app.filename(chr), format!("pty:{name}"));
    let front = app.attach(chr);
    app.advance(5000);
    app.expect_events(front, &[]);
    for _ in 0..2 {
        let terminal = File::options().read(true).write(true).open(&name).unwrap();
        app.advance(1000);
        app.expect_events(front, &[Opened]);
        (&terminal).write_all(b"typed\n").unwrap();
        app.until(|app| !app.fronts[front].got.is_empty());
        app.expect_input(front, "typed\n");
        app.write(front, "shown\n").unwrap();
        let mut got = [0; 6];
        (&terminal).read_exact(&mut got).unwrap();
        assert_eq!(&got, b"shown\n");
        drop(terminal);
        app.until(|app| !app.fronts[front].events.is_empty());
        app.expect_events(front, &[Closed]);
        assert_eq!(app.filename(chr), format!("pty:{name}"));
    }
}

#[test]
fn a_terminal_that_is_open_when_the_front_end_comes() {
    let mut app = App::new();
    let (chr, name) = pty(&mut app, "");
    let _terminal = File::options().read(true).write(true).open(&name).unwrap();
    let front = app.attach(chr);
    app.expect_events(front, &[Opened]);
}

#[test]
fn the_link_to_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    let options = format!(",path={}", link.display());
    let mut app = App::new();
    let (_, name) = pty(&mut app, &options);
    assert_eq!(
        std::fs::read_link(&link).unwrap().display().to_string(),
        name
    );
    let e = app.try_add(&format!("pty,id=q{options}")).unwrap_err();
    assert_eq!(e.desc(), "Failed to create PTY symlink: File exists");
    chardev_remove(&mut app, "p").unwrap();
    assert!(std::fs::symlink_metadata(&link).is_err());
    assert_eq!(app.main_loop().watch_count(), 0);
}

#[test]
fn datagrams() {
    let _fds = FdGuard::new();
    let remote = UdpSocket::bind("127.0.0.1:0").unwrap();
    remote.set_nonblocking(true).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = remote.local_addr().unwrap().port();
    let mut app = App::new();
    let chr = app.add(&format!(
        "udp,id=u,host=127.0.0.1,port={port},localaddr=127.0.0.1,localport=0"
    ));
    let front = app.attach(chr);
    app.fronts[front].room = 4;
    for text in ["one", "two"] {
        app.write(front, text).unwrap();
    }
    let mut buf = [0; 10];
    let (n, from) = remote.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"one");
    let (n, _) = remote.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"two");
    stranger.send_to(b"stranger", from).unwrap();
    remote.send_to(b"0123456789", from).unwrap();
    remote.send_to(b"", from).unwrap();
    remote.send_to(b"ab", from).unwrap();
    app.until(|app| app.fronts[front].got.len() == 12);
    app.expect_input(front, "0123456789ab");
    assert_eq!(app.fronts[front].pieces, [4, 4, 2, 2]);
    app.expect_events(front, &[]);
    assert_eq!(app.filename(chr), "udp");
}

#[test]
fn datagram_errors() {
    let mut app = App::new();
    for (opts, text) in [
        (
            "host=127.0.0.1,port=x-y",
            "address resolution failed for 127.0.0.1:x-y: Servname not supported for ai_socktype",
        ),
        (
            "host=127.0.0.1,port=9,localaddr=1.2.3.4",
            "Failed to bind socket: Cannot assign requested address",
        ),
        (
            "host=127.0.0.1,port=9,localaddr=::1",
            "address resolution failed for ::1:0: Address family for hostname not supported",
        ),
    ] {
        let e = app.try_add(&format!("udp,id=u,{opts}")).unwrap_err();
        assert_eq!(e.desc(), text, "{opts}");
    }
}

#[test]
fn a_peer_in_memory_is_no_ring_buffer() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "p").unwrap();
    let kind = app.chardevs().get(peer.chardev()).map(|chr| chr.kind());
    assert_eq!(kind, Some("peer"));
    let e = ringbuf_read(&mut app, "p", 1).unwrap_err();
    assert_eq!(e.desc(), "p is not a ringbuf device");
}
