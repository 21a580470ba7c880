//! A server that the shell starts itself and ends with the session.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A started program and the connection to its monitor.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts a program that takes QEMU's options, or those of its storage daemon. Its
    /// standard input is the monitor's connection: the terminal's is the shell's.
    pub fn start(words: &[String]) -> Result<(Program, UnixStream), String> {
        let (program, arguments) = words.split_first().ok_or("no program")?;
        let failed = |e| format!("{program}: {e}");
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new(program)
            .args(monitor_options(program))
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // ^C is for the line that is typed.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok((Program { child }, ours))
    }

    /// Waits for the end, which the caller has asked for.
    pub fn wait(mut self) -> Result<ExitStatus, String> {
        self.child.wait().map_err(|e| e.to_string())
    }
}

impl Drop for Program {
    /// If it was not asked to end, the session did not begin.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A monitor on descriptor 0. A daemon's chardev comes before its monitor.
fn monitor_options(program: &str) -> [&'static str; 4] {
    let name = Path::new(program).file_name().unwrap_or_default();
    let chardev = "socket,id=qmonitor-shell,fd=0";
    if name.to_string_lossy().contains("storage-daemon") {
        ["--chardev", chardev, "--monitor", "qmonitor-shell"]
    } else {
        [
            "-chardev",
            chardev,
            "-mon",
            "chardev=qmonitor-shell,mode=control",
        ]
    }
}
