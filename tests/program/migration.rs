//! Migration in simulated time: machines of this process that move to each other, with the
//! order of all events.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use qmonitor::chardev::MemoryPeer;
use qmonitor::main_loop::TimeSource;
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::{InheritedFds, Runtime};
use qmonitor_machine::system::vl::{build, Built, Launch};
use qmonitor_machine::Machine;
use serde_json::{json, Value};
use tempfile::TempDir;

/// A machine and its client.
pub struct Vm {
    built: Built,
    peer: MemoryPeer,
}

/// What came, as text: replies whole, events by name and status or number of the pass.
fn shown(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    let Some(event) = value.get("event").and_then(Value::as_str) else {
        return match value.get("return") {
            Some(value) if *value == json!({}) => "ok".to_owned(),
            Some(value) => value.to_string(),
            None => value["error"]["desc"].as_str().unwrap().to_owned(),
        };
    };
    match (event, &value["data"]) {
        ("MIGRATION", data) => data["status"].as_str().unwrap().to_owned(),
        ("MIGRATION_PASS", data) => format!("pass {}", data["pass"]),
        ("DUMP_COMPLETED", data) => format!("dumped {}", data["result"]["status"]),
        (name, _) => name.to_owned(),
    }
}

impl Vm {
    pub fn new(options: &str) -> Self {
        let args: Vec<String> = "-nodefaults -display none"
            .split(' ')
            .chain(options.split(' ').filter(|word| !word.is_empty()))
            .map(str::to_owned)
            .collect();
        let launch = Launch {
            inherited: InheritedFds::default(),
            time: TimeSource::simulated(),
            signals: false,
            prepare: Box::new(|_| {}),
        };
        let mut built = build("qmonitor", &args, launch).unwrap();
        let rt = &mut *built.runtime;
        let peer = MemoryPeer::new(rt, "test").unwrap();
        rt.monitor_init(&MonitorOptions {
            mode: Some(MonitorMode::Control),
            ..MonitorOptions::new("test")
        })
        .unwrap();
        peer.open(rt);
        peer.send(rt, r#"{"execute": "qmp_capabilities"}"#);
        peer.recv(rt);
        let mut vm = Vm { built, peer };
        vm.capabilities(&["events"]);
        vm
    }

    fn rt(&mut self) -> &mut Runtime<Machine> {
        &mut self.built.runtime
    }

    /// What has come since the last look.
    pub fn seen(&mut self) -> Vec<String> {
        let bytes = self.peer.recv(&mut *self.built.runtime);
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(shown).collect()
    }

    /// Sends a command, and returns what comes up to its end and right after.
    pub fn execute(&mut self, name: &str, arguments: &Value) -> Vec<String> {
        let request = json!({"execute": name, "arguments": arguments});
        self.peer
            .send(&mut *self.built.runtime, request.to_string());
        self.seen()
    }

    /// The value that a command returns.
    pub fn ask(&mut self, name: &str) -> Value {
        let seen = self.execute(name, &json!({}));
        let last = seen.last().unwrap();
        serde_json::from_str(last).unwrap_or_else(|_| json!(last))
    }

    pub fn capabilities(&mut self, names: &[&str]) {
        let list: Vec<_> = names
            .iter()
            .map(|name| json!({"capability": name, "state": true}))
            .collect();
        let seen = self.execute("migrate-set-capabilities", &json!({"capabilities": list}));
        assert_eq!(seen, ["ok"]);
    }

    fn parameters(&mut self, parameters: &Value) {
        assert_eq!(self.execute("migrate-set-parameters", parameters), ["ok"]);
    }

    pub fn migrate(&mut self, uri: &str) -> Vec<String> {
        self.execute("migrate", &json!({"uri": uri}))
    }

    pub fn incoming(&mut self, uri: &str) -> Vec<String> {
        let arguments = json!({"uri": uri, "exit-on-error": false});
        self.execute("migrate-incoming", &arguments)
    }

    pub fn pass(&mut self, time: Duration) {
        let peer = self.peer;
        peer.delay(self.rt(), time);
    }

    pub fn run_state(&mut self) -> String {
        let status = self.ask("query-status");
        status["status"].as_str().unwrap().to_owned()
    }

    /// Hands it a descriptor by the name `pipe`.
    pub fn give(&mut self, fd: OwnedFd) {
        let peer = self.peer;
        peer.send_fd(self.rt(), fd);
        let seen = self.execute("getfd", &json!({"fdname": "pipe"}));
        assert_eq!(seen, ["ok"]);
    }

    /// Waits for what another thread does, until a question is answered with this status.
    pub fn until(&mut self, question: &str, status: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.ask(question)["status"] != status {
            assert!(Instant::now() < deadline, "{}", self.ask(question));
            std::thread::yield_now();
        }
    }

    pub fn figures(&mut self) -> Value {
        self.ask("query-migrate")
    }
}

/// Lets two machines talk until neither has anything to say, and returns what was seen.
pub fn together(a: &mut Vm, b: &mut Vm) -> (Vec<String>, Vec<String>) {
    let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
    // A connection takes a few turns of each side.
    for _ in 0..10 {
        from_a.extend(a.seen());
        from_b.extend(b.seen());
    }
    (from_a, from_b)
}

pub fn socket(dir: &TempDir, name: &str) -> String {
    format!("unix:{}", dir.path().join(name).display())
}

const SECOND: Duration = Duration::from_secs(1);

/// What is seen of a move that succeeds, behind its setup.
const COMPLETES: &[&str] = &["pass 1", "active", "STOP", "device", "pass 2", "completed"];

#[test]
fn a_machine_moves() {
    let dir = tempfile::tempdir().unwrap();
    let uri = socket(&dir, "s");
    let (mut source, mut destination) = (Vm::new(""), Vm::new("-incoming defer"));
    assert_eq!(destination.run_state(), "inmigrate");
    assert_eq!(
        destination.migrate("exec:true"),
        ["Guest is waiting for an incoming migration"]
    );
    assert_eq!(destination.incoming(&uri), ["setup", "ok"]);
    let address = &destination.figures()["socket-address"][0]["type"];
    assert_eq!(address, "unix");
    assert_eq!(
        destination.incoming(&uri),
        ["The incoming migration has already been started"]
    );
    let mut seen = source.migrate(&uri);
    let (more, arrived) = together(&mut source, &mut destination);
    seen.extend(more);
    assert_eq!(seen, [&["setup", "ok"], COMPLETES].concat());
    assert_eq!(arrived, ["active", "RESUME", "completed"]);
    assert_eq!(source.run_state(), "postmigrate");
    assert_eq!(destination.run_state(), "running");
    assert_eq!(destination.figures(), json!({"status": "completed"}));
    assert_eq!(
        source.migrate(&uri),
        ["Can't migrate the vm that was paused due to previous migration"]
    );
}

/// The state of the machine at the other side, by that of here and whether it may start there.
#[test]
fn run_states_arrive() {
    for (here, there, expected) in [
        ("", "", "running"),
        ("", "-S", "paused"),
        ("-S", "", "prelaunch"),
        ("-S", "-S", "prelaunch"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let uri = format!("file:{}", dir.path().join("f").display());
        let mut source = Vm::new(here);
        let stops = usize::from(here.is_empty());
        let seen = source.migrate(&uri);
        assert_eq!(seen.iter().filter(|s| *s == "STOP").count(), stops);
        assert_eq!(seen.last().unwrap(), "completed");
        let mut destination = Vm::new(&format!("-incoming defer {there}"));
        let seen = destination.incoming(&uri);
        assert_eq!(
            seen.iter().filter(|s| *s == "RESUME").count(),
            usize::from(expected == "running")
        );
        assert_eq!(destination.run_state(), expected);
    }
}

#[test]
fn memory_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut content = vec![0u8; 1 << 20];
    for (at, byte) in [(0, 1), (5000, 2), (0x8_0000, 3), ((1 << 20) - 1, 4)] {
        content[at] = byte;
    }
    std::fs::write(path("ram"), &content).unwrap();
    let mut source = Vm::new(&format!(
        "-object memory-backend-file,id=ram,size=1M,mem-path={} -machine none,memory-backend=ram",
        path("ram")
    ));
    let uri = format!("file:{},offset=100", path("stream"));
    assert_eq!(source.migrate(&uri).last().unwrap(), "completed");
    let ram = &source.figures()["ram"];
    assert_eq!(
        (&ram["normal"], &ram["duplicate"]),
        (&json!(4), &json!(252))
    );
    assert_eq!(ram["total"], 1 << 20);
    let stream = std::fs::read(path("stream")).unwrap();
    assert_eq!(stream[..100], [0; 100]);
    assert!(stream[100..].starts_with(b"QMONMIG\n"));
    assert!(stream.len() < 20_000, "zeros are not written");
    let memory = "-object memory-backend-ram,id=ram,size=1M -machine none,memory-backend=ram";
    let mut destination = Vm::new(&format!("{memory} -incoming defer"));
    assert_eq!(destination.incoming(&uri).last().unwrap(), "completed");
    let out = path("out");
    let save = json!({"val": 0, "size": 1 << 20, "filename": out});
    assert_eq!(destination.execute("pmemsave", &save), ["ok"]);
    assert!(std::fs::read(out).unwrap() == content);
}

/// What a test writes into memory while the machine moves arrives.
#[test]
fn memory_that_is_written_meanwhile_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let uri = format!("file:{}", path.display());
    let mut source = Vm::new("-machine none -m 1M");
    source.capabilities(&["pause-before-switchover"]);
    source.migrate(&uri);
    assert!(source.rt().state.physical_memory_write(0x1234, b"late"));
    let state = json!({"state": "pre-switchover"});
    let seen = source.execute("migrate-continue", &state);
    assert_eq!(seen.last().unwrap(), "completed");
    let mut destination = Vm::new("-machine none -m 1M -incoming defer");
    assert_eq!(destination.incoming(&uri).last().unwrap(), "completed");
    let mut four = [0; 4];
    assert!(destination
        .rt()
        .state
        .physical_memory_read(0x1234, &mut four));
    assert_eq!(&four, b"late");
}

