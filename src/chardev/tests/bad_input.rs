//! What comes from outside and is not right: an answer or an end, never a spin.

use std::fs::File;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{cfgetispeed, cfgetospeed, tcgetattr, BaudRate, ControlFlags, LocalFlags};

use super::*;

use ChrEvent::*;

/// The loop comes to rest: after some turns there is nothing to do.
#[track_caller]
fn comes_to_rest(app: &mut App) {
    let rest = (0..1000).any(|_| !main_loop_wait(app, Some(Duration::ZERO)).unwrap());
    assert!(rest, "the loop spins");
}

/// A server on a unix socket with a front end, and a way to connect to it.
fn server(app: &mut App, options: &str) -> (tempfile::TempDir, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let chr = app.add(&format!(
        "socket,id=s,path={},server=on,wait=off{options}",
        path.display()
    ));
    let front = app.attach(chr);
    (dir, front)
}

fn client(app: &mut App, dir: &tempfile::TempDir) -> UnixStream {
    let client = UnixStream::connect(dir.path().join("s")).unwrap();
    comes_to_rest(app);
    client
}

#[test]
fn a_soup_of_telnet_commands() {
    for options in [",telnet=on", ",tn3270=on"] {
        let mut app = App::new();
        let (dir, front) = server(&mut app, options);
        // Every pair and, at the end of a connection, every half of one.
        for command in 0..=255 {
            let client = client(&mut app, &dir);
            for argument in [0, b'x', 0xf0, 0xf3, 0xff] {
                send(&client, [0xff, command, argument, b'a', 0xff, command]);
            }
            comes_to_rest(&mut app);
            drop(client);
            comes_to_rest(&mut app);
        }
        // The next one is served: at most the tail of the soup is in its way.
        let client = client(&mut app, &dir);
        app.fronts[front].got.clear();
        send(&client, "....hello");
        comes_to_rest(&mut app);
        assert!(app.fronts[front].got.ends_with(b"hello"));
    }
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: 0123456789012345678901==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn websocket_frames_of_every_illegal_kind() {
    let mut app = App::new();
    let (dir, front) = server(&mut app, ",websocket=on");
    let masked = |first: u8, second: u8| vec![first, 0x80 | second, 0, 0, 0, 0];
    let unmasked = "client frames must be masked";
    let kind = "only binary, close, ping, and pong frames are supported";
    let mut frames = vec![
        (vec![0x82, 0x00], 1002, unmasked),
        (vec![0x82, 0x7e, 0, 200], 1002, unmasked),
        (masked(0x81, 1), 1003, kind),
        // Goes on with nothing.
        (masked(0x80, 1), 1003, kind),
        (
            masked(0x09, 1),
            1008,
            "only binary frames may be fragmented",
        ),
        (
            masked(0x08, 0),
            1008,
            "only binary frames may be fragmented",
        ),
        (masked(0x89, 126), 1002, "control frame is too large"),
        (masked(0x8a, 127), 1002, "control frame is too large"),
        (masked(0x88, 0), 1000, "peer requested close"),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        frames.push((masked(0x80 | opcode, 0), 1003, kind));
    }
    for (frame, code, reason) in frames {
        let client = client(&mut app, &dir);
        send(&client, REQUEST);
        comes_to_rest(&mut app);
        let answer = received(&client);
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{frame:x?}");
        send(&client, &frame);
        comes_to_rest(&mut app);
        let mut close = vec![0x88, 2 + reason.len() as u8];
        close.extend(u16::to_be_bytes(code));
        close.extend(reason.as_bytes());
        assert_eq!(received(&client), close, "{frame:x?}");
        assert!(is_at_end(&client), "{frame:x?}");
        app.expect_events(front, &[Opened, Closed]);
        app.expect_input(front, "");
    }
}

#[test]
fn a_websocket_request_that_never_ends() {
    let mut app = App::new();
    let (dir, front) = server(&mut app, ",websocket=on");
    let client = client(&mut app, &dir);
    let header = "X: 0123456789\r\n";
    send(&client, format!("GET / HTTP/1.1\r\n{}", header.repeat(300)));
    comes_to_rest(&mut app);
    assert!(received(&client).starts_with(b"HTTP/1.1 403 "));
    app.expect_events(front, &[]);
}

#[test]
fn a_terminal_whose_other_end_comes_and_goes_quickly() {
    let mut app = App::new();
    let added = app.try_add("pty,id=p").unwrap();
    let (front, name) = (app.attach(added.id), added.pty.unwrap());
    let open = || {
        let mut options = File::options();
        options.read(true).write(true).open(&name).unwrap()
    };
    // Between two looks nobody notices; what was typed then is lost or not, but the
    // loop is at rest each time.
    for _ in 0..3 {
        for _ in 0..5 {
            (&open()).write_all(b"x").unwrap();
            comes_to_rest(&mut app);
        }
        app.advance(1000);
    }
    app.fronts[front].events.clear();
    app.fronts[front].got.clear();
    let terminal = open();
    app.advance(1000);
    (&terminal).write_all(b"hello").unwrap();
    app.until(|app| app.fronts[front].got.ends_with(b"hello"));
    drop(terminal);
    app.until(|app| app.fronts[front].events.ends_with(&[Closed]));
    comes_to_rest(&mut app);
}

#[test]
fn fifos_without_anybody_at_the_other_end() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = |name: &str| {
        let path = dir.path().join(name);
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        path.display().to_string()
    };
    let (input, output) = (fifo("in"), dir.path().join("out"));
    let mut app = App::new();
    let chr = app.add(&format!(
        "file,id=f,path={},input-path={input}",
        output.display()
    ));
    let front = app.attach(chr);
    comes_to_rest(&mut app);
    app.expect_events(front, &[Opened]);
    // A writer comes and goes: that is the end of the input, and output goes on.
    std::fs::write(&input, "in").unwrap();
    comes_to_rest(&mut app);
    app.expect_input(front, "in");
    app.expect_events(front, &[Closed]);
    assert_eq!(app.write(front, "x").unwrap(), 1);
    // Nobody reads: told when it is opened, and asked beforehand by whoever can wait.
    let nobody = fifo("nobody");
    assert!(matches!(fifo_reader(&nobody), FifoReader::Missing));
    let e = app
        .try_add(&format!("file,id=g,path={nobody}"))
        .unwrap_err();
    let text = format!("Could not open '{nobody}': No such device or address");
    assert_eq!(e.desc(), text);
}

