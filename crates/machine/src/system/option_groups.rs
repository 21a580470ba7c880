//! The groups of options that are read with [`QemuOpts`], from the command line and from
//! configuration files. What they take is in the table of what QEMU takes.
//!
//! [`QemuOpts`]: qmonitor::util::qemu_opts::QemuOpts

use super::cli::Opt;
use super::option_table::OPTION_GROUPS;
use qmonitor::chardev::QEMU_CHARDEV_OPTS;
use qmonitor::monitor::QEMU_MON_OPTS;
use qmonitor::util::qemu_opts::{QemuOptType, QemuOptsList};

/// The parameters that a group has in the table.
const fn parameters(name: &str) -> &'static [(&'static str, QemuOptType)] {
    let mut i = 0;
    while i < OPTION_GROUPS.len() {
        if is_same(OPTION_GROUPS[i].name.as_bytes(), name.as_bytes()) {
            return OPTION_GROUPS[i].parameters;
        }
        i += 1;
    }
    panic!("no such group");
}

/// `==`, which a constant function cannot use.
const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

const fn list(name: &'static str, implied: Option<&'static str>) -> QemuOptsList<'static> {
    QemuOptsList {
        name,
        implied_opt_name: implied,
        desc: parameters(name),
        extensions: &[],
    }
}

pub(super) static NAME_OPTS: QemuOptsList = list("name", Some("guest"));
pub(super) static MSG_OPTS: QemuOptsList = list("msg", None);
pub(super) static TRACE_OPTS: QemuOptsList = list("trace", Some("enable"));
pub(super) static ADD_FD_OPTS: QemuOptsList = list("add-fd", None);
pub(super) static OVERCOMMIT_OPTS: QemuOptsList = list("overcommit", None);
pub(super) static RTC_OPTS: QemuOptsList = list("rtc", None);
pub(super) static SANDBOX_OPTS: QemuOptsList = list("sandbox", Some("enable"));
pub(super) static ACTION_OPTS: QemuOptsList = list("action", None);
pub(super) static GLOBAL_OPTS: QemuOptsList = list("global", None);
pub(super) static ACPI_OPTS: QemuOptsList = list("acpi", Some("data"));
pub(super) static SMBIOS_OPTS: QemuOptsList = QemuOptsList {
    // Each type has fields of its own.
    desc: &[],
    ..list("smbios", None)
};
pub(super) static OPTION_ROM_OPTS: QemuOptsList = list("option-rom", Some("romfile"));
pub(super) static ISCSI_OPTS: QemuOptsList = list("iscsi", None);
pub(super) static FW_CFG_OPTS: QemuOptsList = list("fw_cfg", Some("name"));
pub(super) static ICOUNT_OPTS: QemuOptsList = list("icount", Some("shift"));
pub(super) static RUN_WITH_OPTS: QemuOptsList = list("run-with", None);
pub(super) static FSDEV_OPTS: QemuOptsList = list("fsdev", Some("fsdriver"));
pub(super) static VIRTFS_OPTS: QemuOptsList = list("virtfs", Some("fsdriver"));
pub(super) static VNC_OPTS: QemuOptsList = list("vnc", Some("vnc"));
pub(super) static NUMA_OPTS: QemuOptsList = QemuOptsList {
    // Each type has options of its own.
    desc: &[],
    ..list("numa", Some("type"))
};
pub(super) static PLUGIN_OPTS: QemuOptsList = QemuOptsList {
    desc: &[],
    ..list("plugin", Some("file"))
};
pub(super) static MEM_OPTS: QemuOptsList = list("memory", Some("size"));

/// What a group in a configuration file may contain.
pub(super) enum Takes {
    /// Whatever its option says to it.
    Any,
    /// These parameters, and an id.
    Listed(&'static QemuOptsList<'static>),
    /// These parameters; there is only one such group, so it has no id.
    One(&'static QemuOptsList<'static>),
}

use Takes::{Any, Listed, One};

/// The groups that configuration files may have, and the options they stand for.
static CONFIG_GROUPS: &[(&str, Opt, Takes)] = &[
    ("accel", Opt::Accel, Any),
    ("acpi", Opt::Acpitable, Listed(&ACPI_OPTS)),
    ("action", Opt::Action, One(&ACTION_OPTS)),
    ("add-fd", Opt::AddFd, Listed(&ADD_FD_OPTS)),
    ("boot-opts", Opt::Boot, Any),
    ("chardev", Opt::Chardev, Listed(&QEMU_CHARDEV_OPTS)),
    ("device", Opt::Device, Any),
    ("drive", Opt::Drive, Any),
    ("fsdev", Opt::Fsdev, Any),
    ("fw_cfg", Opt::FwCfg, Listed(&FW_CFG_OPTS)),
    ("global", Opt::Global, Listed(&GLOBAL_OPTS)),
    ("icount", Opt::Icount, Listed(&ICOUNT_OPTS)),
    ("iscsi", Opt::Iscsi, Listed(&ISCSI_OPTS)),
    ("machine", Opt::Machine, Any),
    ("memory", Opt::M, One(&MEM_OPTS)),
    ("mon", Opt::Mon, Listed(&QEMU_MON_OPTS)),
    ("msg", Opt::Msg, Listed(&MSG_OPTS)),
    ("name", Opt::Name, One(&NAME_OPTS)),
    ("net", Opt::Net, Any),
    ("netdev", Opt::Netdev, Any),
    ("nic", Opt::Nic, Any),
    ("numa", Opt::Numa, Any),
    ("object", Opt::Object, Any),
    ("option-rom", Opt::OptionRom, Any),
    ("overcommit", Opt::Overcommit, Listed(&OVERCOMMIT_OPTS)),
    ("plugin", Opt::Plugin, Any),
    ("rtc", Opt::Rtc, One(&RTC_OPTS)),
    ("run-with", Opt::RunWith, Listed(&RUN_WITH_OPTS)),
    ("sandbox", Opt::Sandbox, Listed(&SANDBOX_OPTS)),
    ("smbios", Opt::Smbios, Any),
    ("smp-opts", Opt::Smp, Any),
    ("tpmdev", Opt::Tpmdev, Any),
    ("trace", Opt::Trace, Listed(&TRACE_OPTS)),
    ("virtfs", Opt::Virtfs, Any),
    ("vnc", Opt::Vnc, Any),
];

/// The option that a group of this name in a configuration file stands for, and what the
/// group may contain.
pub(super) fn option_of_group(name: &str) -> Option<(Opt, &'static Takes)> {
    let row = CONFIG_GROUPS.iter().find(|(group, ..)| *group == name);
    row.map(|(_, opt, takes)| (*opt, takes))
}
