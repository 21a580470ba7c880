//! HMP commands about memory and ports, and `print`. The QMP commands about memory are
//! declared in `machine.json`, so they are in `machine.rs`.

use super::current_cpu::current_cpu;
use super::hmp::Cx;
use crate::schema::MachineCommands;
use crate::Machine;
use qmonitor::monitor::hmp::{
    format_ioport, format_value, memory_dump, ArgKind, CompletionKind, DumpStyle, Format, HmpArg,
    HmpArgs, HmpPair, HmpRow,
};

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "gpa2hpa",
            "addr",
            "print the host physical address corresponding to a guest physical address",
        )
        .args(&[HmpArg::new("addr", ArgKind::Int)]),
        unmapped,
    ),
    (
        HmpRow::new(
            "gpa2hva",
            "addr",
            "print the host virtual address corresponding to a guest physical address",
        )
        .args(&[HmpArg::new("addr", ArgKind::Int)]),
        unmapped,
    ),
    (
        HmpRow::new(
            "gva2gpa",
            "addr",
            "print the guest physical address corresponding to a guest virtual address",
        )
        .args(&[HmpArg::new("addr", ArgKind::Int)]),
        hmp_gva2gpa,
    ),
    (
        HmpRow::new("i", "/fmt addr", "I/O port read").args(&[
            HmpArg::new("fmt", ArgKind::Format),
            HmpArg::new("addr", ArgKind::Int32),
            HmpArg::new("index", ArgKind::DotIndex),
        ]),
        hmp_ioport_read,
    ),
    (
        HmpRow::new(
            "memsave",
            "addr size file",
            "save to disk virtual memory dump starting at 'addr' of size 'size'",
        )
        .args(&[
            HmpArg::new("addr", ArgKind::Int),
            HmpArg::new("size", ArgKind::Int32),
            HmpArg::new("file", ArgKind::Str).completes_in_full(CompletionKind::Files),
        ]),
        hmp_memsave,
    ),
    (
        HmpRow::new("o", "/fmt addr value", "I/O port write").args(&[
            HmpArg::new("fmt", ArgKind::Format),
            HmpArg::new("addr", ArgKind::Int32),
            HmpArg::new("value", ArgKind::Int32),
        ]),
        hmp_ioport_write,
    ),
    (
        HmpRow::new(
            "pmemsave",
            "addr size file",
            "save to disk physical memory dump starting at 'addr' of size 'size'",
        )
        .args(&[
            HmpArg::new("addr", ArgKind::Int),
            HmpArg::new("size", ArgKind::Int32),
            HmpArg::new("file", ArgKind::Str).completes_in_full(CompletionKind::Files),
        ]),
        hmp_pmemsave,
    ),
    (
        HmpRow::new(
            "print|p",
            "/fmt expr",
            "print expression value (use $reg for CPU register access)",
        )
        .args(&[
            HmpArg::new("fmt", ArgKind::Format),
            HmpArg::new("expr", ArgKind::Int),
        ])
        .read_only(),
        hmp_print,
    ),
    (
        HmpRow::new(
            "sum",
            "addr size",
            "compute the checksum of a memory region",
        )
        .args(&[
            HmpArg::new("addr", ArgKind::Int32),
            HmpArg::new("size", ArgKind::Int32),
        ]),
        hmp_sum,
    ),
    (
        HmpRow::new("x", "/fmt addr", "virtual memory dump starting at 'addr'").args(&[
            HmpArg::new("fmt", ArgKind::Format),
            HmpArg::new("addr", ArgKind::Int),
        ]),
        hmp_memory_dump,
    ),
    (
        HmpRow::new("xp", "/fmt addr", "physical memory dump starting at 'addr'").args(&[
            HmpArg::new("fmt", ArgKind::Format),
            HmpArg::new("addr", ArgKind::Int),
        ]),
        hmp_physical_memory_dump,
    ),
];

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("mem", "", "show the active virtual memory mappings"),
        hmp_info_paging,
    ),
    (
        HmpRow::new("memdev", "", "show memory backends"),
        hmp_info_memdev,
    ),
    (
        HmpRow::new("memory-devices", "", "show memory devices"),
        super::memory_devices::hmp_info,
    ),
    (
        HmpRow::new(
            "memory_size_summary",
            "",
            "show the amount of initially allocated and present hotpluggable (if enabled) memory \
             in bytes.",
        ),
        hmp_info_memory_size_summary,
    ),
    (
        HmpRow::new(
            "mtree",
            "[-f][-d][-o][-D]",
            "show memory tree (-f: dump flat view for address spaces;-d: dump dispatch tree, \
             valid with -f only);-o: dump region owners/parents;-D: dump disabled regions",
        )
        .args(&[
            HmpArg::new("flatview", ArgKind::Flag('f')),
            HmpArg::new("dispatch_tree", ArgKind::Flag('d')),
            HmpArg::new("owner", ArgKind::Flag('o')),
            HmpArg::new("disabled", ArgKind::Flag('D')),
        ]),
        hmp_info_mtree,
    ),
    (
        HmpRow::new("numa", "", "show NUMA information"),
        |hmp, _| {
            let text = hmp.rt.state.numa_text();
            hmp.print(text);
        },
    ),
    (
        HmpRow::new("tlb", "", "show virtual to physical memory mappings"),
        hmp_info_paging,
    ),
];

