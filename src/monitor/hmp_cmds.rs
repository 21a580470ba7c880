//! HMP commands that every monitor has. Each calls its QMP twin and prints the
//! result.

use super::hmp::run::print_stdout;
use super::hmp::ArgKind::*;
use super::hmp::{CompletionKind, Hmp, HmpArg, HmpArgs, HmpPair, HmpRow, HmpTable, HmpTables};
use super::schema::{
    CharCommands, ControlCommands, DataFormat, FdsCommands, TraceCommands, TraceEventState,
    VersionInfo,
};
use crate::chardev::{self, ChardevAdded};
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// `info` without a word behind it lists its sub-commands.
const INFO: HmpRow = HmpRow::new(
    "info",
    "[subcommand]",
    "show various information about the system state",
)
.preconfig()
.read_only();

impl<S> HmpTables<S> {
    /// The commands that every monitor has, but for `info`.
    const COMMANDS: &'static [HmpPair<S>] = &[
        (
            HmpRow::new("chardev-add", "args", "add chardev")
                .args(&[HmpArg::new("args", Str).completes(CompletionKind::ChardevTypes)]),
            hmp_chardev_add,
        ),
        (
            HmpRow::new("chardev-change", "id args", "change chardev").args(&[
                HmpArg::new("id", Str).completes_in_full(CompletionKind::ChardevIds),
                HmpArg::new("args", Str).completes_in_full(CompletionKind::ChardevTypes),
            ]),
            hmp_chardev_change,
        ),
        (
            HmpRow::new("chardev-remove", "id", "remove chardev")
                .args(&[HmpArg::new("id", Str).completes(CompletionKind::ChardevIds)]),
            hmp_chardev_remove,
        ),
        (
            HmpRow::new("chardev-send-break", "id", "send a break on chardev")
                .args(&[HmpArg::new("id", Str).completes(CompletionKind::ChardevIds)]),
            hmp_chardev_send_break,
        ),
        (
            HmpRow::new(
                "closefd",
                "closefd name",
                "close a file descriptor previously passed via SCM rights",
            )
            .args(&[HmpArg::new("name", Str)])
            .preconfig(),
            hmp_closefd,
        ),
        (
            HmpRow::new(
                "getfd",
                "getfd name",
                "receive a file descriptor via SCM rights and assign it a name",
            )
            .args(&[HmpArg::new("name", Str)])
            .preconfig(),
            hmp_getfd,
        ),
        (
            HmpRow::new("help|?", "[cmd]", "show the help")
                .args(&[HmpArg::new("cmd", RestOfLine)
                    .optional()
                    .completes(CompletionKind::Commands)])
                .preconfig()
                .read_only(),
            hmp_help,
        ),
        (
            HmpRow::new("quit|q", "", "quit the emulator").preconfig(),
            hmp_quit,
        ),
        (
            HmpRow::new(
                "ringbuf_read",
                "device size",
                "Read from a ring buffer character device",
            )
            .args(&[
                HmpArg::new("device", Str).completes(CompletionKind::Ringbufs),
                HmpArg::new("size", Int32),
            ]),
            hmp_ringbuf_read,
        ),
        (
            HmpRow::new(
                "ringbuf_write",
                "device data",
                "Write to a ring buffer character device",
            )
            .args(&[
                HmpArg::new("device", Str).completes(CompletionKind::Ringbufs),
                HmpArg::new("data", Str),
            ]),
            hmp_ringbuf_write,
        ),
        (
            HmpRow::new(
                "trace-event",
                "name on|off [vcpu]",
                "changes status of a specific trace event (vcpu: vCPU to set, default is all)",
            )
            .args(&[
                HmpArg::new("name", Str).completes(CompletionKind::TraceEvents),
                HmpArg::new("state", OnOff),
                HmpArg::new("vcpu", Int32).optional(),
            ]),
            hmp_trace_event,
        ),
    ];

    /// The sub-commands of `info` that every monitor has.
    const INFO_COMMANDS: &'static [HmpPair<S>] = &[
        (
            HmpRow::new("chardev", "", "show the character devices").preconfig(),
            hmp_info_chardev,
        ),
        (
            HmpRow::new("history", "", "show the command line history").preconfig(),
            hmp_info_history,
        ),
        (
            HmpRow::new(
                "trace-events",
                "[name] [vcpu]",
                "show available trace-events & their state (name: event name pattern; vcpu: \
         vCPU to query, default is any)",
            )
            .args(&[
                HmpArg::new("name", Str)
                    .optional()
                    .completes(CompletionKind::TraceEvents),
                HmpArg::new("vcpu", Int32).optional(),
            ]),
            hmp_info_trace_events,
        ),
        (
            HmpRow::new("version", "", "show the version of QEMU").preconfig(),
            hmp_info_version,
        ),
    ];

    /// Adds these commands to a table without any.
    pub(crate) fn add_common_commands(&mut self) {
        let mut info = HmpTable::new();
        info.extend(Self::INFO_COMMANDS.iter().copied());
        self.table.add_group(INFO, hmp_info_help, info);
        self.table.extend(Self::COMMANDS.iter().copied());
    }
}

fn print_help<S>(hmp: &mut Hmp<'_, S>, topic: &[u8]) {
    match hmp.rt.hmp.help(topic, hmp.rt.preconfig()) {
        Ok(text) => hmp.print(text),
        Err(stdout) => print_stdout(&stdout),
    }
}

fn hmp_help<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    print_help(hmp, args.try_bytes("cmd").unwrap_or_default());
}

fn hmp_info_help<S>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    print_help(hmp, b"info");
}

fn hmp_quit<S>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let result = S::qmp_quit(hmp.rt);
    hmp.handle_error(result);
}

