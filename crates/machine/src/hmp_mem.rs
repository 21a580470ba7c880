//! HMP commands that look at memory and ports, and `print`.

use super::schema::MachineCommands;
use super::Machine;
use qmonitor::monitor::hmp::{
    format_ioport, format_value, memory_dump, Format, Hmp, HmpArgs, HmpHandler,
};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

pub(super) fn handler(name: &str) -> Option<HmpHandler<Machine>> {
    Some(match name {
        "print" => hmp_print,
        "x" => hmp_no_cpu,
        "xp" => hmp_physical_memory_dump,
        "sum" => hmp_sum,
        "i" => hmp_ioport_read,
        "o" => hmp_ioport_write,
        "memsave" => hmp_memsave,
        "pmemsave" => hmp_pmemsave,
        _ => return None,
    })
}

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