/// Bytes in a second are kept in the machine's time, and the figures move with it.
#[test]
fn the_limit_is_kept() {
    let mut vm = Vm::new("-machine none -m 1G");
    vm.parameters(&json!({"max-bandwidth": 100_000}));
    let mut seen = vm.migrate("exec:cat >/dev/null");
    assert_eq!(seen, ["setup", "ok", "pass 1", "active"]);
    vm.pass(SECOND);
    let figures = vm.figures();
    assert_eq!(figures["status"], "active");
    assert_eq!(figures["total-time"], 1000);
    let (transferred, remaining) = (&figures["ram"]["transferred"], &figures["ram"]["remaining"]);
    let transferred = transferred.as_u64().unwrap();
    assert!((100_000..=120_000).contains(&transferred), "{transferred}");
    let pages = (1 << 30) / 4096 - remaining.as_u64().unwrap() / 4096;
    assert_eq!(figures["ram"]["duplicate"], pages);
    vm.pass(SECOND);
    let later = vm.figures();
    assert_eq!(later["total-time"], 2000);
    assert!(later["ram"]["transferred"].as_u64().unwrap() > 2 * transferred - 20_000);
    assert!((later["ram"]["mbps"].as_f64().unwrap() - 0.8).abs() < 0.01);
    vm.parameters(&json!({"max-bandwidth": 1_000_000_000}));
    vm.pass(SECOND);
    seen = vm.seen();
    assert_eq!(seen, ["pass 2", "STOP", "device", "pass 3", "completed"]);
    assert_eq!(vm.figures()["ram"]["remaining"], 0);
}

