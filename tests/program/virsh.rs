//! Management by libvirt 11.3, replayed: its command lines for an emulator, its
//! questions in its order, and the answers that it insists on. `.ci/virsh` lets
//! the real libvirt do the same.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{run, Client, Server};
use crate::fd_guard::FdGuard;

/// A process that is not a child of this one. Killed when dropped.
struct Daemon(Pid);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// Whether a value is like a pattern; see `virsh/probe.txt`.
fn is_like(value: &Value, pattern: &Value) -> bool {
    match (pattern, value) {
        (Value::String(kind), _) if kind.starts_with('#') => match kind.as_str() {
            "#int" => value.is_i64() || value.is_u64(),
            "#str" => value.is_string(),
            "#bool" => value.is_boolean(),
            "#list" => value.is_array(),
            "#dict" => value.is_object(),
            other => panic!("no such pattern: {other}"),
        },
        (Value::Object(wanted), Value::Object(members)) => {
            let mut wanted = wanted.iter();
            wanted.all(|(name, p)| members.get(name).is_some_and(|v| is_like(v, p)))
        }
        (Value::Array(wanted), Value::Array(elements)) => {
            let mut wanted = wanted.iter();
            wanted.all(|p| elements.iter().any(|v| is_like(v, p)))
        }
        _ => value == pattern,
    }
}

/// Plays a dialogue with a server that has just been connected to.
#[track_caller]
fn play(client: &mut Client, dialogue: &str) {
    client.expect_greeting();
    for line in dialogue.lines() {
        match line.split_at_checked(2) {
            Some(("> ", request)) => client.send(format!("{request}\r\n")),
            Some(("< " | "! ", pattern)) => {
                let pattern: Value = serde_json::from_str(pattern).expect(pattern);
                let message = client.message();
                let text = message.to_string();
                let shown: String = text.chars().take(2000).collect();
                assert!(is_like(&message, &pattern), "{shown}\nis not like\n{line}");
            }
            _ => assert!(line.is_empty() || line.starts_with('#'), "{line}"),
        }
    }
}

#[test]
fn an_unknown_emulator_is_probed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let qmp = format!("unix:{},server=on,wait=off", path("qmp.monitor"));
    // It has ended only when it has closed standard output and error.
    let out = run(&[
        "-S",
        "-no-user-config",
        "-nodefaults",
        "-nographic",
        "-machine",
        "none,accel=kvm:tcg",
        "-qmp",
        &qmp,
        "-pidfile",
        &path("qmp.pid"),
        "-daemonize",
    ]);
    assert!(out.status.success(), "{out:?}");
    let text = std::fs::read_to_string(path("qmp.pid")).expect("it is there by now");
    let pid = text.trim_end().parse().expect("it is complete");
    let daemon = Daemon(Pid::from_raw(pid));
    let monitor = path("qmp.monitor");
    std::os::unix::net::UnixStream::connect(&monitor).expect("it listens by now");
    let mut client = Client::connect(monitor.as_ref());
    play(&mut client, include_str!("virsh/probe.txt"));
    kill(daemon.0, Signal::SIGTERM).unwrap();
    let data = client.expect_event("SHUTDOWN");
    assert_eq!(data["reason"], "host-signal");
    client.expect_close();
}

#[test]
fn a_daemon_that_cannot_start_says_why_and_fails() {
    let out = run(&[
        "-daemonize",
        "-qmp",
        "unix:/nonexistent/q,server=on,wait=off",
    ]);
    assert_eq!(out.status.code(), Some(1));
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(err.contains("Failed to bind socket"), "{err}");
}

/// A listening socket that each program started from this thread inherits.
fn inherited_listener(path: &std::path::Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    listener
}

/// libvirt's arguments for a domain with one processor of two and these devices
/// only.
fn start_domain(dir: &std::path::Path, devices: &[&str]) -> (Server, Client) {
    let key = dir.join("master-key.aes");
    std::fs::write(&key, [7; 32]).unwrap();
    let key = key.display();
    let secret =
        format!(r#"{{"qom-type":"secret","id":"masterKey0","format":"raw","file":"{key}"}}"#);
    let path = dir.join("monitor.sock");
    let listener = inherited_listener(&path);
    let monitor = format!(
        "socket,id=charmonitor,fd={},server=on,wait=off",
        listener.as_raw_fd()
    );
    let mut args = vec![
        "-name",
        "guest=lc-min,debug-threads=on",
        "-S",
        "-object",
        &secret,
        "-machine",
        "pc-i440fx-10.0,usb=off,dump-guest-core=off,memory-backend=pc.ram,acpi=off",
        "-accel",
        "tcg",
        "-cpu",
        "qemu64",
        "-m",
        "size=65536k",
        "-object",
        r#"{"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864}"#,
        "-overcommit",
        "mem-lock=off",
        "-smp",
        "1,maxcpus=2,sockets=2,cores=1,threads=1",
        "-uuid",
        "11111111-2222-4333-8444-555555555501",
        "-display",
        "none",
        "-no-user-config",
        "-nodefaults",
        "-chardev",
        &monitor,
        "-mon",
        "chardev=charmonitor,id=monitor,mode=control",
        "-rtc",
        "base=utc",
        "-no-shutdown",
        "-boot",
        "strict=on",
        "-audiodev",
        r#"{"id":"audio1","driver":"none"}"#,
        "-msg",
        "timestamp=on",
    ];
    args.extend_from_slice(devices);
    let server = Server::start_bare(&args);
    // libvirt does not wait either: the connection may come before the program
    // looks at the socket.
    let client = Client::connect(&path);
    (server, client)
}

#[test]
fn a_domain_is_started_suspended_resumed_and_ended() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let (server, mut client) = start_domain(dir.path(), &[]);
    play(&mut client, include_str!("virsh/start.txt"));
    client.expect_close();
    let out = server.finish();
    assert!(out.status.success(), "{out:?}");
    assert!(out.stderr.is_empty(), "{out:?}");
}

