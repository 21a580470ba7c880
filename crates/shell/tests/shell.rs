//! The program in a pipe and at a terminal, with a server in this process.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use nix::pty::{openpty, Winsize};
use qmonitor::monitor::MonitorMode;
use qmonitor::Runtime;

/// A QMP server that ends with `quit`.
struct Server {
    dir: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("unix:{},server=on,wait=off", dir.path().join("q").display());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut rt = Runtime::new(()).unwrap();
            rt.monitor_parse(&address, MonitorMode::Control, false)
                .unwrap();
            ready.send(()).unwrap();
            rt.run().unwrap();
        });
        is_ready.recv().unwrap();
        Server {
            dir,
            thread: Some(thread),
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("q")
    }

    /// Runs the shell with this input.
    #[track_caller]
    fn shell(&self, options: &[&str], commands: &[&str], input: &str) -> Output {
        let mut child = shell(&self.socket(), options, commands)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    fn end(mut self) {
        assert!(self.shell(&[], &["quit"], "").status.success());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn shell(socket: &Path, options: &[&str], commands: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qmonitor-shell"));
    command.args(options).arg(socket).args(commands);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_script_ends_at_the_first_error_or_goes_on() {
    let server = Server::start();
    let script = "# a ring\n\
                  chardev-add id=7 backend.type=ringbuf backend.data.size=64\n\
                  nope\n\
                  {'execute': 'ringbuf-write', 'arguments': {'device': '7', 'data': 'hello'}}\n\
                  ringbuf-read device=7 size=99\n\
                  chardev-remove id=7\n";
    let output = server.shell(&["-k"], &[], script);
    assert_eq!(text(&output.stdout), "hello\n");
    let refused = "line 3: nope\n  CommandNotFound: The command nope has not been found\n";
    assert_eq!(text(&output.stderr), refused);
    assert_eq!(output.status.code(), Some(1));

    let output = server.shell(&[], &["nope", "query-name"], "");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(1));
    server.end();
}

#[test]
fn a_transaction_goes_over_several_lines() {
    let server = Server::start();
    let script = "transaction( abort\n\
                  # the last\n\
                  blockdev-snapshot-sync device=a snapshot-file=b )\n\
                  transaction(\n\
                  wrong here\n\
                  abort\n\
                  )\n\
                  query-version\n";
    let output = server.shell(&["-k", "-v"], &[], script);
    let sent = "{\"execute\": \"transaction\", \"arguments\": {\"actions\": \
                [{\"type\": \"abort\", \"data\": {}}, {\"type\": \"blockdev-snapshot-sync\", \
                \"data\": {\"device\": \"a\", \"snapshot-file\": \"b\"}}]}}";
    let told = text(&output.stderr);
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[0], sent);
    assert_eq!(told[3], "line 5: wrong here");
    assert_eq!(told[6], "  the transaction is not sent: an action is wrong");
    assert_eq!(told[7], "{\"execute\": \"query-version\"}");
    assert!(text(&output.stdout).contains("\"qemu\""));

    let output = server.shell(&[], &["transaction(", "abort"], "");
    let reason = "the transaction has no end, so it is not sent\n";
    assert_eq!(text(&output.stderr), reason);
    assert_eq!(output.status.code(), Some(1));
    server.end();
}

#[test]
fn json_goes_out_as_it_came() {
    let server = Server::start();
    let output = server.shell(&["-j"], &["{'execute': 'query-name', 'id': 'mine'}"], "");
    let told = text(&output.stdout);
    assert!(
        told.starts_with("{\"error\"") || told.contains("\"id\": \"mine\""),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1);
    server.end();
}

#[test]
fn people_s_commands_go_through_the_human_monitor() {
    let server = Server::start();
    let output = server.shell(&["-H"], &["info version", "help quit"], "");
    let told = text(&output.stdout);
    assert!(told.starts_with("10.0.2"), "{told}");
    assert!(told.ends_with("quit|q  -- quit the emulator\n"), "{told}");
    server.end();
}

#[test]
fn help_comes_from_the_server() {
    let server = Server::start();
    let output = server.shell(&[], &["help ringbuf-write"], "");
    let expected = "ringbuf-write\n  device=STRING\n  data=STRING\n  [format=utf8|base64]\n";
    assert_eq!(text(&output.stdout), expected);
    server.end();
}

#[test]
fn the_session_of_the_page_goes_as_it_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let session = page.split("```console\n").nth(1).unwrap();
    let session = session.split("```").next().unwrap();
    let server = Server::start();
    let mut played = 0;
    for step in session.split("(QMP) ").skip(1) {
        let (line, shown) = step.split_once('\n').unwrap();
        // The event is of a machine, which this server has not.
        if line != "stop" {
            let output = server.shell(&[], &[line], "");
            assert_eq!(text(&output.stdout), shown, "{line}");
            played += 1;
        }
    }
    assert_eq!(played, 2);
    server.end();
}

