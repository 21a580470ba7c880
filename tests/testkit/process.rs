//! The program as a process, and clients of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use qmonitor_testkit::serde_json::{json, Value};
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_qmonitor-mock");

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mock in a process of its own.
pub struct Process {
    pub dir: TempDir,
    child: Child,
    /// The lines up to `ready`.
    pub lines: Vec<String>,
    /// A directory that goes with the process.
    kept: Option<TempDir>,
}

impl Process {
    pub fn keep(&mut self, dir: TempDir) {
        self.kept = Some(dir);
    }

    pub fn kept(&self) -> &std::path::Path {
        self.kept.as_ref().expect("a directory").path()
    }

    /// Starts the program with a scenario, a socket for QMP and one for control.
    pub fn start(scenario: &str, options: &[&str]) -> Process {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        std::fs::write(&path, scenario).unwrap();
        let at = |name: &str| format!("unix:{}", dir.path().join(name).display());
        let mut child = Command::new(PROGRAM)
            .arg(&path)
            .args(["--qmp", &at("q"), "--control", &at("c")])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        for line in out.lines() {
            let line = line.unwrap();
            if line == "ready" {
                break;
            }
            lines.push(line);
        }
        Process {
            dir,
            child,
            lines,
            kept: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A client past its negotiation.
    pub fn client(&self) -> Client {
        Client::negotiated(&self.path("q"))
    }

    pub fn control(&self) -> Client {
        Client::negotiated(&self.path("c"))
    }

    /// The number of the process.
    pub fn id(&self) -> String {
        self.child.id().to_string()
    }

    pub fn terminate(&self) {
        let pid = self.id();
        let status = Command::new("kill").arg(pid).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; returns the status and what went to standard error.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client on a unix socket.
pub struct Client {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    /// Events that came before replies.
    pub events: Vec<Value>,
}

impl Client {
    pub fn connect(path: &std::path::Path) -> Client {
        Client::of(UnixStream::connect(path).unwrap())
    }

    fn of(stream: UnixStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Client {
            stream,
            lines,
            events: Vec::new(),
        }
    }

    /// Connects to a server that is starting.
    pub fn connect_when_there(path: &std::path::Path) -> Client {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Client::of(stream),
                Err(e) => assert!(std::time::Instant::now() < end, "{e}"),
            }
            std::thread::yield_now();
        }
    }

    pub fn negotiated(path: &std::path::Path) -> Client {
        let mut client = Client::connect(path);
        let greeting = client.recv().unwrap();
        assert!(greeting["QMP"].is_object(), "{greeting}");
        assert_eq!(
            client.call("qmp_capabilities", json!({})),
            json!({"return": {}})
        );
        client
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next message; None at the end.
    pub fn recv(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(qmonitor_testkit::serde_json::from_str(&line).expect("JSON")),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("nothing came: {e}"),
        }
    }

    /// The reply to a command.
    pub fn call(&mut self, command: &str, arguments: Value) -> Value {
        let request = json!({"execute": command, "arguments": arguments});
        self.send(&format!("{request}\n"));
        loop {
            let message = self.recv().expect("a reply");
            if message.get("event").is_none() {
                return message;
            }
            self.events.push(message);
        }
    }

    /// The next event of this name, whether it came before or is to come.
    pub fn event(&mut self, name: &str) -> Value {
        if let Some(at) = self.events.iter().position(|event| event["event"] == name) {
            return self.events.remove(at);
        }
        loop {
            let message = self.recv().expect("an event");
            if message["event"] == name {
                return message;
            }
        }
    }
}
