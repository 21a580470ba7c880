//! The sub-commands of `info`, as QEMU 10.0.2 declares them.

use super::args::ArgKind::*;
use super::args::HmpArg;
use super::completion::CompletionKind;
use super::rows::QOM_PATH;
use super::table::HmpRow;

/// The sub-commands of `info`, in `help`'s order.
pub const HMP_INFO_CMDS: &[HmpRow] = &[
    HmpRow::new("balloon", "", "show balloon information"),
    HmpRow::new(
        "block",
        "[-n] [-v] [device]",
        "show info of one block device or all block devices (-n: show named nodes; -v: \
         show details)",
    )
    .args(&[
        HmpArg::new("nodes", Flag('n')),
        HmpArg::new("verbose", Flag('v')),
        HmpArg::new("device", Block).optional(),
    ]),
    HmpRow::new("chardev", "", "show the character devices").preconfig(),
    HmpRow::new("cpus", "", "show infos for each CPU"),
    HmpRow::new("history", "", "show the command line history").preconfig(),
    HmpRow::new(
        "hotpluggable-cpus",
        "",
        "Show information about hotpluggable CPUs",
    )
    .preconfig(),
    HmpRow::new("iothreads", "", "show iothreads").preconfig(),
    HmpRow::new("kvm", "", "show KVM information"),
    HmpRow::new("memory-devices", "", "show memory devices"),
    HmpRow::new("mice", "", "show which guest mouse is receiving events"),
    HmpRow::new("name", "", "show the current VM name").preconfig(),
    HmpRow::new("network", "", "show the network state"),
    HmpRow::new("qom-tree", "[path]", "show QOM composition tree")
        .args(&[QOM_PATH.optional()])
        .preconfig(),
    HmpRow::new(
        "qtree",
        "[-b]",
        "show device tree (-b: brief, omit properties)",
    )
    .args(&[HmpArg::new("brief", Flag('b'))]),
    HmpRow::new(
        "registers",
        "[-a|vcpu]",
        "show the cpu registers (-a: show register info for all cpus; vcpu: specific \
         vCPU to query; show the current CPU's registers if no argument is specified)",
    )
    .args(&[
        HmpArg::new("all", Flag('a')),
        HmpArg::new("vcpu", Int32).optional(),
    ]),
    HmpRow::new("roms", "", "show roms"),
    HmpRow::new("status", "", "show the current VM status (running|paused)").preconfig(),
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
    HmpRow::new("uuid", "", "show the current VM UUID").preconfig(),
    HmpRow::new("version", "", "show the version of QEMU").preconfig(),
];
