//! The program `qmonitor-storage-daemon`: monitors without a machine, under the
//! options of QEMU's storage daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    qmonitor_machine::storage_daemon::main(&args)
}
