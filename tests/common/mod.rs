//! A server process and its client, for black-box tests.

pub mod places;
pub mod recordings;

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{sendmsg, ControlMessage::ScmRights, MsgFlags};
use serde_json::Value;

/// Long enough for a loaded machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `qmonitor` with a private directory. Killed when dropped.
pub struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts the program with a QMP server on the socket `q` of its
    /// directory, and more arguments in which `{dir}` is that directory.
    #[track_caller]
    pub fn start(args: &[&str]) -> Server {
        let mut all = vec!["-nodefaults", "-qmp", "unix:{dir}/q,server=on,wait=off"];
        all.extend_from_slice(args);
        Self::start_bare(&all)
    }

    /// Starts the program with these arguments only.
    #[track_caller]
    pub fn start_bare(args: &[&str]) -> Server {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_qmonitor")), args)
    }

    /// Starts another program with these arguments only.
    #[track_caller]
    pub fn start_program(program: &Path, args: &[&str]) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = dir.path().display().to_string();
        let child = Command::new(program)
            .args(args.iter().map(|a| a.replace("{dir}", &place)))
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        Server { child, dir }
    }

    /// A file in the server's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A client of the socket `q`.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(&self.path("q"))
    }

    /// A client of the socket `q`, past greeting and negotiation.
    #[track_caller]
    pub fn qmp(&self) -> Client {
        self.qmp_at("q")
    }

    /// A client of another socket of the directory, past greeting and
    /// negotiation.
    #[track_caller]
    pub fn qmp_at(&self, name: &str) -> Client {
        let mut client = Client::connect(&self.path(name));
        client.expect_greeting();
        assert_eq!(client.ask("qmp_capabilities"), serde_json::json!({}));
        client
    }

    /// The server's standard input.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("stdin is taken once")
    }

    /// The server's standard output, which [`finish`](Self::finish) then lacks.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is taken once")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in kB.
    pub fn resident(&self) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the server lives");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kb = line.and_then(|l| l.split_whitespace().next());
        kb.and_then(|kb| kb.parse().ok()).expect("a number of kB")
    }

    /// How many descriptors it has open.
    pub fn open_fds(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(dir).expect("the server lives").count()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("the server lives");
    }

    /// Waits for the process to end; returns its output and status.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        drop(self.child.stdin.take());
        let stdout = self.child.stdout.take();
        let mut stderr = self.child.stderr.take().expect("piped");
        let reader = std::thread::spawn(move || {
            let mut out = Vec::new();
            if let Some(mut stdout) = stdout {
                let _ = stdout.read_to_end(&mut out);
            }
            out
        });
        let mut err = Vec::new();
        let _ = stderr.read_to_end(&mut err);
        let status = self.child.wait().expect("the server can be waited for");
        Output {
            status,
            stdout: reader.join().expect("the reader ends"),
            stderr: err,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end with these arguments and an empty input.
#[track_caller]
pub fn run(args: &[&str]) -> Output {
    Server::start_bare(args).finish()
}

/// A QMP or HMP client.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects, once the server listens.
    #[track_caller]
    pub fn connect(path: &Path) -> Client {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(_) if start.elapsed() < PATIENCE => std::thread::yield_now(),
                Err(e) => panic!("{}: {e}", path.display()),
            }
        };
        Client::on(stream)
    }

    /// The client at this end of a connection.
    pub fn on(stream: UnixStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client {
            stream: BufReader::new(stream),
        }
    }

    /// The socket itself.
    pub fn socket(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut stream = self.stream.get_ref();
        stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends bytes in one message with descriptors.
    #[track_caller]
    pub fn send_with(&mut self, bytes: impl AsRef<[u8]>, files: &[&File]) {
        let fds: Vec<_> = files.iter().map(|file| file.as_raw_fd()).collect();
        let (iov, rights) = ([IoSlice::new(bytes.as_ref())], [ScmRights(&fds)]);
        let fd = self.socket().as_raw_fd();
        let sent = sendmsg::<()>(fd, &iov, &rights, MsgFlags::empty(), None);
        assert_eq!(sent.expect("the server reads"), bytes.as_ref().len());
    }

    /// Shuts down the sending side.
    pub fn half_close(&mut self) {
        self.socket()
            .shutdown(Shutdown::Write)
            .expect("still connected");
    }

    /// The next line, without its CR LF.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let n = self
            .stream
            .read_until(b'\n', &mut line)
            .expect("a line in time");
        assert!(n > 0, "the server closed the connection");
        assert!(line.ends_with(b"\r\n"), "CR LF ends a line: {line:?}");
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// The next message.
    #[track_caller]
    pub fn message(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    /// Everything up to and including `text`.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(text.as_bytes()) {
            let mut byte = [0];
            let n = self.stream.read(&mut byte).unwrap_or_else(|e| {
                panic!(
                    "waiting for {text:?}: {e}, got {:?}",
                    String::from_utf8_lossy(&got)
                )
            });
            assert!(n > 0, "closed; got {:?}", String::from_utf8_lossy(&got));
            got.push(byte[0]);
        }
        String::from_utf8(got).expect("text")
    }

    /// Takes the greeting.
    #[track_caller]
    pub fn expect_greeting(&mut self) {
        let greeting = self.message();
        assert_eq!(
            greeting["QMP"]["capabilities"],
            serde_json::json!(["oob"]),
            "{greeting}"
        );
    }

    /// Sends a command without arguments; its return value.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> Value {
        self.ask_with(command, serde_json::json!({}))
    }

    /// Sends a command; its return value. Skips events.
    #[track_caller]
    pub fn ask_with(&mut self, command: &str, arguments: Value) -> Value {
        let reply = self.call(command, arguments);
        match reply.get("return") {
            Some(value) => value.clone(),
            None => panic!("{command}: {reply}"),
        }
    }

    /// Sends a command that must fail; the description.
    #[track_caller]
    pub fn refused(&mut self, command: &str, arguments: Value) -> String {
        let reply = self.call(command, arguments);
        match reply["error"]["desc"].as_str() {
            Some(desc) => desc.to_owned(),
            None => panic!("{command} should fail: {reply}"),
        }
    }

    /// Sends a command; the whole reply.
    #[track_caller]
    pub fn call(&mut self, command: &str, arguments: Value) -> Value {
        let request = serde_json::json!({"execute": command, "arguments": arguments});
        self.send(format!("{request}\n"));
        loop {
            let message = self.message();
            if message.get("event").is_none() {
                return message;
            }
        }
    }

    /// The next event, which must have this name; its data.
    #[track_caller]
    pub fn expect_event(&mut self, name: &str) -> Value {
        let message = self.message();
        assert_eq!(message["event"], name, "{message}");
        message["data"].clone()
    }

    /// Reads until the server closes the connection; returns all before that.
    #[track_caller]
    pub fn expect_close(&mut self) -> String {
        let mut rest = String::new();
        self.stream
            .read_to_string(&mut rest)
            .expect("the end in time");
        rest
    }
}
