//! The program `qmonitor`: a small machine and its monitors, under QEMU's options.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    qmonitor_machine::vl::main(&args)
}
