//! A test drives the program as QEMU's own tests do: it listens on two sockets, starts the
//! program by a shell, and talks to the machine on one and to its monitor on the other.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

struct Program {
    child: Child,
    qtest: BufReader<UnixStream>,
    qmp: BufReader<UnixStream>,
    dir: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accept(listener: &UnixListener, child: &mut Child) -> BufReader<UnixStream> {
    listener.set_nonblocking(true).expect("nonblocking");
    let end = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("blocking");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                return BufReader::new(stream);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(e) => panic!("accept: {e}"),
        }
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "the program ended: {ended:?}");
        assert!(Instant::now() < end, "the program does not connect");
    }
}

impl Program {
    fn start(options: &str) -> Program {
        let dir = tempfile::tempdir().expect("a folder");
        let link = dir.path().join("qemu-system-x86_64");
        symlink(env!("CARGO_BIN_EXE_qmonitor"), &link).expect("a link");
        let place = dir.path().display();
        let listen = |name: &str| UnixListener::bind(dir.path().join(name)).expect("a socket");
        let (qtest, qmp) = (listen("qtest.sock"), listen("qtest.qmp"));
        let line = format!(
            "exec {place}/qemu-system-x86_64 -qtest unix:{place}/qtest.sock -qtest-log {place}/log \
             -chardev socket,path={place}/qtest.qmp,id=char0 -mon chardev=char0,mode=control \
             -display none -audio none {options} -accel qtest"
        );
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .spawn()
            .expect("a shell");
        let qtest = accept(&qtest, &mut child);
        let qmp = accept(&qmp, &mut child);
        let mut program = Program {
            child,
            qtest,
            qmp,
            dir,
        };
        program.read_qmp();
        program.qmp("qmp_capabilities", Value::Null);
        program
    }