/// A guest that writes faster than can be sent keeps a migration going, until it is slowed.
#[test]
fn a_guest_that_writes_too_much_is_slowed_down() {
    let mut vm = Vm::new("-machine none -m 1G -dirty-rate 200M");
    let rate = json!({"calc-time": 1, "mode": "page-sampling"});
    assert_eq!(vm.execute("calc-dirty-rate", &rate), ["ok"]);
    assert_eq!(vm.ask("query-dirty-rate")["status"], "measuring");
    vm.pass(SECOND);
    assert_eq!(vm.ask("query-dirty-rate")["dirty-rate"], 200);
    vm.parameters(&json!({"max-bandwidth": 100 << 20, "downtime-limit": 10}));
    vm.migrate("exec:cat >/dev/null");
    vm.pass(30 * SECOND);
    let figures = vm.figures();
    assert_eq!(figures["status"], "active");
    let dirty = figures["ram"]["dirty-pages-rate"].as_u64().unwrap();
    // In a pass of ten seconds each page is written to, and counts once.
    assert!((25_000..=26_000).contains(&dirty), "{dirty}");
    assert_eq!(figures.get("cpu-throttle-percentage"), None);
    let seen = vm.execute("migrate_cancel", &json!({}));
    assert_eq!(seen[seen.len() - 3..], ["cancelling", "ok", "cancelled"]);
    vm.capabilities(&["auto-converge"]);
    vm.migrate("exec:cat >/dev/null");
    vm.pass(30 * SECOND);
    let throttle = vm.figures()["cpu-throttle-percentage"].as_u64().unwrap();
    assert!(throttle >= 20, "{throttle}");
    vm.pass(300 * SECOND);
    assert_eq!(vm.figures()["status"], "completed");
}

