//! HMP commands that every monitor has, whatever it monitors. Each calls its
//! QMP twin and prints the result.

use super::hmp::context::{print_stdout, Hmp};
use super::hmp::session::HmpHandler;
use super::hmp::HmpArgs;
use super::schema::{
    CharCommands, ControlCommands, DataFormat, FdsCommands, TraceCommands, TraceEventState,
};
use crate::chardev::opts::QemuOpts;
use crate::chardev::{self, ChardevAdded, QEMU_CHARDEV_OPTS};
use crate::qapi::Error;

/// The function of a command, by the name in its row; sub-commands of `info`
/// have `info ` in front.
pub(crate) fn handler<S: 'static>(name: &str) -> Option<HmpHandler<S>> {
    Some(match name {
        "help" => hmp_help,
        "info" => hmp_info_help,
        "quit" => hmp_quit,
        "chardev-add" => hmp_chardev_add,
        "chardev-change" => hmp_chardev_change,
        "chardev-remove" => hmp_chardev_remove,
        "chardev-send-break" => hmp_chardev_send_break,
        "ringbuf_read" => hmp_ringbuf_read,
        "ringbuf_write" => hmp_ringbuf_write,
        "getfd" => hmp_getfd,
        "closefd" => hmp_closefd,
        "trace-event" => hmp_trace_event,
        "info chardev" => hmp_info_chardev,
        "info history" => hmp_info_history,
        "info trace-events" => hmp_info_trace_events,
        "info version" => hmp_info_version,
        _ => return None,
    })
}

fn print_help<S: 'static>(hmp: &mut Hmp<'_, S>, topic: &[u8]) {
    match hmp.rt.hmp.help(topic, hmp.rt.preconfig()) {
        Ok(text) => hmp.print(text),
        Err(stdout) => print_stdout(&stdout),
    }
}

fn hmp_help<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    print_help(hmp, args.try_bytes("cmd").unwrap_or_default());
}

fn hmp_info_help<S: 'static>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    print_help(hmp, b"info");
}

fn hmp_quit<S: 'static>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let result = S::qmp_quit(hmp.rt);
    hmp.handle_error(result);
}

/// Parses chardev options the way a monitor does: what is wrong with the list
/// itself is printed plainly, and the command then fails with a text of its own.
fn parse_chardev_args<S: 'static>(hmp: &mut Hmp<'_, S>, text: &str) -> Option<QemuOpts> {
    let mut warnings = Vec::new();
    let opts = hmp.rt.chardevs.split_opts(text, &mut warnings);
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

fn hmp_chardev_add<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    if let Some(text) = QEMU_CHARDEV_OPTS.help_wanted(args.str("args")) {
        // Not to the monitor: it is the option parser that prints it.
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
fn finish_chardev<S: 'static>(hmp: &mut Hmp<'_, S>, result: Result<ChardevAdded, Error>) {
    if let Some(text) = result
        .as_ref()
        .ok()
        .and_then(|added| added.redirected(hmp.rt))
    {
        hmp.print(text + "\n");
    }
    hmp.handle_error(result);
}

fn hmp_chardev_change<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let id = args.str("id");
    let Some(opts) = parse_chardev_args(hmp, args.str("args")) else {
        return;
    };
    let result = if opts.id().is_some() {
        Err(Error::new("Unexpected 'id' parameter"))
    } else if opts.get("backend").is_none() {
        // The options have no id yet where QEMU notices.
        Err(Error::new("chardev: \"(null)\" missing backend"))
    } else {
        hmp.rt
            .chardevs
            .parse_opts(&opts.under_id(id))
            .and_then(|(_, config)| chardev::chardev_change(hmp.rt, id, config))
    };
    finish_chardev(hmp, result);
}

fn hmp_chardev_remove<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_chardev_remove(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

fn hmp_chardev_send_break<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_chardev_send_break(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

fn hmp_ringbuf_write<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let device = args.str("device").to_owned();
    let data = args.str("data").to_owned();
    let result = S::qmp_ringbuf_write(hmp.rt, device, data, None);
    hmp.handle_error(result);
}

fn hmp_ringbuf_read<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
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

fn hmp_getfd<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_getfd(hmp.rt, args.str("name").to_owned());
    hmp.handle_error(result);
}

fn hmp_closefd<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let result = S::qmp_closefd(hmp.rt, args.str("name").to_owned());
    hmp.handle_error(result);
}

fn hmp_trace_event<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let name = args.str("name").to_owned();
    let result = S::qmp_trace_event_set_state(hmp.rt, name, args.bool("state"), Some(true));
    if let Err(e) = result {
        hmp.print(format!("{e}\n"));
    }
}

fn hmp_info_trace_events<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
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

fn hmp_info_chardev<S: 'static>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let result = S::qmp_query_chardev(hmp.rt);
    for info in hmp.handle_error(result).unwrap_or_default() {
        hmp.print(format!("{}: filename={}\n", info.label, info.filename));
    }
}

fn hmp_info_history<S: 'static>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let session = hmp.monitor.and_then(|id| hmp.rt.monitors.hmp_mut(id));
    let lines = session.map(|s| s.history()).unwrap_or_default();
    for (i, line) in lines.iter().enumerate() {
        hmp.print(format!("{i}: '"));
        hmp.print(line);
        hmp.print("'\n");
    }
}

fn hmp_info_version<S: 'static>(hmp: &mut Hmp<'_, S>, _args: &HmpArgs) {
    let result = S::qmp_query_version(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        let q = info.qemu;
        hmp.print(format!(
            "{}.{}.{}{}\n",
            q.major, q.minor, q.micro, info.package
        ));
    }
}
