//! `-tpmdev`: what a TPM of the machine would be: one of the host, or another program behind
//! a chardev. Nothing talks to it, so it is checked and kept.

use super::cli::Opt;
use super::report::{Failure, Pending};
use crate::Machine;
use qmonitor::chardev::ChardevHost;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{QemuOpts, QemuOptsList};
use qmonitor::Runtime;

static TPMDEV_OPTS: QemuOptsList = QemuOptsList {
    name: "tpmdev",
    implied_opt_name: Some("type"),
    desc: &[],
    extensions: &[],
};

pub(super) const TYPES: &str =
    "Supported TPM types (choose only one):\n passthrough   Passthrough TPM \
                     backend driver\n    emulator   TPM emulator backend driver\n";

/// Checks all, and tells the machine their names.
pub(super) fn make_tpms(rt: &mut Runtime<Machine>, pending: &[Pending]) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Tpmdev) {
        let opts = QemuOpts::parse(&TPMDEV_OPTS, &item.arg, &mut Vec::new());
        let made = opts.and_then(|opts| check(rt, &opts));
        let id = made.map_err(|e| item.failed(e))?;
        rt.state.host.tpms.push(id);
    }
    Ok(())
}

fn check(rt: &Runtime<Machine>, opts: &QemuOpts) -> Result<String, Error> {
    let id = opts
        .id()
        .ok_or_else(|| Error::new("Parameter 'id' is missing"))?;
    let known: &[&str] = match opts.get("type") {
        Some("emulator") => &["chardev"],
        Some("passthrough") => &["path", "cancel-path"],
        _ => return Err(Error::new("Parameter 'type' expects a TPM backend type").with_hint(TYPES)),
    };
    let mut names = opts.iter().map(|(name, _)| name);
    if let Some(name) = names.find(|name| *name != "type" && !known.contains(name)) {
        return Err(Error::new(format!("Invalid parameter '{name}'")));
    }
    match opts.get("type") {
        Some("emulator") => check_emulator(rt, opts)?,
        _ => check_passthrough(opts.get("path").unwrap_or("/dev/tpm0"))?,
    }
    Ok(id.to_owned())
}

fn check_emulator(rt: &Runtime<Machine>, opts: &QemuOpts) -> Result<(), Error> {
    let Some(label) = opts.get("chardev") else {
        return Err(Error::new("tpm-emulator: parameter 'chardev' is missing"));
    };
    match rt.chardevs().find(label) {
        Some(_) => Ok(()),
        None => Err(Error::new(format!(
            "tpm-emulator: tpm chardev '{label}' not found"
        ))),
    }
}

fn check_passthrough(path: &str) -> Result<(), Error> {
    let what = || format!("Cannot access TPM device using '{path}'");
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    opened.map_err(|e| Error::from_io(what(), &e))?;
    if path.contains("tpm") {
        return Ok(());
    }
    Err(Error::new(format!("'{path}' is not a TPM device.")))
}
