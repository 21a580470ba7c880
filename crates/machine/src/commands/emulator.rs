//! Pages about the emulator, which translates nothing here.

use super::hmp::Cx;
use crate::model::qdev::device_list;
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::Profile;

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "nbd_server_start",
            "nbd_server_start [-a] [-w] host:port",
            "serve block devices on the given host and port",
        )
        .args(&[
            HmpArg::new("all", Flag('a')),
            HmpArg::new("writable", Flag('w')),
            HmpArg::new("uri", Str),
        ]),
        super::exports::hmp_start,
    ),
    (
        HmpRow::new(
            "qemu-io",
            "[-d] [device] \"[command]\"",
            "run a qemu-io command on a block device\n\t\t\t\
             -d: [device] is a device ID rather than a drive ID or node name",
        )
        .args(&[
            HmpArg::new("qdev", Flag('d')),
            HmpArg::new("device", Block),
            HmpArg::new("command", Str),
        ]),
        super::qemu_io::qemu_io,
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("jit", "", "show dynamic compiler info"),
        hmp_info_jit,
    ),
    (
        HmpRow::new("qdm", "", "show qdev device model list"),
        |hmp, _| {
            let list = device_list(hmp.rt.profile(), true);
            hmp.print(list);
        },
    ),
    (
        HmpRow::new(
            "stats",
            "target [names] [provider]",
            "show statistics for the given target (vm or vcpu); optionally filter byname (comma-separated list, or * for all) and provider",
        )
        .args(&[
            HmpArg::new("target", Str),
            HmpArg::new("names", Str).optional(),
            HmpArg::new("provider", Str).optional(),
        ]),
        super::statistics::hmp_info_stats,
    ),
];

pub(super) fn hmp_info_jit(hmp: Cx, _args: &HmpArgs) {
    let text = jit_page(hmp.rt.profile());
    hmp.print(text);
}

/// Nothing was translated. Newer QEMUs leave out an average of nothing, and a profiler
/// that is never compiled in.
pub(super) fn jit_page(profile: Profile) -> String {
    let (average, profiler) = if profile.has_jit_profiler() {
        (
            "TB hash avg chain   nan buckets. Histogram: (empty)\n",
            "[TCG profiler not compiled]\n",
        )
    } else {
        ("", "")
    };
    format!(
        "Accelerator settings:\none-insn-per-tb: off\n\nTranslation buffer state:\n\
         gen code size       0/1073736704\nTB count            0\n\
         TB avg target size  0 max=0 bytes\n\
         TB avg host size    0 bytes (expansion ratio: 0.0)\n\
         cross page TB count 0 (0%)\ndirect jump count   0 (0%) (2 jumps=0 0%)\n\
         TB hash buckets     0/8192 (0.00% head buckets used)\n\
         TB hash occupancy   0.00% avg chain occ. Histogram: [0.0,0.0)%|\u{2588}|[0.0,0.0]%\n\
         {average}\nStatistics:\n\
         TB flush count      0\nTB invalidate count 0\nTLB full flushes    0\n\
         TLB partial flushes 0\nTLB elided flushes  0\n{profiler}"
    )
}
