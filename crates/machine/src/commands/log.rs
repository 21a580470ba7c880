//! The log: HMP only.

use super::hmp::Cx;
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;

/// The items that QEMU logs. This machine has only the trace events, but accepts all
/// names, so that scripts work.
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

/// The HMP commands.
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

/// The text of `help log`, and of `-d help` with `-d` for the option.
pub(crate) fn log_items(option: &str) -> String {
    let mut text = "Log items (comma separated):\n".to_owned();
    // Only the monitor can switch off what is on.
    let off = (option != "-d").then_some(&("none", "remove all logs"));
    let trace = [("trace:PATTERN", "enable trace events")];
    for (name, about) in off.into_iter().chain(LOG_ITEMS).chain(&trace) {
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

/// Items to log, as `log` and `-d` take them.
pub(crate) struct LogItems<'t> {
    /// Patterns of trace events.
    traces: Vec<&'t str>,
    /// Each thread has a file of its own.
    pub(crate) per_thread: bool,
}

impl<'t> LogItems<'t> {
    /// Reads a list; `None` if an item does not exist.
    pub(crate) fn read(text: &'t str) -> Option<Self> {
        let mut items = LogItems {
            traces: Vec::new(),
            per_thread: false,
        };
        if text == "none" {
            return Some(items);
        }
        let known = |item: &str| LOG_ITEMS.iter().any(|(name, _)| *name == item);
        for item in text.split(',') {
            match item.strip_prefix("trace:") {
                Some(pattern) if !pattern.is_empty() => items.traces.push(pattern),
                None if known(item) || item == "all" => {
                    items.per_thread |= matches!(item, "tid" | "all");
                }
                _ => return None,
            }
        }
        Some(items)
    }

    /// Switches the trace events on. Returns a warning for each that does not exist.
    pub(crate) fn switch_on(&self) -> Vec<Error> {
        let traces = self.traces.iter();
        let results = traces.map(|pattern| qmonitor::trace::enable_events(pattern));
        results.filter_map(Result::err).collect()
    }
}

fn hmp_log(hmp: Cx, args: &HmpArgs) {
    let Some(items) = LogItems::read(args.str("items")) else {
        return hmp.print(log_items("log"));
    };
    for warning in items.switch_on() {
        hmp.print(format!("warning: {}\n", warning.desc()));
    }
    let log = &mut hmp.rt.state.log;
    let result = log.check_threads(items.per_thread);
    let result = result.and_then(|()| log.reopen());
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
