//! Further sub-commands of `info`: memory, and what there is to say about
//! things that this machine has none of.

use super::hmp_absent::{fail, nothing};
use crate::schema::MachineCommands;
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The sub-commands.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("block-jobs", "", "show progress of ongoing block device operations"),
        |hmp, _| hmp.print("No active jobs\n"),
    ),
    (
        HmpRow::new("blockstats", "", "show block device statistics"),
        nothing,
    ),
    (HmpRow::new("capture", "", "show capture information"), nothing),
    (
        HmpRow::new("cryptodev", "", "show the crypto devices"),
        nothing,
    ),
    (
        HmpRow::new("dump", "", "Display the latest dump status"),
        |hmp, _| hmp.print("Status: none\n"),
    ),
    (
        HmpRow::new("irq", "", "show the interrupts statistics (if available)"),
        nothing,
    ),
    (
        HmpRow::new("lapic", "[apic-id]", "show local apic state (apic-id: local apic to read, default is which of current CPU)")
            .args(&[HmpArg::new("apic-id", Int32).optional()]),
        no_cpu,
    ),
    (
        HmpRow::new("mem", "", "show the active virtual memory mappings"),
        no_cpu,
    ),
    (
        HmpRow::new("memdev", "", "show memory backends"),
        hmp_info_memdev,
    ),
    (
        HmpRow::new("memory_size_summary", "", "show the amount of initially allocated and present hotpluggable (if enabled) memory in bytes."),
        hmp_info_memory_size_summary,
    ),
    (
        HmpRow::new("mtree", "[-f][-d][-o][-D]", "show memory tree (-f: dump flat view for address spaces;-d: dump dispatch tree, valid with -f only);-o: dump region owners/parents;-D: dump disabled regions")
        .args(&[
            HmpArg::new("flatview", Flag('f')),
            HmpArg::new("dispatch_tree", Flag('d')),
            HmpArg::new("owner", Flag('o')),
            HmpArg::new("disabled", Flag('D')),
        ]),
        hmp_info_mtree,
    ),
    (HmpRow::new("numa", "", "show NUMA information"), |hmp, _| {
        hmp.print("0 nodes\n")
    }),
    (HmpRow::new("pci", "", "show PCI info"), nothing),
    (
        HmpRow::new("pic", "", "show PIC state"),
        nothing,
    ),
    (
        HmpRow::new("replay", "", "show record/replay information"),
        |hmp, _| hmp.print("Record/replay is not active\n"),
    ),
    (
        HmpRow::new("sev", "", "show SEV information"),
        |hmp, _| hmp.print("SEV is not enabled\n"),
    ),
    (HmpRow::new("sgx", "", "show intel SGX information"), |hmp, _| {
        hmp.print("SGX is only supported on PC machines\n")
    }),
    (
        HmpRow::new("snapshots", "", "show the currently saved VM snapshots"),
        |hmp, _| hmp.print("no block device can store vmstate for snapshot\n"),
    ),
    (
        HmpRow::new("spice", "", "show the spice server status"),
        |hmp, _| hmp.print("Server: disabled\n"),
    ),
    (
        HmpRow::new("sync-profile", "[-m] [-n] [max]", "show synchronization profiling info, up to max entries (default: 10), sorted by total wait time. (-m: sort by mean wait time; -n: do not coalesce objects with the same call site)")
        .args(&[
            HmpArg::new("mean", Flag('m')),
            HmpArg::new("no_coalesce", Flag('n')),
            HmpArg::new("max", Int32).optional(),
        ]),
        hmp_info_sync_profile,
    ),
    (
        HmpRow::new("tlb", "", "show virtual to physical memory mappings"),
        no_cpu,
    ),
    (HmpRow::new("tpm", "", "show the TPM device"), nothing),
    (HmpRow::new("usb", "", "show guest USB devices"), |hmp, _| {
        fail(hmp, "USB support not enabled")
    }),
    (
        HmpRow::new("usernet", "", "show user network stack connection states"),
        nothing,
    ),
    (
        HmpRow::new("virtio", "", "List all available virtio devices"),
        |hmp, _| fail(hmp, "No virtio devices found"),
    ),
    (
        HmpRow::new("vm-generation-id", "", "Show Virtual Machine Generation ID"),
        |hmp, _| fail(hmp, "VM Generation ID device not found"),
    ),
    (HmpRow::new("vnc", "", "show the vnc server status"), |hmp, _| {
        hmp.print("None\n")
    }),
];

