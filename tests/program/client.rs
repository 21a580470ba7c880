//! The typed client against the program itself and, where it is installed,
//! against QEMU's storage daemon.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use qmonitor::qapi::ErrorClass;
use qmonitor_client::{
    ChardevBackend, ChardevCommon, ChardevCommonWrapper, ClientError, Event, QmpClient,
    QmpCommands, RunState,
};

use crate::common::Server;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn connect(path: &Path) -> QmpClient<UnixStream> {
    let start = Instant::now();
    let socket = loop {
        match UnixStream::connect(path) {
            Ok(socket) => break socket,
            Err(_) if start.elapsed() < PATIENCE => std::thread::yield_now(),
            Err(e) => panic!("{}: {e}", path.display()),
        }
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    QmpClient::connect(socket).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (ErrorClass, String) {
    match result {
        Err(ClientError::Refused(e)) => (e.class(), e.desc().to_owned()),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn commands_return_typed_values() {
    let server = Server::start(&[]);
    let mut client = connect(&server.path("q"));
    let status = client.query_status().unwrap();
    assert_eq!((status.running, status.status), (true, RunState::Running));
    assert_eq!(client.query_version().unwrap().qemu.major, 10);
    let names = client.query_commands().unwrap();
    assert!(names.iter().any(|command| command.name == "chardev-add"));
    assert!(client.query_name().unwrap().name.is_none());
}

#[test]
fn events_arrive_as_an_enum() {
    let server = Server::start(&[]);
    let mut client = connect(&server.path("q"));
    client.stop().unwrap();
    assert_eq!(client.query_status().unwrap().status, RunState::Paused);
    client.cont().unwrap();
    let mut next = || client.next_event().unwrap().parse::<Event>().unwrap();
    assert_eq!(next(), Some(Event::Stop));
    assert_eq!(next(), Some(Event::Resume));
}

#[test]
fn errors_have_a_class_and_a_description() {
    let server = Server::start(&[]);
    let mut client = connect(&server.path("q"));
    assert_eq!(
        refused(client.chardev_remove("gone".into())),
        (
            ErrorClass::GenericError,
            "Chardev 'gone' not found".to_owned()
        )
    );
    // The session goes on.
    client.query_status().unwrap();
    let (class, _) = refused(client.balloon(1 << 20));
    assert_eq!(class, ErrorClass::DeviceNotActive);
}

#[test]
fn unions_are_sent_as_the_server_reads_them() {
    let server = Server::start(&[]);
    let mut client = connect(&server.path("q"));
    let common = ChardevCommon {
        logfile: None,
        logappend: None,
        logtimestamp: None,
    };
    let null = ChardevBackend::Null(ChardevCommonWrapper { data: common });
    assert_eq!(client.chardev_add("c0".into(), null).unwrap().pty, None);
    let chardevs = client.query_chardev().unwrap();
    assert!(chardevs
        .iter()
        .any(|c| c.label == "c0" && c.filename == "null"));
}

#[test]
fn a_server_that_goes_away_is_an_error() {
    let server = Server::start(&[]);
    let mut client = connect(&server.path("q"));
    client.quit().unwrap();
    let error = loop {
        if let Err(error) = client.next_event() {
            break error;
        }
    };
    match error {
        ClientError::Io(e) => assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof),
        other => panic!("{other}"),
    }
}

/// QEMU's storage daemon, killed when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_storage_daemon_understands_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("q");
    let chardev = format!("socket,id=q,path={},server=on,wait=off", path.display());
    let daemon = Command::new("qemu-storage-daemon")
        .args(["--chardev", &chardev, "--monitor", "chardev=q"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = daemon else {
        eprintln!("skipped: no qemu-storage-daemon");
        return;
    };
    let _daemon = Daemon(child);
    let mut client = connect(&path);
    assert!(client.query_version().unwrap().qemu.major > 0);
    let chardevs = client.query_chardev().unwrap();
    assert!(chardevs.iter().any(|chardev| chardev.label == "q"));
    let (class, desc) = refused(client.query_status());
    assert_eq!(class, ErrorClass::CommandNotFound);
    assert_eq!(desc, "The command query-status has not been found");
    let _ = client.quit();
}