#[test]
fn where_there_is_no_server_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let output = shell(&path, &[], &["stop"]).output().unwrap();
    let reason = "No such file or directory (os error 2)";
    let told = format!("qmonitor-shell: {}: {reason}\n", path.display());
    assert_eq!(text(&output.stderr), told);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_program_is_started_and_ended_with_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    for (name, options) in [
        (
            "qemu",
            "-chardev socket,id=qmonitor-shell,fd=0 -mon chardev=qmonitor-shell,mode=control",
        ),
        (
            "storage-daemon",
            "--chardev socket,id=qmonitor-shell,fd=0 --monitor qmonitor-shell",
        ),
    ] {
        let program = dir.path().join(name);
        let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-qemu");
        std::os::unix::fs::symlink(fake, &program).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_qmonitor-shell"))
            .arg("--log")
            .arg(&log)
            .arg("--wrap")
            .arg(&program)
            .args(["-S", "-H"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(3), "it ends with quit");
        let args = std::fs::read_to_string(program.with_extension("args")).unwrap();
        assert_eq!(args, format!("{options} -S -H\n"));
    }
    // It keeps both sessions.
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.starts_with("<- {\"QMP\""), "{log}");
    let sent = log
        .lines()
        .filter(|line| line.starts_with("-> ") && line.contains("\"stop\""));
    assert_eq!(sent.count(), 2, "{log}");
}

#[test]
fn a_program_that_does_not_start_or_speak_is_reported() {
    for (program, reason) in [
        (
            "/nonexistent",
            "/nonexistent: No such file or directory (os error 2)",
        ),
        ("/bin/true", "the server has closed the connection"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_qmonitor-shell"))
            .args(["--wrap", program])
            .output()
            .unwrap();
        assert_eq!(text(&output.stderr), format!("qmonitor-shell: {reason}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
}

/// A person at a terminal of so many columns.
struct Person {
    terminal: File,
    seen: String,
    child: Child,
}

impl Person {
    fn at(server: &Server, columns: u16, options: &[&str]) -> Person {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let child = shell(&server.socket(), options, &[])
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", server.dir.path())
            .stdin(pty.slave.try_clone().unwrap())
            .stdout(pty.slave.try_clone().unwrap())
            .stderr(pty.slave)
            .spawn()
            .unwrap();
        let terminal = File::from(pty.master);
        Person {
            terminal,
            seen: String::new(),
            child,
        }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until this is on the terminal. A test that waits in vain ends with the
    /// program.
    #[track_caller]
    fn sees(&mut self, wanted: &str) {
        let mut buf = [0; 1024];
        while !self.seen.contains(wanted) {
            let n = self.terminal.read(&mut buf).unwrap_or(0);
            assert!(n > 0, "{wanted} is not in {:?}", self.seen);
            self.seen += &text(&buf[..n]);
        }
        let end = self.seen.find(wanted).unwrap() + wanted.len();
        self.seen.drain(..end);
    }
}

#[test]
fn somebody_at_a_terminal_completes_and_finds_the_line_again() {
    for columns in [100, 20] {
        let server = Server::start();
        let mut person = Person::at(&server, columns, &[]);
        person.sees("(QMP) ");
        person.types("query-vers\t\r");
        person.sees("\"major\"");
        person.sees("(QMP) ");
        // Two lines at once: the second waits in the editor.
        person.types("help ringbuf-wr\t\rhelp quit\r");
        person.sees("device=STRING");
        person.sees("quit\r\n");
        person.sees("(QMP) ");
        person.types("\x04");
        assert!(person.child.wait().unwrap().success());
        let history = server.dir.path().join("qmonitor-shell/qmp-history");
        let history = std::fs::read_to_string(history).unwrap();
        assert!(history.contains("query-version"), "{history}");
        server.end();
    }
}

#[test]
fn a_transaction_has_a_prompt_and_can_be_given_up() {
    let server = Server::start();
    let mut person = Person::at(&server, 80, &[]);
    for lines in ["transaction(\r", "abort\r"] {
        person.types(lines);
        person.sees("TRANS> ");
    }
    person.types("\x03");
    person.sees("(QMP) ");
    person.types("transaction(\r");
    person.sees("TRANS> ");
    person.types(")\r");
    person.sees("CommandNotFound: The command transaction has not been found");
    person.sees("(QMP) ");
    person.types("\x04");
    assert!(person.child.wait().unwrap().success());
    server.end();
}

#[test]
fn arguments_of_the_human_monitor_are_completed() {
    let server = Server::start();
    let output = server.shell(
        &[],
        &["chardev-add id=ring7 backend.type=ringbuf backend.data.size=64"],
        "",
    );
    assert!(output.status.success());
    let mut person = Person::at(&server, 80, &["-H"]);
    person.sees("(qemu) ");
    person.types("ringbuf_wr\tri\thello\r");
    person.sees("(qemu) ");
    person.types("ringbuf_read ri\t9\r");
    person.sees("\nhello");
    person.sees("(qemu) ");
    person.types("\x04");
    assert!(person.child.wait().unwrap().success());
    server.end();
}
