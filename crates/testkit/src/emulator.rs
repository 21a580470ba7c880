//! The mock as a fake `qemu-system-x86_64`: it records how it was called, and serves QMP as its
//! options say.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QObject};

use crate::options::{chosen, Serve};

/// The options that are carried out; others are recorded only. All have an argument except those
/// with a dash behind their name.
const SERVED: &[&str] = &[
    "chardev",
    "mon",
    "qmp",
    "qmp-pretty",
    "monitor",
    "name",
    "uuid",
    "pidfile",
    "daemonize-",
    "add-fd",
    "S-",
    "nodefaults-",
    "no-user-config-",
    "preconfig-",
    "no-shutdown-",
    "no-reboot-",
];

/// Options of QEMU that have no argument, so that the next word is not taken for one.
const BARE: &[&str] = &[
    "enable-kvm",
    "nographic",
    "snapshot",
    "full-screen",
    "no-quit",
    "usb",
    "no-hpet",
    "no-acpi",
    "only-migratable",
    "singlestep",
    "s",
    "no-fd-bootchk",
    "portrait",
    "win2k-hack",
];

/// Puts the fake emulator into a directory, and returns its path.
///
/// # Errors
///
/// A message.
pub fn install(dir: &str, serve: &Serve) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("--as-qemu {dir}: {e}");
    fs::create_dir_all(dir).map_err(failed)?;
    let dir = fs::canonicalize(dir).map_err(failed)?;
    let own = std::env::current_exe().map_err(failed)?;
    let scenario = match serve.scenario.as_str() {
        "-" => PathBuf::from("-"),
        path => fs::canonicalize(path).map_err(|e| format!("{path}: {e}"))?,
    };
    let path = dir.join("qemu-system-x86_64");
    let shown = |path: &Path| path.display().to_string();
    let mut words = vec![shown(&own), "--emulate".to_owned(), shown(&dir)];
    words.push(shown(&scenario));
    words.extend(chosen(serve, serve.seed));
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let script = format!("#!/bin/sh\nexec {} -- \"$@\"\n", words.join(" "));
    fs::write(&path, script).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(path.display().to_string())
}

/// A word as a shell reads it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A launch of the fake emulator.
#[derive(Clone)]
pub struct Launch {
    /// Its command line, without the program's name.
    pub argv: Vec<String>,
    /// The path of its control socket.
    pub control: String,
    /// Where it leaves its verdict.
    verdict: PathBuf,
}

impl Launch {
    /// Leaves what is told of expectations that did not hold, for those who did not start the
    /// emulator: an empty file if all held.
    ///
    /// # Errors
    ///
    /// A message.
    pub fn conclude(&self, verdict: &str) -> Result<(), String> {
        // Whole when it is there.
        let mut draft = self.verdict.clone().into_os_string();
        draft.push(".draft");
        let written = fs::write(&draft, verdict).and_then(|()| fs::rename(&draft, &self.verdict));
        written.map_err(|e| format!("{}: {e}", self.verdict.display()))
    }
}

/// Records a launch.
///
/// # Errors
///
/// A message.
pub fn record(dir: &str, argv: Vec<String>) -> Result<Launch, String> {
    let path = Path::new(dir).join("argv.jsonl");
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .map_err(failed)?;
    // Several may be launched at once.
    let mut file: Flock<File> =
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    let n = text.lines().count() + 1;
    let words = argv.iter().map(|word| QObject::from(word.as_str()));
    let mut line = QDict::new();
    line.insert("n", n as i64);
    line.insert("pid", i64::from(std::process::id()));
    line.insert("argv", QObject::List(words.collect()));
    let line = qobject_to_json(&line.into(), false) + "\n";
    file.write_all(line.as_bytes()).map_err(failed)?;
    let at = |name: &str| Path::new(dir).join(format!("{name}.{n}"));
    Ok(Launch {
        argv,
        control: at("control").display().to_string(),
        verdict: at("verdict"),
    })
}

/// The options that are carried out.
///
/// # Errors
///
/// It is no error, but the text that is printed before the emulator ends: its version.
pub fn options(argv: &[String]) -> Result<Vec<String>, String> {
    let mut served = Vec::new();
    let mut words = argv.iter().peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            continue;
        };
        if name == "version" {
            return Err("QEMU emulator version 10.0.2\n".to_owned());
        }
        if SERVED.contains(&name) {
            served.push(word.clone());
            served.extend(words.next().cloned());
        } else if SERVED
            .iter()
            .any(|known| known.strip_suffix('-') == Some(name))
        {
            served.push(word.clone());
        } else if !BARE.contains(&name) {
            words.next_if(|next| !next.starts_with('-'));
        }
    }
    Ok(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_monitors_is_carried_out() {
        let line =
            "-enable-kvm -m 512 -qmp unix:/q,server,nowait -drive file=x -S --name n disk.img";
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let served = options(&words).unwrap();
        assert_eq!(
            served,
            ["-qmp", "unix:/q,server,nowait", "-S", "--name", "n"]
        );
        let version = options(&["-version".to_owned()]).unwrap_err();
        assert!(version.contains("10.0.2"));
    }
}
