//! Nothing keeps a descriptor: no connection, no passed descriptor, no set of
//! descriptors, no watch, no runtime.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{sendmsg, ControlMessage, MsgFlags};
use qmonitor::chardev::{chardev_add, chardev_remove, qemu_chr_parse_cli};
use qmonitor::main_loop::TimeSource;
use qmonitor::monitor::{monitor_remove, MonitorCloseAction, MonitorMode, MonitorOptions};
use qmonitor::Runtime;

use crate::fd_guard::{open_fds, FdGuard};

type Rt = Runtime<()>;

fn settle(rt: &mut Rt) {
    while rt.turn(Some(Duration::ZERO)).unwrap() {}
}

struct Client(UnixStream);

impl Client {
    fn new(rt: &mut Rt, path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut client = Client(stream);
        settle(rt);
        assert!(client.answers().starts_with("{\"QMP\""));
        client.ask(rt, "{'execute': 'qmp_capabilities'}");
        client
    }

    fn answers(&mut self) -> String {
        let mut text = Vec::new();
        // Ends with "would block": the other side is this very thread.
        let _ = self.0.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[track_caller]
    fn ask(&mut self, rt: &mut Rt, request: &str) -> String {
        self.0.write_all(request.as_bytes()).unwrap();
        self.returned(rt)
    }

    #[track_caller]
    fn returned(&mut self, rt: &mut Rt) -> String {
        settle(rt);
        let text = self.answers();
        assert!(text.starts_with("{\"return\""), "{text}");
        text
    }

    /// Passes that many descriptors along with a request.
    fn pass(&mut self, rt: &mut Rt, request: &str, count: usize) -> String {
        let files: Vec<_> = (0..count)
            .map(|_| {
                File::options()
                    .read(true)
                    .write(true)
                    .open("/dev/null")
                    .unwrap()
            })
            .collect();
        let fds: Vec<_> = files.iter().map(File::as_raw_fd).collect();
        sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(request.as_bytes())],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::empty(),
            None,
        )
        .unwrap();
        drop(files);
        settle(rt);
        self.answers()
    }
}

fn runtime(path: &Path) -> Rt {
    let mut rt = Runtime::with_time((), TimeSource::simulated()).unwrap();
    let form = format!("unix:{},server=on,wait=off", path.display());
    rt.monitor_parse(&form, MonitorMode::Control, false)
        .unwrap();
    settle(&mut rt);
    rt
}

