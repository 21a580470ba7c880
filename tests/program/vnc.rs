//! Clients of the VNC server, byte by byte.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

struct Program {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(options: &str) -> Program {
        let dir = tempfile::tempdir().expect("a folder");
        let vnc = format!("unix:{}/vnc{options}", dir.path().display());
        let child = spawn(&vnc);
        Program { child, dir }
    }

    fn connect(&self) -> UnixStream {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(stream) = UnixStream::connect(self.dir.path().join("vnc")) {
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                return stream;
            }
            assert!(Instant::now() < end, "nothing listens");
            std::thread::yield_now();
        }
    }
}

fn spawn(vnc: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_qmonitor"))
        .args(["-display", "none", "-M", "pc", "-vnc", vnc])
        .stdin(Stdio::null())
        .spawn()
        .expect("the program")
}

fn read<const N: usize>(client: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).expect("more bytes");
    bytes
}

/// Comes in without a password; the screen is shared or not.
fn come_in(program: &Program, shared: u8) -> UnixStream {
    let mut client = program.connect();
    greet(&mut client, shared);
    client
}

fn greet(client: &mut UnixStream, shared: u8) {
    assert_eq!(&read::<12>(client), b"RFB 003.008\n");
    client.write_all(b"RFB 003.008\n\x01").expect("sent");
    assert_eq!(read::<2>(client), [1, 1]);
    assert_eq!(read::<4>(client), [0; 4]);
    client.write_all(&[shared]).expect("sent");
}

/// Whether the server ends the connection, perhaps after the greeting.
fn is_ended(mut client: UnixStream) -> bool {
    client.read_to_end(&mut Vec::new()).is_ok()
}

#[test]
fn who_wants_the_screen_alone_ends_the_others() {
    let program = Program::start("");
    let mut first = come_in(&program, 1);
    assert_eq!(read::<28>(&mut first)[..4], [2, 0xd0, 1, 0x90]);
    let mut alone = come_in(&program, 0);
    read::<28>(&mut alone);
    assert!(is_ended(first));
    assert!(is_ended(come_in(&program, 1)));
    // One rectangle of two pixels: the cursor is not there.
    alone
        .write_all(&[3, 0, 0, 20, 0, 20, 0, 2, 0, 1])
        .expect("sent");
    let head = [0, 0, 0, 1, 0, 20, 0, 20, 0, 2, 0, 1, 0, 0, 0, 0];
    assert_eq!(read::<16>(&mut alone), head);
    assert_eq!(read::<8>(&mut alone), [0; 8]);
}

#[test]
fn a_policy_can_refuse_to_be_alone() {
    let program = Program::start(",share=force-shared");
    assert!(is_ended(come_in(&program, 0)));
    read::<28>(&mut come_in(&program, 1));
}

#[test]
fn who_does_not_know_the_password_is_refused() {
    let program = Program::start(",password=on");
    let mut client = program.connect();
    read::<12>(&mut client);
    client.write_all(b"RFB 003.008\n\x02").expect("sent");
    assert_eq!(read::<2>(&mut client), [1, 2]);
    let challenge = read::<16>(&mut client);
    client.write_all(&challenge).expect("sent");
    assert_eq!(read::<8>(&mut client), [0, 0, 0, 1, 0, 0, 0, 22]);
    assert_eq!(&read::<22>(&mut client), b"Authentication failed\0");
    assert!(is_ended(client));
}

#[test]
fn a_reverse_server_comes_to_the_viewer() {
    let dir = tempfile::tempdir().expect("a folder");
    let place = dir.path().join("viewer");
    let viewer = UnixListener::bind(&place).expect("a socket");
    viewer.set_nonblocking(true).expect("a mode");
    let vnc = format!("unix:{},reverse=on", place.display());
    let child = spawn(&vnc);
    let _program = Program { child, dir };
    let end = Instant::now() + PATIENCE;
    let mut client = loop {
        if let Ok((stream, _)) = viewer.accept() {
            break stream;
        }
        assert!(Instant::now() < end, "nothing connects");
        std::thread::yield_now();
    };
    client.set_nonblocking(false).expect("a mode");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    greet(&mut client, 1);
}