fn hmp_print(hmp: Cx, args: &HmpArgs) {
    let text = format_value(args.format("fmt").format, args.int("expr"));
    hmp.print(text);
    hmp.print("\n");
}

/// The texts that need a processor, if there is none.
fn hmp_no_cpu(hmp: Cx, _args: &HmpArgs) {
    hmp.print("Can not dump without CPU\n");
}

/// After a reset no processor pages, so virtual addresses are physical ones.
fn hmp_memory_dump(hmp: Cx, args: &HmpArgs) {
    match current_cpu(hmp) {
        Some(_) => dump(hmp, args, 16),
        None => hmp_no_cpu(hmp, args),
    }
}

fn hmp_gva2gpa(hmp: Cx, args: &HmpArgs) {
    let text = match current_cpu(hmp) {
        // As C prints it with a prefix: 0 has none.
        Some(_) if args.int("addr") == 0 && !hmp.rt.profile().prefixes_zero() => {
            "gpa: 0\n".to_owned()
        }
        Some(_) => format!("gpa: {:#x}\n", args.int("addr")),
        None => "No cpu\n".to_owned(),
    };
    hmp.print(text);
}

fn hmp_info_paging(hmp: Cx, _args: &HmpArgs) {
    let text = match current_cpu(hmp) {
        Some(_) => "PG disabled\n",
        None => "No CPU available\n",
    };
    hmp.print(text);
}

fn hmp_physical_memory_dump(hmp: Cx, args: &HmpArgs) {
    let digits = hmp.rt.profile().physical_address_digits();
    dump(hmp, args, digits);
}

fn dump(hmp: Cx, args: &HmpArgs, address_digits: usize) {
    let format = args.format("fmt");
    if format.format == Format::Instruction {
        return hmp_no_cpu(hmp, args);
    }
    let mut text = Vec::new();
    let style = DumpStyle {
        address_digits,
        early_octal_zero: hmp.rt.profile().has_early_octal_zero(),
    };
    let machine = &hmp.rt.state;
    memory_dump(
        args.int("addr") as u64,
        format,
        style,
        &mut |address, buffer| machine.physical_memory_read(address, buffer),
        &mut |line| text.extend_from_slice(line),
    );
    hmp.print(text);
}

fn hmp_sum(hmp: Cx, args: &HmpArgs) {
    let (start, size) = (args.int("addr") as u64, args.int("size") as u32);
    let sum = hmp.rt.state.checksum(start, size);
    hmp.print(format!("{sum:05}\n"));
}

/// Nothing is at any port: all lines are high.
fn hmp_ioport_read(hmp: Cx, args: &HmpArgs) {
    let mut address = args.int("addr") as u16;
    if args.try_int("index").is_some() {
        address = address.wrapping_add(1);
    }
    let size = args.format("fmt").size.unwrap_or(1);
    // Ports have no access of 8 bytes; one byte is read then.
    let bytes = if size == 8 { 1 } else { size as u32 };
    // Beyond the last port there are no lines that could be high.
    let bytes = bytes.min(0x1_0000 - u32::from(address));
    let value = u32::MAX >> (32 - 8 * bytes);
    hmp.print(format_ioport(size, address, value));
}

fn hmp_ioport_write(_hmp: Cx, _args: &HmpArgs) {}

fn hmp_memsave(hmp: Cx, args: &HmpArgs) {
    let Some(cpu) = current_cpu(hmp) else {
        return hmp.print("No CPU available\n");
    };
    let (address, size) = (args.int("addr") as u64, args.int("size") as u64);
    let (file, cpu) = (args.str("file").to_owned(), Some(cpu as i64));
    let result = Machine::qmp_memsave(hmp.rt, address, size, file, cpu);
    hmp.handle_error(result);
}

fn hmp_pmemsave(hmp: Cx, args: &HmpArgs) {
    let (address, size) = (args.int("addr") as u64, args.int("size") as u64);
    let result = Machine::qmp_pmemsave(hmp.rt, address, size, args.str("file").to_owned());
    hmp.handle_error(result);
}

fn unmapped(hmp: Cx, args: &HmpArgs) {
    let address = args.int("addr");
    hmp.print(format!("No memory is mapped at address {address:#x}\n"));
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

/// One region in a listing.
fn region(indent: usize, end: u64, kind: &str, name: &str, owner: Option<String>) -> String {
    let owner = owner.map(|owner| format!(" {owner}")).unwrap_or_default();
    format!(
        "{:indent$}{:016x}-{end:016x} (prio 0, {kind}): {name}{owner}\n",
        "", 0
    )
}

/// The memory map: at most one piece of memory, and ports without devices.
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
    let container = hmp.rt.profile().container_region();
    let io = region(2, 0xffff, container, "io", unattached());
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
    let system = region(2, u64::MAX, container, "system", unattached());
    let ram = ram(4);
    hmp.print(format!(
        "address-space: memory\n{system}{ram}\naddress-space: I/O\n{io}\n"
    ));
}
