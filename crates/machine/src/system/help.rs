//! The options that only print something: `-help`, `-version`, `-machine help`.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use super::cli::{self, Opt};
use qmonitor::chardev::qemu_chardev_opts;
use qmonitor::monitor::version;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Profile;

const EMULATOR: &str = "QEMU emulator";

/// Prints what was asked for, and returns the exit status: a failure if it cannot be
/// written, so that scripts notice. QEMU ends with success. A reader that has seen enough
/// is no failure.
pub(super) fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Carries out an option that only prints something, and returns the exit status.
pub(super) fn print_and_end(
    program: &str,
    profile: Profile,
    opt: Opt,
    arg: Option<&str>,
    backends: &[&str],
    user_types: impl FnOnce() -> Vec<&'static str>,
) -> Option<ExitCode> {
    let help = arg.is_some_and(|a| matches!(a, "help" | "?"));
    let mut status = ExitCode::SUCCESS;
    let text = match opt {
        Opt::Help => format!(
            "{}\n{}",
            version_line(EMULATOR, profile),
            cli::help(program)
        ),
        Opt::Version => version_line(EMULATOR, profile),
        Opt::Chardev => {
            let options = arg.and_then(|arg| qemu_chardev_opts(profile).help_wanted(arg));
            // QEMU ends with an error after this help.
            status = options.as_ref().map_or(status, |_| ExitCode::FAILURE);
            options.or_else(|| backend_help(profile, arg?, backends))?
        }
        Opt::Object if help => list("List of user creatable objects:", &user_types()),
        Opt::Machine if help => crate::model::board::machine_help(profile, program),
        Opt::Accel if help || arg.is_some_and(names_no_accelerator) => {
            "Accelerators supported in QEMU binary:\ntcg\n".to_owned()
        }
        Opt::Netdev if help => format!("Available netdev backend types:\n{}\n", NETDEVS.join("\n")),
        Opt::Audiodev if help => {
            format!("Available audio drivers:\n{}\n", AUDIO_DRIVERS.join("\n"))
        }
        Opt::Tpmdev if help => {
            status = ExitCode::FAILURE;
            super::tpm::TYPES.to_owned()
        }
        Opt::Cpu if help => crate::model::cpu::models::help(profile),
        Opt::Trace if help => {
            let names = qmonitor::trace::ALL.iter().map(|e| format!("{}\n", e.name));
            names.collect()
        }
        Opt::LogItems if help => {
            // QEMU ends with an error after this help, too.
            status = ExitCode::FAILURE;
            crate::commands::log_items("-d")
        }
        _ => return None,
    };
    let printed = print(&text);
    Some(if status == ExitCode::SUCCESS {
        printed
    } else {
        status
    })
}

/// What `-netdev help` lists.
const NETDEVS: &[&str] = &[
    "socket",
    "stream",
    "dgram",
    "hubport",
    "tap",
    "user",
    "l2tpv3",
    "vde",
    "bridge",
    "vhost-user",
    "vhost-vdpa",
];

/// What `-audiodev help` lists: the drivers that are no modules.
const AUDIO_DRIVERS: &[&str] = &["none", "alsa", "oss", "wav"];

/// Whether the argument of `-accel` has properties only. QEMU then lists the accelerators.
fn names_no_accelerator(arg: &str) -> bool {
    let first = arg.split(',').next().unwrap_or_default();
    first.contains('=') && !arg.split(',').any(|word| word.starts_with("accel="))
}

/// The text of `-chardev help`.
fn backend_help(profile: Profile, arg: &str, backends: &[&str]) -> Option<String> {
    let opts = QemuOpts::parse(qemu_chardev_opts(profile), arg, &mut Vec::new()).ok()?;
    matches!(opts.get("backend"), Some("help" | "?"))
        .then(|| list("Available chardev backend types: ", backends))
}

/// The line that clients look for to learn the version.
pub(super) fn version_line(name: &str, profile: Profile) -> String {
    format!(
        "{name} version {} ({})\n",
        profile.version(),
        version::PACKAGE
    )
}

fn list(title: &str, names: &[&str]) -> String {
    let lines = names.iter().map(|n| format!("  {n}\n"));
    format!("{title}\n{}", lines.collect::<String>())
}
