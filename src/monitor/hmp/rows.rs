//! The commands every monitor of this library knows, as QEMU 10.0.2 declares
//! them. Names, parameters and help texts are interface: people and scripts read them.

use super::args::ArgKind::*;
use super::args::HmpArg;
use super::completion::CompletionKind;
use super::rows_info::HMP_INFO_CMDS;
use super::table::{HmpRow, HmpTable};

/// The path of an object.
pub(super) const QOM_PATH: HmpArg =
    HmpArg::new("path", Str).completes_in_full(CompletionKind::QomPaths);

const QOM_PROPERTY: HmpArg =
    HmpArg::new("property", Str).completes_in_full(CompletionKind::QomProperties);

/// The commands, in `help`'s order.
///
/// `info` is among them; its sub-commands are
/// [`HMP_INFO_CMDS`](super::HMP_INFO_CMDS).
pub const HMP_CMDS: &[HmpRow] = &[
    HmpRow::new(
        "announce_self",
        "[interfaces] [id]",
        "Trigger GARP/RARP announcements",
    )
    .args(&[
        HmpArg::new("interfaces", Str).optional(),
        HmpArg::new("id", Str).optional(),
    ]),
    HmpRow::new(
        "balloon",
        "target",
        "request VM to change its memory allocation (in MB)",
    )
    .args(&[HmpArg::new("target", MiB)]),
    HmpRow::new("chardev-add", "args", "add chardev")
        .args(&[HmpArg::new("args", Str).completes(CompletionKind::ChardevTypes)]),
    HmpRow::new("chardev-change", "id args", "change chardev").args(&[
        HmpArg::new("id", Str).completes_in_full(CompletionKind::ChardevIds),
        HmpArg::new("args", Str).completes_in_full(CompletionKind::ChardevTypes),
    ]),
    HmpRow::new("chardev-remove", "id", "remove chardev")
        .args(&[HmpArg::new("id", Str).completes(CompletionKind::ChardevIds)]),
    HmpRow::new("chardev-send-break", "id", "send a break on chardev")
        .args(&[HmpArg::new("id", Str).completes(CompletionKind::ChardevIds)]),
    HmpRow::new(
        "closefd",
        "closefd name",
        "close a file descriptor previously passed via SCM rights",
    )
    .args(&[HmpArg::new("name", Str)])
    .preconfig(),
    HmpRow::new("cont|c", "", "resume emulation"),
    HmpRow::new("cpu", "index", "set the default CPU").args(&[HmpArg::new("index", Int32)]),
    HmpRow::new(
        "device_add",
        "driver[,prop=value][,...]",
        "add device, like -device on the command line",
    )
    .args(&[HmpArg::new("device", Options("device")).completes(CompletionKind::DeviceTypes)]),
    HmpRow::new("device_del", "device", "remove device")
        .args(&[HmpArg::new("device", Str).completes(CompletionKind::DeviceIds)]),
    HmpRow::new("exit_preconfig", "", "exit the preconfig state").preconfig(),
    HmpRow::new(
        "getfd",
        "getfd name",
        "receive a file descriptor via SCM rights and assign it a name",
    )
    .args(&[HmpArg::new("name", Str)])
    .preconfig(),
    HmpRow::new("help|?", "[cmd]", "show the help")
        .args(&[HmpArg::new("cmd", RestOfLine)
            .optional()
            .completes(CompletionKind::Commands)])
        .preconfig()
        .read_only(),
    HmpRow::new("i", "/fmt addr", "I/O port read").args(&[
        HmpArg::new("fmt", Format),
        HmpArg::new("addr", Int32),
        HmpArg::new("index", DotIndex),
    ]),
    HmpRow::new(
        "info",
        "[subcommand]",
        "show various information about the system state",
    )
    .preconfig()
    .read_only(),
    HmpRow::new(
        "log",
        "item1[,...]",
        "activate logging of the specified items",
    )
    .args(&[HmpArg::new("items", Str).completes_in_full(CompletionKind::LogItems)]),
    HmpRow::new("logfile", "filename", "output logs to 'filename'")
        .args(&[HmpArg::new("filename", File)]),
    HmpRow::new(
        "memsave",
        "addr size file",
        "save to disk virtual memory dump starting at 'addr' of size 'size'",
    )
    .args(&[
        HmpArg::new("addr", Int),
        HmpArg::new("size", Int32),
        HmpArg::new("file", Str).completes_in_full(CompletionKind::Files),
    ]),
    HmpRow::new(
        "netdev_add",
        "[user|tap|socket|stream|dgram|vde|bridge|hubport|netmap|vhost-user],id=str[,\
         prop=value][,...]",
        "add host network device",
    )
    .args(&[HmpArg::new("netdev", Options("netdev")).completes(CompletionKind::NetdevTypes)])
    .preconfig(),
    HmpRow::new("netdev_del", "id", "remove host network device")
        .args(&[HmpArg::new("id", Str).completes(CompletionKind::NetdevIds)])
        .preconfig(),
    HmpRow::new("nmi", "", "inject an NMI"),
    HmpRow::new("o", "/fmt addr value", "I/O port write").args(&[
        HmpArg::new("fmt", Format),
        HmpArg::new("addr", Int32),
        HmpArg::new("value", Int32),
    ]),
    HmpRow::new(
        "object_add",
        "[qom-type=]type,id=str[,prop=value][,...]",
        "create QOM object",
    )
    .args(&[HmpArg::new("object", RestOfLine).completes(CompletionKind::ObjectTypes)])
    .preconfig(),
    HmpRow::new("object_del", "id", "destroy QOM object")
        .args(&[HmpArg::new("id", Str).completes(CompletionKind::ObjectIds)])
        .preconfig(),
    HmpRow::new(
        "one-insn-per-tb",
        "[on|off]",
        "run emulation with one guest instruction per translation block",
    )
    .args(&[HmpArg::new("option", Str)
        .optional()
        .completes_in_full(CompletionKind::OnOff)]),
    HmpRow::new(
        "pmemsave",
        "addr size file",
        "save to disk physical memory dump starting at 'addr' of size 'size'",
    )
    .args(&[
        HmpArg::new("addr", Int),
        HmpArg::new("size", Int32),
        HmpArg::new("file", Str).completes_in_full(CompletionKind::Files),
    ]),
    HmpRow::new(
        "print|p",
        "/fmt expr",
        "print expression value (use $reg for CPU register access)",
    )
    .args(&[HmpArg::new("fmt", Format), HmpArg::new("expr", Int)])
    .read_only(),
    HmpRow::new("qom-get", "path property", "print QOM property")
        .args(&[QOM_PATH, QOM_PROPERTY])
        .preconfig()
        .read_only(),
    HmpRow::new("qom-list", "path", "list QOM properties")
        .args(&[QOM_PATH.optional()])
        .preconfig()
        .read_only(),
    HmpRow::new(
        "qom-set",
        "[-j] path property value",
        "set QOM property.\n\t\t\t-j: the value is specified in json format.",
    )
    .args(&[
        HmpArg::new("json", Flag('j')),
        QOM_PATH,
        QOM_PROPERTY,
        HmpArg::new("value", RestOfLine),
    ])
    .preconfig(),
    HmpRow::new("quit|q", "", "quit the emulator").preconfig(),
    HmpRow::new(
        "ringbuf_read",
        "device size",
        "Read from a ring buffer character device",
    )
    .args(&[
        HmpArg::new("device", Str).completes(CompletionKind::Ringbufs),
        HmpArg::new("size", Int32),
    ]),
    HmpRow::new(
        "ringbuf_write",
        "device data",
        "Write to a ring buffer character device",
    )
    .args(&[
        HmpArg::new("device", Str).completes(CompletionKind::Ringbufs),
        HmpArg::new("data", Str),
    ]),
    HmpRow::new(
        "screendump",
        "filename [-f format] [device [head]]",
        "save screen from head 'head' of display device 'device'in specified format \
         'format' as image 'filename'.Currently only 'png' and 'ppm' formats are \
         supported.",
    )
    .args(&[
        HmpArg::new("filename", File),
        HmpArg::new("format", FlagValue('f')),
        HmpArg::new("device", Str).optional(),
        HmpArg::new("head", Int32).optional(),
    ])
    .coroutine(),
    HmpRow::new(
        "sendkey",
        "keys [hold_ms]",
        "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)",
    )
    .args(&[
        HmpArg::new("keys", Str).completes(CompletionKind::Keys),
        HmpArg::new("hold_ms", Int32).optional(),
    ]),
    HmpRow::new(
        "set_link",
        "name on|off",
        "change the link status of a network adapter",
    )
    .args(&[
        HmpArg::new("name", Str).completes(CompletionKind::NetClients),
        HmpArg::new("up", OnOff),
    ]),
    HmpRow::new("stop|s", "", "stop emulation"),
    HmpRow::new(
        "sum",
        "addr size",
        "compute the checksum of a memory region",
    )
    .args(&[HmpArg::new("addr", Int32), HmpArg::new("size", Int32)])
    .read_only(),
    HmpRow::new(
        "sync-profile",
        "[on|off|reset]",
        "enable, disable or reset synchronization profiling. With no arguments, prints \
         whether profiling is on or off.",
    )
    .args(&[HmpArg::new("op", Str)
        .optional()
        .completes_in_full(CompletionKind::Words(&["on", "off", "reset"]))]),
    HmpRow::new("system_powerdown", "", "send system power down event"),
    HmpRow::new("system_reset", "", "reset the system"),
    HmpRow::new("system_wakeup", "", "wakeup guest from suspend"),
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
    HmpRow::new(
        "watchdog_action",
        "[reset|shutdown|poweroff|pause|debug|none|inject-nmi]",
        "change watchdog action",
    )
    .args(&[HmpArg::new("action", Str).completes(CompletionKind::WatchdogActions)]),
    HmpRow::new("x", "/fmt addr", "virtual memory dump starting at 'addr'")
        .args(&[HmpArg::new("fmt", Format), HmpArg::new("addr", Int)])
        .read_only(),
    HmpRow::new("xp", "/fmt addr", "physical memory dump starting at 'addr'")
        .args(&[HmpArg::new("fmt", Format), HmpArg::new("addr", Int)])
        .read_only(),
];

/// The table of all commands for which `handler` finds one. It is asked by
/// the name without aliases: `stop`, `info`, `info status`.
///
/// `info` needs a handler of its own, for the line that names no sub-command;
/// without one its sub-commands are left out as well.
pub fn hmp_commands<F: Copy>(handler: impl Fn(&str) -> Option<F>) -> HmpTable<F> {
    let mut table = HmpTable::new();
    for row in HMP_CMDS {
        let Some(found) = handler(row.main_name()) else {
            continue;
        };
        if row.name == "info" {
            let info = HmpTable::from_rows(HMP_INFO_CMDS, |name| handler(&format!("info {name}")));
            table.add_group(*row, found, info);
        } else {
            table.add(*row, found);
        }
    }
    table
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