#[test]
fn every_descriptor_is_given_back() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let before_all = open_fds();
    let mut rt = runtime(&path);
    drop(Client::new(&mut rt, &path));
    settle(&mut rt);
    // From here on only used descriptors stay open.
    let idle = open_fds();
    #[track_caller]
    fn expect_idle(rt: &mut Rt, idle: usize) {
        settle(rt);
        assert_eq!(open_fds(), idle);
    }

    for round in 0..50 {
        let mut client = Client::new(&mut rt, &path);
        if round % 2 == 0 {
            client.0.write_all(b"{'execute': 'query-ve").unwrap();
        }
        drop(client);
        expect_idle(&mut rt, idle);
    }

    // Clients that only connect, as many as the kernel queues.
    for _ in 0..20 {
        let crowd = [(); 3].map(|()| {
            let stream = UnixStream::connect(&path).unwrap();
            settle(&mut rt);
            stream
        });
        drop(crowd);
        expect_idle(&mut rt, idle);
    }

    // A client that leaves with replies unread: its watch for room goes too.
    let mut client = Client::new(&mut rt, &path);
    for _ in 0..40 {
        client
            .0
            .write_all(b"{'execute': 'query-qmp-schema'}")
            .unwrap();
        settle(&mut rt);
    }
    drop(client);
    expect_idle(&mut rt, idle);

    // Descriptors without a request for them, one and many, and with a bad
    // request.
    let mut client = Client::new(&mut rt, &path);
    for request in ["{'execute': 'query-version'}", "{'execute':}", "[1]", " "] {
        for count in [1, 3] {
            client.pass(&mut rt, request, count);
        }
    }
    drop(client);
    expect_idle(&mut rt, idle);

    // Names outlive connections and are closed by name or by their successor.
    let mut client = Client::new(&mut rt, &path);
    let getfd = "{'execute': 'getfd', 'arguments': {'fdname': 'f'}}";
    for _ in 0..3 {
        assert_eq!(client.pass(&mut rt, getfd, 2), "{\"return\": {}}\r\n");
    }
    let refused = getfd.replace("'f'", "'1'");
    assert!(client.pass(&mut rt, &refused, 1).contains("error"));
    drop(client);
    expect_idle(&mut rt, idle + 1);
    let mut client = Client::new(&mut rt, &path);
    client.ask(&mut rt, &getfd.replace("getfd", "closefd"));
    drop(client);
    expect_idle(&mut rt, idle);

    // Sets, with a chardev that holds a duplicate while its set is removed.
    let mut client = Client::new(&mut rt, &path);
    let add_fd = "{'execute': 'add-fd', 'arguments': {'fdset-id': 1}}";
    for _ in 0..10 {
        let added = client.pass(&mut rt, add_fd, 1);
        assert!(added.starts_with("{\"return\""), "{added}");
    }
    let bad = "{'execute': 'add-fd', 'arguments': {'fdset-id': -1}}";
    assert!(client.pass(&mut rt, bad, 1).contains("error"));
    for _ in 0..20 {
        client.ask(
            &mut rt,
            "{'execute': 'chardev-add', 'arguments': {'id': 'c', 'backend': \
             {'type': 'pipe', 'data': {'device': '/dev/fdset/1'}}}}",
        );
        client.ask(
            &mut rt,
            "{'execute': 'chardev-remove', 'arguments': {'id': 'c'}}",
        );
    }
    client.ask(
        &mut rt,
        "{'execute': 'remove-fd', 'arguments': {'fdset-id': 1}}",
    );
    assert_eq!(
        client.ask(&mut rt, "{'execute': 'query-fdsets'}"),
        "{\"return\": []}\r\n"
    );
    drop(client);
    expect_idle(&mut rt, idle);

    // Listening sockets that come and go, with and without a client.
    for round in 0..20 {
        let mut client = Client::new(&mut rt, &path);
        let other = dir.path().join("other");
        client.ask(
            &mut rt,
            &format!(
                "{{'execute': 'chardev-add', 'arguments': {{'id': 'c', 'backend': \
                 {{'type': 'socket', 'data': {{'server': true, 'wait': false, 'addr': \
                 {{'type': 'unix', 'data': {{'path': '{}'}}}}}}}}}}}}",
                other.display()
            ),
        );
        let guest = (round % 2 == 0).then(|| UnixStream::connect(&other).unwrap());
        settle(&mut rt);
        client.ask(
            &mut rt,
            "{'execute': 'chardev-remove', 'arguments': {'id': 'c'}}",
        );
        drop((guest, client));
        expect_idle(&mut rt, idle);
    }

    // A listener with several clients, which pass descriptors and leave in
    // every way. The monitor and the listener are removed with and without
    // clients.
    for round in 0..20 {
        let many = dir.path().join("many");
        let opts = format!(
            "socket,id=c,path={},server=on,wait=off,max-clients=4",
            many.display()
        );
        let (label, config) = qemu_chr_parse_cli(&opts, &mut Vec::new()).unwrap();
        chardev_add(&mut rt, &label, config).unwrap();
        let monitor = MonitorOptions {
            mode: Some(MonitorMode::Control),
            drain_on_close: Some(round % 3 == 0),
            ..MonitorOptions::new("c")
        };
        let monitor = rt.monitor_init(&monitor).unwrap();
        settle(&mut rt);
        let listening = open_fds();
        let mut crowd = [(); 4].map(|()| Client::new(&mut rt, &many));
        let waiting = UnixStream::connect(&many).unwrap();
        crowd[0].pass(&mut rt, getfd, 1);
        crowd[1].pass(&mut rt, " ", 2);
        crowd[2].0.write_all(b"{'execute': 'query-ve").unwrap();
        crowd[3].0.shutdown(std::net::Shutdown::Write).unwrap();
        if round % 2 == 0 {
            drop((crowd, waiting));
            expect_idle(&mut rt, listening);
            monitor_remove(&mut rt, monitor);
        } else {
            monitor_remove(&mut rt, monitor);
            settle(&mut rt);
            drop((crowd, waiting));
        }
        chardev_remove(&mut rt, "c").unwrap();
        expect_idle(&mut rt, idle);
    }

    // Monitors that take their chardev along.
    for _ in 0..20 {
        let one = dir.path().join("one");
        let opts = format!("socket,id=c,path={},server=on,wait=off", one.display());
        let (label, config) = qemu_chr_parse_cli(&opts, &mut Vec::new()).unwrap();
        chardev_add(&mut rt, &label, config).unwrap();
        let monitor = MonitorOptions {
            mode: Some(MonitorMode::Control),
            close_action: Some(MonitorCloseAction::Delete),
            ..MonitorOptions::new("c")
        };
        rt.monitor_init(&monitor).unwrap();
        let mut client = Client::new(&mut rt, &one);
        client.pass(&mut rt, getfd, 1);
        drop(client);
        expect_idle(&mut rt, idle);
    }

    // The end, with everything in use.
    let mut client = Client::new(&mut rt, &path);
    client.pass(&mut rt, getfd, 1);
    client.pass(&mut rt, add_fd, 1);
    client.pass(&mut rt, " ", 1);
    rt.shut_down();
    drop(client);
    drop(rt);
    assert_eq!(open_fds(), before_all);

    for _ in 0..20 {
        let mut rt = runtime(&path);
        let client = Client::new(&mut rt, &path);
        drop(rt);
        drop(client);
    }
    assert_eq!(open_fds(), before_all);
}