#[test]
fn a_stop_before_the_rest_waits_for_a_command() {
    let mut vm = Vm::new("");
    vm.capabilities(&["pause-before-switchover"]);
    let stopped = ["setup", "ok", "pass 1", "active", "STOP", "pre-switchover"];
    assert_eq!(vm.migrate("exec:cat >/dev/null"), stopped);
    assert_eq!(vm.run_state(), "finish-migrate");
    assert_eq!(vm.ask("cont"), "Migration is not finalized yet");
    let state = json!({"state": "device"});
    assert_eq!(
        vm.execute("migrate-continue", &state),
        ["Migration not in expected state: pre-switchover"]
    );
    assert_eq!(
        vm.execute("migrate_cancel", &json!({})),
        ["cancelling", "ok", "RESUME", "cancelled"]
    );
    assert_eq!(vm.run_state(), "running");
    assert_eq!(vm.figures(), json!({"status": "cancelled"}));
    assert_eq!(vm.migrate("exec:cat >/dev/null"), stopped);
    vm.pass(2 * SECOND);
    let state = json!({"state": "pre-switchover"});
    assert_eq!(
        vm.execute("migrate-continue", &state),
        ["ok", "device", "pass 2", "completed"]
    );
    assert_eq!(vm.figures()["downtime"], 2000);
}

#[test]
fn what_is_refused_while_a_machine_moves() {
    let mut vm = Vm::new("-machine q35 -m 1G");
    vm.parameters(&json!({"max-bandwidth": 1000}));
    vm.migrate("exec:cat >/dev/null");
    let in_progress = "There's a migration process in progress";
    assert_eq!(vm.migrate("exec:true"), [in_progress]);
    let caps = json!({"capabilities": [{"capability": "xbzrle", "state": true}]});
    assert_eq!(vm.execute("migrate-set-capabilities", &caps), [in_progress]);
    let device = json!({"driver": "e1000", "id": "e"});
    assert_eq!(
        vm.execute("device_add", &device),
        ["device_add not allowed while migrating"]
    );
    let dump = json!({"paging": false, "protocol": "file:/dev/null"});
    assert_eq!(
        vm.execute("dump-guest-memory", &dump),
        [
            "disallowing migration blocker (migration/snapshot in progress) for: Live \
             migration disabled: dump-guest-memory in progress"
        ]
    );
    let seen = vm.execute("quit", &json!({}));
    assert_eq!(seen[..3], ["SHUTDOWN", "cancelling", "ok"]);
}

/// A channel that breaks ends the migration, and the machine goes on here.
#[test]
fn failures_leave_the_machine_here() {
    let mut vm = Vm::new("");
    let seen = vm.migrate("unix:/nonexistent/x");
    assert_eq!(seen, ["setup", "ok", "failed"]);
    let error = "Failed to connect to '/nonexistent/x': No such file or directory";
    let failed = |error: &str| json!({"status": "failed", "error-desc": error});
    assert_eq!(vm.figures(), failed(error));
    let error = "File descriptor named 'x' has not been found";
    assert_eq!(vm.migrate("fd:x"), ["setup", "failed", error]);
    // A pipe that nobody reads breaks while it is active, and after the stop.
    for stops in [false, true] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        vm.give(writer);
        if stops {
            vm.capabilities(&["pause-before-switchover"]);
            vm.migrate("fd:pipe");
            drop(reader);
            let state = json!({"state": "pre-switchover"});
            let seen = vm.execute("migrate-continue", &state);
            assert_eq!(seen, ["ok", "device", "pass 2", "failed", "RESUME"]);
        } else {
            drop(reader);
            assert_eq!(
                vm.migrate("fd:pipe"),
                ["setup", "ok", "pass 1", "active", "failed"]
            );
        }
        assert_eq!(vm.figures(), failed("Unable to write to file: Broken pipe"));
        assert_eq!(vm.run_state(), "running");
    }
}

