//! HMP commands about what would serve the machine from outside: passwords of
//! displays, NBD, a debugger, dumps. None of them is there, which is what
//! these commands say, in QEMU's words.

use super::hmp_absent::{fail, nothing};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

const PROTOCOL: HmpArg = HmpArg::new("protocol", Str);
const DISPLAY: HmpArg = HmpArg::new("display", FlagValue('d'));
const CPU_INDEX: HmpArg = HmpArg::new("cpu_index", Int).optional();
const NAME: HmpArg = HmpArg::new("name", Str);
const PATH: HmpArg = HmpArg::new("path", Str);
const QUEUE: HmpArg = HmpArg::new("queue", Int32);

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "cancel_vcpu_dirty_limit",
            "[cpu_index]",
            "cancel dirty page rate limit, use cpu_index to cancel\n\t\t\t\t\t limit on a \
             specified virtual cpu",
        )
        .args(&[CPU_INDEX]),
        |hmp, _| {
            hmp.print("[Please use 'info vcpu_dirty_limit' to query dirty limit for virtual CPU]\n")
        },
    ),
    (
        HmpRow::new(
            "set_vcpu_dirty_limit",
            "dirty_rate [cpu_index]",
            "set dirty page rate limit, use cpu_index to set limit\n\t\t\t\t\t on a specified \
             virtual cpu",
        )
        .args(&[HmpArg::new("dirty_rate", Int), CPU_INDEX]),
        |hmp, _| {
            fail(
                hmp,
                "dirty page limit feature requires KVM with accelerator property \
                 'dirty-ring-size' set'",
            );
        },
    ),
    (
        HmpRow::new(
            "dump-guest-memory",
            "[-p] [-d] [-z|-l|-s|-w] [-R] filename [begin length]",
            "dump guest memory into file 'filename'.\n\
             \t\t\t-p: do paging to get guest's memory mapping.\n\
             \t\t\t-d: return immediately (do not wait for completion).\n\
             \t\t\t-z: dump in kdump-compressed format, with zlib compression.\n\
             \t\t\t-l: dump in kdump-compressed format, with lzo compression.\n\
             \t\t\t-s: dump in kdump-compressed format, with snappy compression.\n\
             \t\t\t-R: when using kdump (-z, -l, -s), use raw rather than \
             makedumpfile-flattened\n\
             \t\t\t    format\n\
             \t\t\t-w: dump in Windows crashdump format (can be used instead of ELF-dump \
             converting),\n\
             \t\t\t    for Windows x86 and x64 guests with vmcoreinfo driver only.\n\
             \t\t\tbegin: the starting physical address.\n\
             \t\t\tlength: the memory size, in bytes.",
        )
        .args(&[
            HmpArg::new("paging", Flag('p')),
            HmpArg::new("detach", Flag('d')),
            HmpArg::new("windmp", Flag('w')),
            HmpArg::new("zlib", Flag('z')),
            HmpArg::new("lzo", Flag('l')),
            HmpArg::new("snappy", Flag('s')),
            HmpArg::new("raw", Flag('R')),
            HmpArg::new("filename", File),
            HmpArg::new("begin", Int).optional(),
            HmpArg::new("length", Int).optional(),
        ]),
        hmp_dump_guest_memory,
    ),
    (
        HmpRow::new(
            "expire_password",
            "protocol time [-d display]",
            "set spice/vnc password expire-time",
        )
        .args(&[PROTOCOL, HmpArg::new("time", Str), DISPLAY]),
        hmp_expire_password,
    ),
    (
        HmpRow::new(
            "set_password",
            "protocol password [-d display] [action-if-connected]",
            "set spice/vnc password",
        )
        .args(&[
            PROTOCOL,
            HmpArg::new("password", Str),
            DISPLAY,
            HmpArg::new("connected", Str).optional(),
        ]),
        hmp_set_password,
    ),
    (
        HmpRow::new(
            "gdbserver",
            "[device]",
            "start gdbserver on given device (default 'tcp::1234'), stop with 'none'",
        )
        .args(&[HmpArg::new("device", Str).optional()]),
        |hmp, args| {
            let device = args.try_str("device").unwrap_or("tcp::1234").to_owned();
            if hmp.rt.state.cpus().is_empty() {
                hmp.print(
                    "warning: gdbstub: meaningless to attach gdb to a machine without any CPU.\n",
                );
            }
            hmp.print(format!("Could not open gdbserver on device '{device}'\n"));
        },
    ),
    (
        HmpRow::new(
            "mce",
            "[-b] cpu bank status mcgstatus addr misc",
            "inject a MCE on the given CPU [and broadcast to other CPUs with -b option]",
        )
        .args(&[
            HmpArg::new("broadcast", Flag('b')),
            HmpArg::new("cpu_index", Int32),
            HmpArg::new("bank", Int32),
            HmpArg::new("status", Int),
            HmpArg::new("mcg_status", Int),
            HmpArg::new("addr", Int),
            HmpArg::new("misc", Int),
        ]),
        nothing,
    ),
    (
        HmpRow::new(
            "nbd_server_add",
            "nbd_server_add [-w] device [name]",
            "export a block device via NBD",
        )
        .args(&[
            HmpArg::new("writable", Flag('w')),
            HmpArg::new("device", Block),
            NAME.optional(),
        ]),
        |hmp, args| {
            let device = args.str("device");
            fail(
                hmp,
                format!("Cannot find device='{device}' nor node-name='{device}'"),
            );
        },
    ),
    (
        HmpRow::new(
            "nbd_server_remove",
            "nbd_server_remove [-f] name",
            "remove an export previously exposed via NBD",
        )
        .args(&[HmpArg::new("force", Flag('f')), NAME]),
        |hmp, args| {
            let name = args.str("name");
            fail(hmp, format!("Export '{name}' is not found"));
        },
    ),
    (
        HmpRow::new(
            "nbd_server_stop",
            "nbd_server_stop",
            "stop serving block devices using the NBD protocol",
        ),
        |hmp, _| fail(hmp, "NBD server not running"),
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("opcount", "", "show dynamic compiler opcode counters"),
        |hmp, _| hmp.print("[TCG profiler not compiled]\n"),
    ),
    (
        HmpRow::new("rocker", "name", "Show rocker switch").args(&[NAME]),
        no_rocker,
    ),
    (
        HmpRow::new(
            "rocker-of-dpa-flows",
            "name [tbl_id]",
            "Show rocker OF-DPA flow tables",
        )
        .args(&[NAME, HmpArg::new("tbl_id", Int32).optional()]),
        no_rocker,
    ),
    (
        HmpRow::new(
            "rocker-of-dpa-groups",
            "name [type]",
            "Show rocker OF-DPA groups",
        )
        .args(&[NAME, HmpArg::new("type", Int32).optional()]),
        no_rocker,
    ),
    (
        HmpRow::new("rocker-ports", "name", "Show rocker ports").args(&[NAME]),
        no_rocker,
    ),
    (
        HmpRow::new("usbhost", "", "show host USB devices"),
        |hmp, _| hmp.print("Command \"info usbhost\" is not available.\n"),
    ),
    (
        HmpRow::new(
            "virtio-queue-element",
            "path queue [index]",
            "Display element of a given virtio queue",
        )
        .args(&[PATH, QUEUE, HmpArg::new("index", Int32).optional()]),
        |hmp, args| no_virtio(hmp, args, "VirtIO device"),
    ),
    (
        HmpRow::new(
            "virtio-queue-status",
            "path queue",
            "Display status of a given virtio queue",
        )
        .args(&[PATH, QUEUE]),
        |hmp, args| no_virtio(hmp, args, "VirtIODevice"),
    ),
    (
        HmpRow::new(
            "virtio-status",
            "path",
            "Display status of a given virtio device",
        )
        .args(&[PATH]),
        |hmp, args| no_virtio(hmp, args, "realized VirtIODevice"),
    ),
    (
        HmpRow::new(
            "virtio-vhost-queue-status",
            "path queue",
            "Display status of a given vhost queue",
        )
        .args(&[PATH, QUEUE]),
        |hmp, args| no_virtio(hmp, args, "VirtIODevice"),
    ),
];