fn no_cpu(hmp: Cx, _args: &HmpArgs) {
    hmp.print("No CPU available\n");
}

fn hmp_info_memdev(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_memdev(hmp.rt);
    for memdev in hmp.handle_error(result).unwrap_or_default() {
        let nodes: Vec<String> = memdev.host_nodes.iter().map(u16::to_string).collect();
        let reserve = memdev
            .reserve
            .map(|reserve| format!("  reserve: {reserve}\n"));
        hmp.print(format!(
            "memory backend: {}\n  size:  {}\n  merge: {}\n  dump: {}\n  prealloc: {}\n  \
             share: {}\n{}  policy: {}\n  host nodes: {}\n",
            memdev.id.unwrap_or_default(),
            memdev.size,
            memdev.merge,
            memdev.dump,
            memdev.prealloc,
            memdev.share,
            reserve.unwrap_or_default(),
            memdev.policy.as_str(),
            nodes.join(",")
        ));
    }
    hmp.print("\n");
}

fn hmp_info_memory_size_summary(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_memory_size_summary(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        hmp.print(format!("base memory: {}\n", info.base_memory));
        if let Some(plugged) = info.plugged_memory {
            hmp.print(format!("plugged memory: {plugged}\n"));
        }
    }
}

/// The table of a profile of nothing.
fn hmp_info_sync_profile(hmp: Cx, _args: &HmpArgs) {
    let head = "Type               Object  Call site  Wait Time (s)         Count  Average (us)";
    let line = "-".repeat(head.len());
    hmp.print(format!("{head}\n{line}\n{line}\n"));
}

/// One region in a listing.
fn region(indent: usize, end: u64, kind: &str, name: &str, owner: Option<String>) -> String {
    let owner = owner.map(|owner| format!(" {owner}")).unwrap_or_default();
    format!(
        "{:indent$}{:016x}-{end:016x} (prio 0, {kind}): {name}{owner}\n",
        "", 0
    )
}

/// What is where for the processor: at most one piece of memory, and ports
/// without anything behind them.
fn hmp_info_mtree(hmp: Cx, args: &HmpArgs) {
    let size = hmp.rt.state.ram_size();
    let backend = hmp.rt.state.ram_name().unwrap_or_default().to_owned();
    let owned = |text: &str| args.flag("owner").then(|| text.to_owned());
    let unattached = || owned("parent:{obj path=/machine/unattached}");
    let ram = |indent| match size.checked_sub(1) {
        Some(end) => {
            let owner = owned(&format!("owner:{{obj path=/objects/{backend}}}"));
            region(indent, end, "ram", &backend, owner)
        }
        None => String::new(),
    };
    let io = region(2, 0xffff, "i/o", "io", unattached());
    if args.flag("flatview") {
        let memory = match size {
            0 => "(none)\n  No rendered FlatView\n".to_owned(),
            _ => format!("{backend}\n{}", ram(2)),
        };
        hmp.print(format!(
            "FlatView #0\n AS \"memory\", root: system\n Root memory region: {memory}\n\
             FlatView #1\n AS \"I/O\", root: io\n Root memory region: io\n{io}\n"
        ));
        return;
    }
    let system = region(2, u64::MAX, "i/o", "system", unattached());
    let ram = ram(4);
    hmp.print(format!(
        "address-space: memory\n{system}{ram}\naddress-space: I/O\n{io}\n"
    ));
}