/// A reader that does not read holds up the migration, and nothing else.
#[test]
fn a_slow_reader_holds_up_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ram");
    std::fs::write(&path, vec![7; 1 << 20]).unwrap();
    let mut vm = Vm::new(&format!(
        "-object memory-backend-file,id=ram,size=1M,mem-path={} -machine none,memory-backend=ram",
        path.display()
    ));
    let (reader, writer) = nix::unistd::pipe().unwrap();
    vm.give(writer);
    vm.migrate("fd:pipe");
    assert_eq!(vm.figures()["status"], "active");
    assert_eq!(vm.run_state(), "running");
    let all = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::fs::File::from(reader).read_to_end(&mut bytes).unwrap();
        bytes
    });
    vm.until("query-migrate", "completed");
    assert!(all.join().unwrap().len() > 1 << 20);
}

/// With a return path the source learns that the machine did not arrive.
#[test]
fn a_machine_that_does_not_arrive_goes_on_here() {
    let dir = tempfile::tempdir().unwrap();
    let uri = socket(&dir, "s");
    let mut source = Vm::new("");
    let mut destination = Vm::new("-machine q35 -m 16M -incoming defer");
    source.capabilities(&["return-path"]);
    destination.incoming(&uri);
    let mut seen = source.migrate(&uri);
    let (more, arrived) = together(&mut source, &mut destination);
    seen.extend(more);
    assert_eq!(
        seen,
        ["setup", "ok", "pass 1", "active", "STOP", "device", "pass 2", "failed", "RESUME"]
    );
    assert_eq!(arrived, ["active", "failed"]);
    let error = "load of migration failed: Invalid argument";
    assert_eq!(
        destination.figures(),
        json!({"status": "failed", "error-desc": error})
    );
    assert_eq!(destination.run_state(), "inmigrate");
    assert_eq!(source.run_state(), "running");
}

/// A stream that is cut at any byte fails, and the machine waits on as it was; or the program
/// ends, if it was told so.
#[test]
fn a_cut_stream_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let uri = format!("file:{}", path.display());
    Vm::new("").migrate(&uri);
    let stream = std::fs::read(&path).unwrap();
    for length in 0..stream.len() {
        std::fs::write(&path, &stream[..length]).unwrap();
        let mut vm = Vm::new("-incoming defer");
        let seen = vm.incoming(&uri);
        // Nothing at all is not even the beginning of a stream.
        let expected: &[&str] = if length == 0 {
            &["setup", "ok", "failed"]
        } else {
            &["setup", "ok", "active", "failed"]
        };
        assert_eq!(seen, expected, "{length}");
        let error = vm.figures()["error-desc"].as_str().unwrap().to_owned();
        // The name and the version of the form come first.
        let kind = if length < 12 {
            "Invalid argument"
        } else {
            "Input/output error"
        };
        assert_eq!(
            error,
            format!("load of migration failed: {kind}"),
            "{length}"
        );
        assert_eq!(vm.run_state(), "inmigrate");
    }
    let mut vm = Vm::new("-incoming defer");
    std::fs::write(&path, b"QEVM\0\0\0\x03 and so on").unwrap();
    let seen = vm.execute("migrate-incoming", &json!({"uri": uri}));
    assert_eq!(seen, ["setup", "ok", "active", "failed"]);
    assert_eq!(vm.rt().exit_requested().map(|exit| exit.status), Some(1));
}

#[test]
fn devices_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("file:{}", dir.path().join("f").display());
    // The reason is in the reply since 11.1.
    let mut source = Vm::new("-profile 11.1 -machine q35 -m 16M -device virtio-rng-pci,id=rng0");
    assert_eq!(source.migrate(&uri).last().unwrap(), "completed");
    let mut destination = Vm::new("-profile 11.1 -machine q35 -m 16M -incoming defer");
    destination.incoming(&uri);
    let error = destination.figures()["error-desc"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        error.contains("Unknown savevm section or instance 'rng0/virtio-rng-pci' 0."),
        "{error}"
    );
}

