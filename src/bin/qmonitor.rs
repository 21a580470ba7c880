//! The program `qmonitor`: a small machine and its monitors, under QEMU's options.

use std::process::ExitCode;

use qmonitor::InheritedFds;

#[allow(unsafe_code)]
fn main() -> ExitCode {
    // SAFETY: nothing has been opened yet.
    let inherited = unsafe { InheritedFds::at_start() };
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    qmonitor::machine::vl::main(&args, inherited)
}