#[test]
fn devices_are_plugged_measured_and_unplugged() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    for (name, size) in [("vda.img", 8 << 20), ("sda.img", 4 << 20)] {
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        file.set_len(size).unwrap();
    }
    let node = format!(
        r#"{{"driver":"file","filename":"{place}/vda.img","node-name":"libvirt-1-storage","read-only":false}}"#
    );
    let (server, mut client) = start_domain(
        dir.path(),
        &[
            "-m",
            "size=131072k",
            "-machine",
            "memory-backend=big,acpi=on",
            "-object",
            r#"{"qom-type":"memory-backend-ram","id":"big","size":134217728}"#,
            "-object",
            r#"{"qom-type":"iothread","id":"iothread1"}"#,
            "-device",
            r#"{"driver":"piix3-usb-uhci","id":"usb","bus":"pci.0","addr":"0x1.0x2"}"#,
            "-device",
            r#"{"driver":"virtio-scsi-pci","id":"scsi0","bus":"pci.0","addr":"0x3"}"#,
            "-device",
            r#"{"driver":"virtio-serial-pci","id":"virtio-serial0","bus":"pci.0","addr":"0x4"}"#,
            "-blockdev",
            &node,
            "-device",
            r#"{"driver":"virtio-blk-pci","bus":"pci.0","addr":"0x5","drive":"libvirt-1-storage","id":"virtio-disk0","bootindex":1,"serial":"LCVDA"}"#,
            "-chardev",
            "null,id=charserial0",
            "-device",
            r#"{"driver":"isa-serial","chardev":"charserial0","id":"serial0","index":0}"#,
            "-chardev",
            "null,id=charchannel0",
            "-device",
            r#"{"driver":"virtserialport","bus":"virtio-serial0.0","nr":1,"chardev":"charchannel0","id":"channel0","name":"org.example.lc.0"}"#,
            "-device",
            r#"{"driver":"VGA","id":"video0","vgamem_mb":16,"bus":"pci.0","addr":"0x2"}"#,
            "-device",
            r#"{"driver":"virtio-balloon-pci","id":"balloon0","bus":"pci.0","addr":"0x6"}"#,
        ],
    );
    let dialogue = include_str!("virsh/devices.txt").replace("{dir}", &place);
    play(&mut client, &dialogue);
    client.expect_close();
    let out = server.finish();
    assert!(out.status.success(), "{out:?}");
    let length = std::fs::metadata(dir.path().join("vda.img")).unwrap().len();
    assert_eq!(length, 16 << 20, "the image was resized");
}

/// Fields of a thread's `/proc` entry: its name and the clock ticks it has
/// used.
fn thread_of(server: &Server, id: u64) -> (String, u64) {
    let base = format!("/proc/{}/task/{id}", server.pid());
    let name = std::fs::read_to_string(format!("{base}/comm")).expect("the thread exists");
    (name.trim_end().to_owned(), ticks(&format!("{base}/stat")))
}

fn ticks(path: &str) -> u64 {
    let stat = std::fs::read_to_string(path).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // After the name come state and ten more fields, then user and system time.
    let fields = fields.split(' ').skip(11).take(2);
    fields.map(|n| n.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_processor_has_a_thread_and_has_used_time_by_the_time_anybody_asks() {
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let (server, mut client) = start_domain(dir.path(), &[]);
    client.expect_greeting();
    client.ask("qmp_capabilities");
    let cpus = client.ask("query-cpus-fast");
    let id = cpus[0]["thread-id"].as_u64().unwrap();
    assert_ne!(id, u64::from(server.pid()));
    let (name, used) = thread_of(&server, id);
    assert_eq!(name, "CPU 0/TCG");
    assert!(used >= 1, "{used} ticks");
    // This is what `virsh dominfo` shows, and leaves out if it is zero.
    assert!(ticks(&format!("/proc/{}/stat", server.pid())) >= 1);
    server.signal(Signal::SIGTERM);
    assert_eq!(client.expect_event("SHUTDOWN")["reason"], "host-signal");
    client.expect_close();
    assert!(server.finish().status.success());
}
