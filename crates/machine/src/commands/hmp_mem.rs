//! HMP commands that look at memory and ports, and `print`.

use crate::schema::MachineCommands;
use crate::Machine;
use qmonitor::monitor::hmp::{
    format_ioport, format_value, memory_dump, ArgKind, CompletionKind, Format, Hmp, HmpArg,
    HmpArgs, HmpPair, HmpRow,
};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
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
        ])
        .read_only(),
        hmp_sum,
    ),
    (
        HmpRow::new("x", "/fmt addr", "virtual memory dump starting at 'addr'")
            .args(&[
                HmpArg::new("fmt", ArgKind::Format),
                HmpArg::new("addr", ArgKind::Int),
            ])
            .read_only(),
        hmp_no_cpu,
    ),
    (
        HmpRow::new("xp", "/fmt addr", "physical memory dump starting at 'addr'")
            .args(&[
                HmpArg::new("fmt", ArgKind::Format),
                HmpArg::new("addr", ArgKind::Int),
            ])
            .read_only(),
        hmp_physical_memory_dump,
    ),
];

fn hmp_print(hmp: Cx, args: &HmpArgs) {
    let text = format_value(args.format("fmt").format, args.int("expr"));
    hmp.print(text);
    hmp.print("\n");
}

/// Virtual addresses are a CPU's, and there is none.
fn hmp_no_cpu(hmp: Cx, _args: &HmpArgs) {
    hmp.print("Can not dump without CPU\n");
}

fn hmp_physical_memory_dump(hmp: Cx, args: &HmpArgs) {
    let format = args.format("fmt");
    if format.format == Format::Instruction {
        return hmp_no_cpu(hmp, args);
    }
    let mut text = Vec::new();
    let machine = &hmp.rt.state;
    memory_dump(
        args.int("addr") as u64,
        format,
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
    // An access of 8 bytes is none that a port has; one byte is read then.
    let bytes = if size == 8 { 1 } else { size as u32 };
    // Behind the last port there is not even a line that could be high.
    let bytes = bytes.min(0x1_0000 - u32::from(address));
    let value = u32::MAX >> (32 - 8 * bytes);
    hmp.print(format_ioport(size, address, value));
}

fn hmp_ioport_write(_hmp: Cx, _args: &HmpArgs) {}

fn hmp_memsave(hmp: Cx, _args: &HmpArgs) {
    hmp.print("No CPU available\n");
}

fn hmp_pmemsave(hmp: Cx, args: &HmpArgs) {
    let (address, size) = (args.int("addr") as u64, args.int("size") as u64);
    let result = Machine::qmp_pmemsave(hmp.rt, address, size, args.str("file").to_owned());
    hmp.handle_error(result);
}