/// Parses chardev options the way a monitor does: an error in the list itself is
/// printed plainly, and the command then fails with a text of its own.
fn parse_chardev_args<S>(hmp: &mut Hmp<'_, S>, text: &str) -> Option<QemuOpts> {
    let mut warnings = Vec::new();
    let opts = hmp
        .rt
        .chardevs
        .split_opts(hmp.rt.profile(), text, &mut warnings);
    for w in warnings {
        hmp.print(format!("warning: {}\n{}", w.desc(), w.hint()));
    }
    match opts {
        Ok(opts) => Some(opts),
        Err(e) => {
            hmp.print(format!("{}\n{}", e.desc(), e.hint()));
            hmp.handle_error(Err::<(), _>(Error::new("Parsing chardev args failed")));
            None
        }
    }
}

fn hmp_chardev_add<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let list = chardev::qemu_chardev_opts(hmp.rt.profile());
    if let Some(text) = list.help_wanted(args.str("args")) {
        // The option parser prints it, so it does not go to the monitor.
        print_stdout(text.as_bytes());
        hmp.handle_error(Err::<(), _>(Error::new("Parsing chardev args failed")));
        return;
    }
    let Some(opts) = parse_chardev_args(hmp, args.str("args")) else {
        return;
    };
    if matches!(opts.get("backend"), Some("help" | "?")) {
        let backends = hmp.rt.chardevs.backends();
        let types = backends.iter().map(|name| format!("  {name}\n"));
        hmp.print("Available chardev backend types: \n");
        return hmp.print(types.collect::<String>());
    }
    let result = hmp
        .rt
        .chardevs
        .parse_opts(&opts)
        .and_then(|(label, config)| {
            if chardev::qemu_chr_find(hmp.rt, &label).is_some() {
                return Err(Error::new(format!(
                    "attempt to add duplicate property '{label}' to object (type 'container')"
                )));
            }
            chardev::chardev_add(hmp.rt, &label, config)
        });
    finish_chardev(hmp, result);
}

/// Says where a new pseudo terminal is, or why there is no chardev.
fn finish_chardev<S>(hmp: &mut Hmp<'_, S>, result: Result<ChardevAdded, Error>) {
    if let Some(text) = result
        .as_ref()
        .ok()
        .and_then(|added| added.redirected(hmp.rt))
    {
        hmp.print(text + "\n");
    }
    hmp.handle_error(result);
}

fn hmp_chardev_change<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let id = args.str("id");
    let Some(opts) = parse_chardev_args(hmp, args.str("args")) else {
        return;
    };
    let result = if opts.id().is_some() {
        Err(Error::new("Unexpected 'id' parameter"))
    } else if opts.get("backend").is_none() {
        // QEMU finds the fault before the options have an id.
        Err(Error::new("chardev: \"(null)\" missing backend"))
    } else {
        hmp.rt
            .chardevs
            .parse_opts(&opts.under_id(id))
            .and_then(|(_, config)| chardev::chardev_change(hmp.rt, id, config))
    };
    finish_chardev(hmp, result);
}

fn hmp_chardev_remove<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_chardev_remove(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

fn hmp_chardev_send_break<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_chardev_send_break(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

fn hmp_ringbuf_write<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let device = args.str("device").to_owned();
    let data = args.str("data").to_owned();
    let result = S::qmp_ringbuf_write(hmp.rt, device, data, None);
    hmp.handle_error(result);
}

fn hmp_ringbuf_read<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let device = args.str("device").to_owned();
    let format = Some(DataFormat::Utf8);
    let result = S::qmp_ringbuf_read(hmp.rt, device, args.int("size"), format);
    if let Some(data) = hmp.handle_error(result) {
        let mut text = String::new();
        for c in data.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if (c < ' ' && c != '\n' && c != '\t') || c == '\x7f' => {
                    text.push_str(&format!("\\u{:04X}", u32::from(c)));
                }
                c => text.push(c),
            }
        }
        hmp.print(text);
        hmp.print("\n");
    }
}

fn hmp_getfd<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_getfd(hmp.rt, args.str("name").to_owned());
    hmp.handle_error(result);
}

fn hmp_closefd<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_closefd(hmp.rt, args.str("name").to_owned());
    hmp.handle_error(result);
}

fn hmp_trace_event<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let name = args.str("name").to_owned();
    let result = S::qmp_trace_event_set_state(hmp.rt, name, args.bool("state"), Some(true));
    if let Err(e) = result {
        hmp.print(format!("{e}\n"));
    }
}

fn hmp_info_trace_events<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let name = args.try_str("name").unwrap_or("*").to_owned();
    match S::qmp_trace_event_get_state(hmp.rt, name) {
        Ok(events) => {
            for event in events {
                let state = u8::from(event.state == TraceEventState::Enabled);
                hmp.print(format!("{} : state {state}\n", event.name));
            }
        }
        Err(e) => hmp.print(format!("{e}\n")),
    }
}

fn hmp_info_chardev<S>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let result = S::qmp_query_chardev(hmp.rt);
    for info in hmp.handle_error(result).unwrap_or_default() {
        hmp.print(format!("{}: filename={}\n", info.label, info.filename));
    }
}

fn hmp_info_history<S>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let session = hmp.monitor.and_then(|id| hmp.rt.monitors.hmp_mut(id));
    let lines = session.map(|s| s.history()).unwrap_or_default();
    for (i, line) in lines.iter().enumerate() {
        hmp.print(format!("{i}: '"));
        hmp.print(line);
        hmp.print("'\n");
    }
}

fn hmp_info_version<S>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let VersionInfo { qemu, package } = hmp.rt.version_info();
    hmp.print(format!(
        "{}.{}.{}{package}\n",
        qemu.major, qemu.minor, qemu.micro
    ));
}