/// The machine runs at the other side before its memory is there, over two channels.
#[test]
fn postcopy() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (socket(&dir, "1"), socket(&dir, "2"));
    let mut source = Vm::new("-machine none -m 1G");
    let mut destination = Vm::new("-machine none -m 1G -incoming defer");
    for vm in [&mut source, &mut destination] {
        vm.capabilities(&["postcopy-ram", "return-path"]);
    }
    assert_eq!(
        source.ask("migrate-start-postcopy"),
        "Postcopy must be started after migration has been started"
    );
    source.parameters(&json!({"max-bandwidth": 100_000, "max-postcopy-bandwidth": 50_000}));
    destination.incoming(&first);
    source.migrate(&first);
    assert_eq!(together(&mut source, &mut destination).1, ["active"]);
    source.execute("migrate-start-postcopy", &json!({}));
    source.pass(SECOND);
    let (seen, arrived) = together(&mut source, &mut destination);
    assert_eq!(seen, ["STOP", "device", "pass 2", "postcopy-active"]);
    assert_eq!(arrived, ["postcopy-active", "RESUME"]);
    assert_eq!(source.run_state(), "finish-migrate");
    assert_eq!(destination.run_state(), "running");
    assert!(source.figures()["ram"]["postcopy-bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        source.ask("migrate_cancel"),
        "Postcopy migration in progress, cannot cancel."
    );
    assert_eq!(
        source.execute("migrate-pause", &json!({})),
        ["postcopy-paused", "ok"]
    );
    assert_eq!(
        together(&mut source, &mut destination).1,
        ["postcopy-paused"]
    );
    let error = "Postcopy migration is paused by the user";
    assert_eq!(source.figures()["error-desc"], error);
    assert_eq!(destination.run_state(), "running");
    let recover = json!({"uri": second});
    assert_eq!(destination.execute("migrate-recover", &recover), ["ok"]);
    let resume = json!({"uri": "unix:/nonexistent/x", "resume": true});
    assert_eq!(
        source.execute("migrate", &resume),
        ["postcopy-recover-setup", "ok", "postcopy-paused"]
    );
    source.parameters(&json!({"max-postcopy-bandwidth": 0}));
    let mut seen = source.execute("migrate", &json!({"uri": second, "resume": true}));
    let (more, arrived) = together(&mut source, &mut destination);
    seen.extend(more);
    assert_eq!(
        seen,
        [
            "postcopy-recover-setup",
            "ok",
            "postcopy-recover",
            "postcopy-active",
            "completed"
        ]
    );
    assert_eq!(
        arrived,
        ["postcopy-recover", "postcopy-active", "completed"]
    );
    assert_eq!(source.run_state(), "postmigrate");
}

/// A background snapshot stops the machine for a moment only.
#[test]
fn background_snapshots() {
    let mut vm = Vm::new("");
    vm.capabilities(&["background-snapshot"]);
    assert_eq!(
        vm.migrate("exec:cat >/dev/null"),
        ["setup", "ok", "active", "STOP", "RESUME", "completed"]
    );
    assert_eq!(vm.run_state(), "running");
}

#[test]
fn channels_and_transports_that_do_not_fit() {
    let mut vm = Vm::new("");
    let channel = |args: &[&str]| json!({"channel-type": "main", "addr": {"transport": "exec", "args": args}});
    let main = channel(&["/bin/sh", "-c", "cat >/dev/null"]);
    for (arguments, desc) in [
        (json!({}), "need either 'uri' or 'channels' argument"),
        (
            json!({"channels": []}),
            "need either 'uri' or 'channels' argument",
        ),
        (
            json!({"uri": "exec:x", "channels": [main]}),
            "need either 'uri' or 'channels' argument",
        ),
        (
            json!({"channels": [main, main]}),
            "Channel list has more than one main entry",
        ),
        (
            json!({"uri": "exec:x", "resume": true}),
            "Cannot resume if there is no paused migration",
        ),
    ] {
        assert_eq!(vm.execute("migrate", &arguments), [desc]);
    }
    let wrong = json!({"channels": [channel(&["/nonexistent/x"])]});
    let desc = "Failed to execute child process “/nonexistent/x” (No such file or directory)";
    assert_eq!(vm.execute("migrate", &wrong), ["setup", "failed", desc]);
    let seen = vm.execute("migrate", &json!({"channels": [main]}));
    assert_eq!(seen, [&["setup", "ok"], COMPLETES].concat());
    assert_eq!(vm.execute("cont", &json!({})), ["RESUME", "ok"]);
    vm.capabilities(&["multifd"]);
    let desc = "Migration requires multi-channel URIs (e.g. tcp)";
    assert_eq!(vm.migrate("exec:true"), [desc]);
    vm.capabilities(&["mapped-ram"]);
    let desc = "Migration requires seekable transport (e.g. file)";
    assert_eq!(vm.migrate("tcp:127.0.0.1:1"), [desc]);
}