#[test]
fn a_log_on_a_full_disk_is_given_up_and_nothing_else_is() {
    let mut app = App::new();
    let chr = app.add("ringbuf,id=r,logfile=/dev/full");
    let front = app.attach(chr);
    for text in ["one", "two"] {
        assert_eq!(app.write(front, text).unwrap(), 3);
    }
    comes_to_rest(&mut app);
    assert_eq!(ringbuf_read(&mut app, "r", 10).unwrap(), b"onetwo");
    // A file that is full says so to whoever writes.
    let chr = app.add("file,id=f,path=/dev/full");
    let front = app.attach(chr);
    let e = app.write(front, "x").unwrap_err();
    assert_eq!(e.raw_os_error(), Some(nix::errno::Errno::ENOSPC as i32));
    comes_to_rest(&mut app);
}

#[test]
fn a_serial_line_is_raw_and_what_is_none_is_taken_as_it_is() {
    let _fds = FdGuard::new();
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let line = posix_openpt(flags).unwrap();
    grantpt(&line).unwrap();
    unlockpt(&line).unwrap();
    let name = ptsname_r(&line).unwrap();
    let mut app = App::new();
    let chr = app.add(&format!("serial,id=t,path={name}"));
    let front = app.attach(chr);
    let terminal = File::open(&name).unwrap();
    let tty = tcgetattr(&terminal).unwrap();
    assert_eq!(cfgetospeed(&tty), BaudRate::B115200);
    assert_eq!(cfgetispeed(&tty), BaudRate::B115200);
    let size = tty.control_flags & ControlFlags::CSIZE;
    assert_eq!(size, ControlFlags::CS8);
    let canonical = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
    assert!(!tty.local_flags.intersects(canonical));
    let mut line = File::from(std::os::fd::OwnedFd::from(line));
    line.write_all(b"\x03in\n").unwrap();
    app.until(|app| app.fronts[front].got.len() == 4);
    app.expect_input(front, "\x03in\n");
    app.write(front, "out\n").unwrap();
    let mut got = [0; 4];
    line.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"out\n");
    // The other end hangs up: the input has ended.
    drop((line, terminal));
    comes_to_rest(&mut app);
    app.expect_events(front, &[Opened, Closed]);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "text").unwrap();
    let chr = app.add(&format!("serial,id=u,path={}", path.display()));
    let front = app.attach(chr);
    comes_to_rest(&mut app);
    app.expect_input(front, "text");
    app.expect_events(front, &[Opened, Closed]);
}
