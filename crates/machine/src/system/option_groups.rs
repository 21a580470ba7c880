//! The groups of options, each with its parameters and their types: for the command line,
//! configuration files, and `query-command-line-options`.

use qmonitor::monitor::OptionGroup;
use qmonitor::util::qemu_opts::{QemuOptType, QemuOptsList};

use QemuOptType::{Bool, Number, String as Str};

const fn list(
    name: &'static str,
    implied: Option<&'static str>,
    desc: &'static [(&'static str, QemuOptType)],
) -> QemuOptsList<'static> {
    QemuOptsList {
        name,
        implied_opt_name: implied,
        desc,
        extensions: &[],
    }
}

pub(super) static NAME_OPTS: QemuOptsList = list(
    "name",
    Some("guest"),
    &[("guest", Str), ("process", Str), ("debug-threads", Bool)],
);
pub(super) static MSG_OPTS: QemuOptsList =
    list("msg", None, &[("timestamp", Bool), ("guest-name", Bool)]);
pub(super) static TRACE_OPTS: QemuOptsList = list(
    "trace",
    Some("enable"),
    &[("enable", Str), ("events", Str), ("file", Str)],
);
pub(super) static ADD_FD_OPTS: QemuOptsList = list(
    "add-fd",
    None,
    &[("fd", Number), ("set", Number), ("opaque", Str)],
);
pub(super) static OVERCOMMIT_OPTS: QemuOptsList =
    list("overcommit", None, &[("mem-lock", Str), ("cpu-pm", Bool)]);
pub(super) static RTC_OPTS: QemuOptsList = list(
    "rtc",
    None,
    &[("base", Str), ("clock", Str), ("driftfix", Str)],
);
pub(super) static SANDBOX_OPTS: QemuOptsList = list(
    "sandbox",
    Some("enable"),
    &[
        ("enable", Bool),
        ("obsolete", Str),
        ("elevateprivileges", Str),
        ("spawn", Str),
        ("resourcecontrol", Str),
    ],
);

pub(super) static ACTION_OPTS: QemuOptsList = list(
    "action",
    None,
    &[
        ("reboot", Str),
        ("shutdown", Str),
        ("panic", Str),
        ("watchdog", Str),
    ],
);
pub(super) static GLOBAL_OPTS: QemuOptsList = list(
    "global",
    None,
    &[("driver", Str), ("property", Str), ("value", Str)],
);

/// The options in `query-command-line-options`.
pub static OPTION_GROUPS: &[OptionGroup] = &[
    OptionGroup {
        name: "action",
        list: &ACTION_OPTS,
    },
    OptionGroup {
        name: "add-fd",
        list: &ADD_FD_OPTS,
    },
    OptionGroup {
        name: "chardev",
        list: &qmonitor::chardev::QEMU_CHARDEV_OPTS,
    },
    OptionGroup {
        name: "global",
        list: &GLOBAL_OPTS,
    },
    OptionGroup {
        name: "memory",
        list: &super::hardware::MEM_OPTS,
    },
    OptionGroup {
        name: "mon",
        list: &qmonitor::monitor::QEMU_MON_OPTS,
    },
    OptionGroup {
        name: "msg",
        list: &MSG_OPTS,
    },
    OptionGroup {
        name: "name",
        list: &NAME_OPTS,
    },
    OptionGroup {
        name: "trace",
        list: &TRACE_OPTS,
    },
];
