//! The commands that the tests of this room work on: those of every monitor, and
//! some that a machine would add, with every kind of argument among them.

use super::ArgKind::*;
use super::{CompletionKind, HmpArg, HmpRow, HmpTable, HmpTables};

const QOM_PATH: HmpArg = HmpArg::new("path", Str).completes_in_full(CompletionKind::QomPaths);
const QOM_PROPERTY: HmpArg =
    HmpArg::new("property", Str).completes_in_full(CompletionKind::QomProperties);
const FMT: HmpArg = HmpArg::new("fmt", Format);
const ADDR: HmpArg = HmpArg::new("addr", Int);
const SIZE: HmpArg = HmpArg::new("size", Int32);
const FILE: HmpArg = HmpArg::new("file", Str).completes_in_full(CompletionKind::Files);

/// A row whose texts no test looks at.
const fn row(name: &'static str, args: &'static [HmpArg]) -> HmpRow {
    HmpRow::new(name, "", "").args(args)
}

const COMMANDS: &[HmpRow] = &[
    HmpRow::new(
        "announce_self",
        "[interfaces] [id]",
        "Trigger GARP/RARP announcements",
    )
    .args(&[
        HmpArg::new("interfaces", Str).optional(),
        HmpArg::new("id", Str).optional(),
    ]),
    row("balloon", &[HmpArg::new("target", MiB)]),
    row(
        "block_resize",
        &[HmpArg::new("device", Block), HmpArg::new("size", Size)],
    ),
    row("cont|c", &[]),
    row("cpu", &[HmpArg::new("index", Int32)]),
    row(
        "device_add",
        &[HmpArg::new("device", Options("device")).completes(CompletionKind::DeviceTypes)],
    ),
    row(
        "device_del",
        &[HmpArg::new("device", Str).completes(CompletionKind::DeviceIds)],
    ),
    row(
        "i",
        &[
            FMT,
            HmpArg::new("addr", Int32),
            HmpArg::new("index", DotIndex),
        ],
    ),
    row(
        "log",
        &[HmpArg::new("items", Str).completes_in_full(CompletionKind::LogItems)],
    ),
    row("logfile", &[HmpArg::new("filename", File)]),
    row("memsave", &[ADDR, SIZE, FILE]),
    row(
        "netdev_add",
        &[HmpArg::new("netdev", Options("netdev")).completes(CompletionKind::NetdevTypes)],
    ),
    row(
        "netdev_del",
        &[HmpArg::new("id", Str).completes(CompletionKind::NetdevIds)],
    ),
    row("nmi", &[]),
    row(
        "object_add",
        &[HmpArg::new("object", RestOfLine).completes(CompletionKind::ObjectTypes)],
    )
    .preconfig(),
    row(
        "object_del",
        &[HmpArg::new("id", Str).completes(CompletionKind::ObjectIds)],
    )
    .preconfig(),
    row("pmemsave", &[ADDR, SIZE, FILE]),
    HmpRow::new(
        "print|p",
        "/fmt expr",
        "print expression value (use $reg for CPU register access)",
    )
    .args(&[FMT, HmpArg::new("expr", Int)]),
    row("qom-get", &[QOM_PATH, QOM_PROPERTY]).preconfig(),
    row("qom-list", &[QOM_PATH.optional()]).preconfig(),
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
    row(
        "screendump",
        &[
            HmpArg::new("filename", File),
            HmpArg::new("format", FlagValue('f')),
            HmpArg::new("device", Str).optional(),
            HmpArg::new("head", Int32).optional(),
        ],
    ),
    row(
        "sendkey",
        &[
            HmpArg::new("keys", Str).completes(CompletionKind::Keys),
            HmpArg::new("hold_ms", Int32).optional(),
        ],
    ),
    row(
        "set_link",
        &[
            HmpArg::new("name", Str).completes(CompletionKind::NetClients),
            HmpArg::new("up", OnOff),
        ],
    ),
    HmpRow::new("stop|s", "", "stop emulation"),
    row("sum", &[HmpArg::new("addr", Int32), SIZE]),
    row(
        "sync-profile",
        &[HmpArg::new("op", Str)
            .optional()
            .completes_in_full(CompletionKind::Words(&["on", "off", "reset"]))],
    ),
    row("system_powerdown", &[]),
    row("system_reset", &[]),
    row("system_wakeup", &[]),
    row(
        "watchdog_action",
        &[HmpArg::new("action", Str).completes(CompletionKind::WatchdogActions)],
    ),
    row("xp", &[FMT, ADDR]),
];

const INFO_COMMANDS: &[HmpRow] = &[
    HmpRow::new("balloon", "", "show balloon information"),
    row(
        "block",
        &[
            HmpArg::new("nodes", Flag('n')),
            HmpArg::new("verbose", Flag('v')),
            HmpArg::new("device", Block).optional(),
        ],
    ),
    row("cpus", &[]),
    row("hotpluggable-cpus", &[]).preconfig(),
    row("iothreads", &[]).preconfig(),
    row("kvm", &[]),
    row("mice", &[]),
    row("name", &[]).preconfig(),
    row("qom-tree", &[QOM_PATH.optional()]).preconfig(),
    row("qtree", &[HmpArg::new("brief", Flag('b'))]),
    row(
        "registers",
        &[
            HmpArg::new("all", Flag('a')),
            HmpArg::new("vcpu", Int32).optional(),
        ],
    ),
    HmpRow::new("status", "", "show the current VM status (running|paused)").preconfig(),
];

/// The same rows without their functions.
fn rows_of<F: Copy>(table: &HmpTable<F>) -> HmpTable<()> {
    let mut rows = HmpTable::new();
    for command in table.commands() {
        match &command.sub {
            Some(sub) => rows.add_group(command.row, (), rows_of(sub)),
            None => rows.add(command.row, ()),
        }
    }
    rows
}

/// All of them.
pub(super) fn table() -> HmpTable<()> {
    let mut common = HmpTables::<()>::new();
    common.add_common_commands();
    let mut table = rows_of(&common.table);
    table.extend(COMMANDS.iter().map(|row| (*row, ())));
    let info = table.sub_mut("info").expect("sub-commands");
    info.extend(INFO_COMMANDS.iter().map(|row| (*row, ())));
    table
}
