//! HMP commands about the log.

use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "log",
            "item1[,...]",
            "activate logging of the specified items",
        )
        .args(&[HmpArg::new("items", Str).completes_in_full(CompletionKind::LogItems)]),
        hmp_log,
    ),
    (
        HmpRow::new("logfile", "filename", "output logs to 'filename'")
            .args(&[HmpArg::new("filename", File)]),
        hmp_logfile,
    ),
];

/// The items that QEMU logs. None of them exists in this machine but the trace
/// events; the names are accepted, so that scripts work.
const LOG_ITEMS: &[(&str, &str)] = &[
    (
        "out_asm",
        "show generated host assembly code for each compiled TB",
    ),
    ("in_asm", "show target assembly code for each compiled TB"),
    ("op", "show micro ops for each compiled TB"),
    ("op_opt", "show micro ops after optimization"),
    ("op_ind", "show micro ops before indirect lowering"),
    ("op_plugin", "show micro ops before plugin injection"),
    ("int", "show interrupts/exceptions in short format"),
    ("exec", "show trace before each executed TB (lots of logs)"),
    (
        "cpu",
        "show CPU registers before entering a TB (lots of logs)",
    ),
    ("fpu", "include FPU registers in the 'cpu' logging"),
    ("mmu", "log MMU-related activities"),
    (
        "pcall",
        "x86 only: show protected mode far calls/returns/exceptions",
    ),
    ("cpu_reset", "show CPU state before CPU resets"),
    ("unimp", "log unimplemented functionality"),
    (
        "guest_errors",
        "log when the guest OS does something invalid (eg accessing a\nnon-existent register)",
    ),
    ("page", "dump pages at beginning of user mode emulation"),
    (
        "nochain",
        "do not chain compiled TBs so that \"exec\" and \"cpu\" show\ncomplete traces",
    ),
    ("plugin", "output from TCG plugins"),
    (
        "strace",
        "log every user-mode syscall, its input, and its result",
    ),
    (
        "tid",
        "open a separate log file per thread; filename must contain '%d'",
    ),
    ("vpu", "include VPU registers in the 'cpu' logging"),
    ("invalid_mem", "log invalid memory accesses"),
];

/// What `help log` prints, and `-d help`, where the option is called `-d`.
pub(crate) fn log_items(option: &str) -> String {
    let mut text = "Log items (comma separated):\n".to_owned();
    let rows = [("none", "remove all logs")];
    let trace = [("trace:PATTERN", "enable trace events")];
    for (name, about) in rows.iter().chain(LOG_ITEMS).chain(&trace) {
        text.push_str(&format!("{name:<15} {about}\n"));
    }
    text.push_str(&format!(
        "\nUse \"{option} trace:help\" to get a list of trace events.\n\n"
    ));
    text
}

/// Completes the last of several items.
pub(super) fn complete_items(word: &[u8]) -> Vec<String> {
    let word = String::from_utf8_lossy(word);
    let before = word.rfind(',').map_or("", |comma| &word[..=comma]);
    let names = LOG_ITEMS.iter().map(|(name, _)| *name);
    let all = names.chain(["none", "all"]).map(str::to_owned);
    let traces = qmonitor::trace::ALL.iter();
    all.chain(traces.map(|event| format!("trace:{}", event.name)))
        .map(|name| format!("{before}{name}"))
        .collect()
}

fn hmp_log(hmp: Cx, args: &HmpArgs) {
    let items = args.str("items");
    let known = |item: &str| LOG_ITEMS.iter().any(|(name, _)| *name == item);
    if items != "none" {
        for item in items.split(',') {
            match item.strip_prefix("trace:") {
                Some(pattern) => {
                    qmonitor::trace::set_enabled(pattern, true);
                }
                None if known(item) || item == "all" => {}
                None => return hmp.print(log_items("log")),
            }
        }
    }
    let result = hmp.rt.state.log.reopen();
    say(hmp, result);
}

fn hmp_logfile(hmp: Cx, args: &HmpArgs) {
    let result = hmp.rt.state.log.set_name(args.str("filename"));
    say(hmp, result);
}

fn say(hmp: Cx, result: Result<(), String>) {
    if let Err(text) = result {
        hmp.print(text + "\n");
    }
}

/// The file that the log goes to. A name that cannot be opened sticks if a log
/// file has been open before: then each further `log` tries it again.
#[derive(Debug, Default)]
pub(crate) struct LogFile {
    name: Option<String>,
    open: bool,
}

impl LogFile {
    /// Sends the log to a file of this name.
    ///
    /// # Errors
    ///
    /// The text to print. The log goes to standard error then.
    pub(crate) fn set_name(&mut self, name: &str) -> Result<(), String> {
        let opened = std::fs::File::create(name);
        self.open = opened.is_ok();
        if self.open || self.name.is_some() {
            self.name = Some(name.to_owned());
        }
        match opened {
            Ok(file) => {
                qmonitor::trace::set_output(Some(Box::new(file)));
                Ok(())
            }
            Err(e) => {
                qmonitor::trace::set_output(None);
                let reason = qmonitor::qapi::error::strerror(&e);
                Err(format!("Error opening logfile {name}: {reason}"))
            }
        }
    }

    /// Tries once more to open a file that could not be.
    fn reopen(&mut self) -> Result<(), String> {
        match self.name.clone() {
            Some(name) if !self.open => self.set_name(&name),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_sticks_once_a_file_was_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let bad = path("no/such");
        let text = format!("Error opening logfile {bad}: No such file or directory");
        let mut log = LogFile::default();
        assert_eq!(log.set_name(&bad), Err(text.clone()));
        assert_eq!(log.reopen(), Ok(()));
        assert_eq!(log.set_name(&path("log")), Ok(()));
        assert_eq!(log.reopen(), Ok(()));
        assert_eq!(log.set_name(&bad), Err(text.clone()));
        assert_eq!(log.reopen(), Err(text));
    }
}