fn no_rocker(hmp: Cx, args: &HmpArgs) {
    fail(hmp, format!("rocker {} not found", args.str("name")));
}

fn no_virtio(hmp: Cx, args: &HmpArgs, what: &str) {
    fail(hmp, format!("Path {} is not a {what}", args.str("path")));
}

fn hmp_dump_guest_memory(hmp: Cx, args: &HmpArgs) {
    let kdump = ["zlib", "lzo", "snappy", "windmp"];
    let formats = kdump.iter().filter(|name| args.flag(name)).count();
    if formats > 1 {
        return fail(hmp, "only one of '-z|-l|-s|-w' can be set");
    }
    if args.try_int("begin").is_some() && args.try_int("length").is_none() {
        return fail(hmp, "Parameter 'length' is missing");
    }
    if formats == 1 && (args.flag("paging") || args.try_int("begin").is_some()) {
        return fail(
            hmp,
            "kdump-compressed format doesn't support paging or filter",
        );
    }
    match hmp.rt.state.ram_size() {
        0 => fail(hmp, "dump: no guest memory to dump"),
        _ => fail(hmp, "this machine cannot be dumped"),
    }
}

/// Whether there could be such a display; an error is printed if not.
fn display(hmp: Cx, args: &HmpArgs) -> Option<&'static str> {
    match args.str("protocol") {
        "vnc" => Some("vnc"),
        "spice" => {
            fail(hmp, "SPICE is not in use");
            None
        }
        other => {
            fail(hmp, format!("invalid parameter value: {other}"));
            None
        }
    }
}

fn hmp_expire_password(hmp: Cx, args: &HmpArgs) {
    if display(hmp, args).is_none() {
        return;
    }
    let time = args.str("time");
    let digits = time.strip_prefix('+').unwrap_or(time);
    match matches!(time, "now" | "never") || digits.parse::<u64>().is_ok() {
        true => fail(hmp, "Could not set password expire time"),
        false => fail(hmp, format!("Parameter 'time' doesn't take value '{time}'")),
    }
}

fn hmp_set_password(hmp: Cx, args: &HmpArgs) {
    let connected = args.try_str("connected").unwrap_or("keep");
    if !["keep", "fail", "disconnect"].contains(&connected) {
        return fail(hmp, format!("invalid parameter value: {connected}"));
    }
    match (display(hmp, args), connected) {
        (None, _) => {}
        (Some(_), "keep") => fail(hmp, "Could not set password"),
        (Some(_), _) => fail(
            hmp,
            "parameter 'connected' must be 'keep' when 'protocol' is 'vnc'",
        ),
    }
}
