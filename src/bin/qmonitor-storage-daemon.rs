//! The program `qmonitor-storage-daemon`: monitors without a machine, under the
//! options of QEMU's storage daemon.

use std::process::ExitCode;

use qmonitor::InheritedFds;

#[allow(unsafe_code)]
fn main() -> ExitCode {
    // SAFETY: nothing has been opened yet.
    let inherited = unsafe { InheritedFds::at_start() };
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    qmonitor::machine::storage_daemon::main(&args, inherited)
}