    fn read_qmp(&mut self) -> Value {
        let mut line = String::new();
        self.qmp.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The reply to a command, after any events.
    fn qmp(&mut self, command: &str, arguments: Value) -> Value {
        let mut request = serde_json::json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        writeln!(self.qmp.get_mut(), "{request}").expect("it is sent");
        loop {
            let read = self.read_qmp();
            if read.get("event").is_none() {
                return read;
            }
        }
    }

    fn wait_for(&mut self, event: &str) {
        while self.read_qmp()["event"] != event {}
    }

    /// The next line for a request.
    fn qtest(&mut self, request: &str) -> String {
        writeln!(self.qtest.get_mut(), "{request}").expect("it is sent");
        let mut line = String::new();
        self.qtest.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn expect(&mut self, request: &str, reply: &str) {
        assert_eq!(self.qtest(request), reply, "{request}");
    }
}

#[test]
fn the_clock_memory_and_ports_are_moved_from_outside() {
    let mut program = Program::start("-machine pc");
    for (request, reply) in [
        ("endianness", "OK little"),
        ("clock_step 100", "OK 100"),
        ("clock_set 1000", "OK 1000"),
        ("clock_set 5", "FAIL 1000"),
        ("writel 0x1000 0x12345678", "OK"),
        ("read 0x1000 4", "OK 0x78563412"),
        ("outl 0xcf8 0x80000000", "OK"),
        ("inl 0xcfc", "OK 0x12378086"),
        ("foo", "FAIL Unknown command 'foo'"),
        ("irq_intercept_in /machine/nowhere", "FAIL Unknown device"),
    ] {
        program.expect(request, reply);
    }
    let page = program.qmp(
        "human-monitor-command",
        serde_json::json!({"command-line": "xp /1wx 0x1000"}),
    );
    assert_eq!(page["return"], "0000000000001000: 0x12345678\r\n");
    let log = std::fs::read_to_string(program.dir.path().join("log")).expect("a log");
    assert!(log.starts_with("[I 0.000000] OPENED\n[R +"), "{log}");
    assert!(log.contains("] endianness\n[S +"), "{log}");
}

#[test]
fn there_is_one_channel_and_a_stopped_clock_has_no_deadline() {
    let mut program = Program::start("-machine pc -device virtio-balloon-pci,id=b");
    let object = program.qmp("qom-list", serde_json::json!({"path": "/machine"}));
    let names = object["return"].as_array().expect("a list");
    assert!(names.iter().any(|p| p["name"] == "qtest"), "{object}");
    let again = program.qmp(
        "object-add",
        serde_json::json!({"qom-type": "qtest", "id": "q", "chardev": "char0"}),
    );
    let desc = "Only one instance of qtest can be created";
    assert_eq!(again["error"]["desc"], desc);
    program.qmp("stop", Value::Null);
    let none =
        "FAIL cannot advance clock to the next deadline because there is no pending deadline";
    program.expect("clock_step", none);
}

#[test]
fn a_watchdog_expires_on_the_clock_of_the_test() {
    let mut p = Program::start("-M pc -device ib700 -watchdog-action pause");
    // 30 seconds less 2 for each step: 4 seconds.
    p.expect("outb 0x443 0x0d", "OK");
    p.expect("clock_step 3000000000", "OK 3000000000");
    p.expect("outb 0x441 0", "OK");
    p.expect("clock_step 4000000000", "OK 7000000000");
    let status = p.qmp("query-status", Value::Null);
    assert_eq!(status["return"]["status"], "running");
    p.expect("outb 0x443 0x0d", "OK");
    p.expect("clock_step 4000000000", "OK 11000000000");
    p.wait_for("WATCHDOG");
    p.wait_for("STOP");
    let status = p.qmp("query-status", Value::Null);
    assert_eq!(status["return"]["status"], "watchdog");
}

#[test]
fn a_panic_stops_the_machine() {
    let mut p = Program::start("-M pc -device pvpanic -action panic=pause");
    p.expect("inb 0x505", "OK 0x0007");
    p.expect("outb 0x505 2", "OK");
    p.wait_for("GUEST_CRASHLOADED");
    p.expect("outb 0x505 1", "OK");
    p.wait_for("GUEST_PANICKED");
    p.wait_for("STOP");
    let status = p.qmp("query-status", Value::Null);
    assert_eq!(status["return"]["status"], "guest-panicked");
    p.qmp("cont", Value::Null);
    let status = p.qmp("query-status", Value::Null);
    assert_eq!(status["return"]["status"], "running");
}

#[test]
fn keys_are_held_on_the_clock_of_the_test() {
    let mut p = Program::start("-M pc");
    let keys = serde_json::json!({
        "keys": [{ "type": "qcode", "data": "shift" }, { "type": "number", "data": 30 }],
        "hold-time": 100
    });
    p.qmp("send-key", keys);
    let mut read = |step: &str, codes: &[&str]| {
        if !step.is_empty() {
            p.expect(step, &format!("OK {}", &step["clock_set ".len()..]));
        }
        for code in codes {
            p.expect("inb 0x64", "OK 0x0019");
            p.expect("inb 0x60", &format!("OK 0x00{code}"));
        }
        p.expect("inb 0x64", "OK 0x0018");
    };
    read("", &["12"]);
    read("clock_set 99000000", &[]);
    read("clock_set 100000000", &["1c"]);
    read("clock_set 300000000", &["f0", "1c", "f0", "12"]);
}

#[test]
fn machines_are_joined_by_a_stream() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("net");
    let addr = serde_json::json!({"type": "unix", "path": path});
    let mut server = Program::start("-machine none");
    let mut client = Program::start("-machine none");
    let add = |server: bool| serde_json::json!({"type": "stream", "id": "n", "server": server, "addr": addr});
    server.qmp("netdev_add", add(true));
    client.qmp("netdev_add", add(false));
    client.wait_for("NETDEV_STREAM_CONNECTED");
    server.wait_for("NETDEV_STREAM_CONNECTED");
    let network = |p: &mut Program| {
        let line = serde_json::json!({"command-line": "info network"});
        p.qmp("human-monitor-command", line)["return"].clone()
    };
    let joined = format!("n: index=0,type=stream,unix:{}\r\n", path.display());
    assert_eq!(network(&mut server), Value::from(joined.as_str()));
    assert_eq!(network(&mut client), Value::from(joined));
    client.qmp("netdev_del", serde_json::json!({"id": "n"}));
    server.wait_for("NETDEV_STREAM_DISCONNECTED");
    let alone = "n: index=0,type=stream,listening\r\n";
    assert_eq!(network(&mut server), Value::from(alone));
}
