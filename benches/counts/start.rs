//! The whole program from its start to the greeting of its first client.

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::callgrind;
use super::process::{connect, read_lines, Server};
use super::row::Row;

pub fn row() -> Vec<Row> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (profile, socket) = (dir.path().join("profile"), dir.path().join("q"));
    let program = Path::new(env!("CARGO_BIN_EXE_qmonitor"));
    let mut valgrind = callgrind::command(&[], &profile, program);
    valgrind.args(["-nodefaults", "-qmp"]);
    valgrind.arg(format!("unix:{},server=on,wait=off", socket.display()));
    // It says by which signal it ends.
    valgrind.stderr(Stdio::null());
    let mut server = Server::start(valgrind, socket);
    read_lines(&mut connect(&server.socket), 1);
    // Callgrind writes its file when the program ends.
    let pid = Pid::from_raw(server.child.id().try_into().expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("a signal");
    server.child.wait().expect("the program ends");
    let counted = callgrind::read(&profile);
    vec![Row {
        name: "start to greeting".to_owned(),
        instructions: counted[0].instructions as f64,
        allocations: None,
        system_calls: counted[0].system_calls as f64,
    }]
}
