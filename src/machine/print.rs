//! The options that only print something: `-help`, `-version`, `-machine help`.

use std::io::Write;

use super::cli::{self, Opt};
use crate::chardev::CHARDEV_BACKENDS;
use crate::monitor::version;

/// Carries out an option that only prints something; false if it is none. What
/// cannot be printed has no reader.
pub(super) fn print_and_end(program: &str, opt: Opt, arg: Option<&str>) -> bool {
    let help = arg.is_some_and(|a| matches!(a, "help" | "?"));
    let text = match opt {
        Opt::Help => format!("{}\n{}", version_line(), cli::help(program)),
        Opt::Version => version_line(),
        Opt::Chardev if help => list("Available chardev backend types: ", CHARDEV_BACKENDS),
        Opt::Object if help => list(
            "List of user creatable objects:",
            &super::objects::user_creatable_types(),
        ),
        Opt::Machine if help => super::board::machine_help(),
        Opt::Accel if help => "Accelerators supported in QEMU binary:\ntcg\n".to_owned(),
        Opt::Cpu if help => super::cpu::models::help(),
        Opt::Trace if help => {
            let names = crate::trace::ALL.iter().map(|e| format!("{}\n", e.name));
            names.collect()
        }
        Opt::LogItems if help => super::hmp_log::log_items("-d"),
        _ => return false,
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    true
}

fn version_line() -> String {
    format!(
        "QEMU emulator version {} ({})\n",
        version::QEMU_VERSION,
        version::PACKAGE
    )
}

fn list(title: &str, names: &[&str]) -> String {
    let lines = names.iter().map(|n| format!("  {n}\n"));
    format!("{title}\n{}", lines.collect::<String>())
}
