//! HMP commands about disks, migration and whatever else this machine has
//! none of. Each takes QEMU's arguments and answers what QEMU answers about a
//! machine without such things, so that scripts fail, or do not, as they do
//! there.

use std::borrow::Cow;

use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// `Error: TEXT`
pub(super) fn fail(hmp: Cx, text: impl Into<Cow<'static, str>>) {
    hmp.handle_error(Err::<(), _>(Error::new(text)));
}

pub(super) fn nothing(_hmp: Cx, _args: &HmpArgs) {}

const DEVICE: HmpArg = HmpArg::new("device", Block);
const NAME: HmpArg = HmpArg::new("name", Str);

fn no_job(hmp: Cx, args: &HmpArgs) {
    fail(hmp, format!("Block job '{}' not found", args.str("device")));
}

fn no_block_device(hmp: Cx, args: &HmpArgs) {
    let device = args.str("device");
    fail(
        hmp,
        format!("Cannot find device='{device}' nor node-name='{device}'"),
    );
}

fn no_device(hmp: Cx, args: &HmpArgs) {
    fail(hmp, format!("Device '{}' not found", args.str("device")));
}

fn no_vmstate(hmp: Cx, _args: &HmpArgs) {
    fail(hmp, "no block device can store vmstate for snapshot");
}

/// With two words, the first names a back end.
fn no_user_network(hmp: Cx, args: &HmpArgs) {
    match args.try_str("arg2") {
        Some(_) => {
            let id = args.str("arg1");
            hmp.print(format!("unrecognized netdev id '{id}'\n"));
        }
        None => hmp.print("user mode network stack not in use\n"),
    }
}

fn no_xen(hmp: Cx, _args: &HmpArgs) {
    fail(hmp, "Xen event channel emulation not enabled");
}

fn unmapped(hmp: Cx, args: &HmpArgs) {
    let address = args.int("addr");
    hmp.print(format!("No memory is mapped at address {address:#x}\n"));
}

/// Those about disks.
pub(super) const BLOCK: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("block_job_cancel", "[-f] device", "stop an active background block operation (use -f\n\t\t\t if you want to abort the operation immediately\n\t\t\t instead of keep running until data is in sync)")
        .args(&[HmpArg::new("force", Flag('f')), DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_complete", "device", "stop an active background block operation").args(&[DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_pause", "device", "pause an active background block operation").args(&[DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_resume", "device", "resume a paused background block operation").args(&[DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_set_speed", "device speed", "set maximum speed for a background block operation")
        .args(&[DEVICE, HmpArg::new("speed", Size)]),
        no_job,
    ),
    (
        HmpRow::new("block_resize", "device size", "resize a block image")
            .args(&[DEVICE, HmpArg::new("size", Size)]),
        |hmp, args| {
            let device = args.str("device");
            fail(
                hmp,
                format!("Cannot find device='{device}' nor node-name=''"),
            );
        },
    ),
    (
        HmpRow::new("block_set_io_throttle", "device bps bps_rd bps_wr iops iops_rd iops_wr", "change I/O throttle limits for a block drive")
        .args(&[
            DEVICE,
            HmpArg::new("bps", Int),
            HmpArg::new("bps_rd", Int),
            HmpArg::new("bps_wr", Int),
            HmpArg::new("iops", Int),
            HmpArg::new("iops_rd", Int),
            HmpArg::new("iops_wr", Int),
        ]),
        no_device,
    ),
    (
        HmpRow::new("block_stream", "device [speed [base]]", "copy data from a backing file into a block device")
        .args(&[
            DEVICE,
            HmpArg::new("speed", Size).optional(),
            HmpArg::new("base", Str).optional(),
        ]),
        no_block_device,
    ),
    (
        HmpRow::new("change", "device [-f] filename [format [read-only-mode]]", "change a removable medium, optional format, use -f to force the operation")
        .args(&[
            DEVICE,
            HmpArg::new("force", Flag('f')),
            HmpArg::new("target", File),
            HmpArg::new("arg", Str).optional(),
            HmpArg::new("read-only-mode", Str).optional(),
        ]),
        no_device,
    ),
    (
        HmpRow::new("commit", "device|all", "commit changes to the disk images (if -snapshot is used) or backing files").args(&[DEVICE]),
        |hmp, args| match args.str("device") {
            "all" => {}
            device => hmp.print(format!("Device '{device}' not found\n")),
        },
    ),
    (
        HmpRow::new("delvm", "tag", "delete a VM snapshot from its tag").args(&[NAME]),
        nothing,
    ),
    (
        HmpRow::new("drive_backup", "[-n] [-f] [-c] device target [format]", "initiates a point-in-time\n\t\t\tcopy for a device. The device's contents are\n\t\t\tcopied to the new image file, excluding data that\n\t\t\tis written after the command is started.\n\t\t\tThe -n flag requests QEMU to reuse the image found\n\t\t\tin new-image-file, instead of recreating it from scratch.\n\t\t\tThe -f flag requests QEMU to copy the whole disk,\n\t\t\tso that the result does not need a backing file.\n\t\t\tThe -c flag requests QEMU to compress backup data\n\t\t\t(if the target format supports it).\n\t\t\t")
        .args(&[
            HmpArg::new("reuse", Flag('n')),
            HmpArg::new("full", Flag('f')),
            HmpArg::new("compress", Flag('c')),
            DEVICE,
            HmpArg::new("target", Str),
            HmpArg::new("format", Str).optional(),
        ]),
        no_block_device,
    ),
    (
        HmpRow::new("drive_del", "device", "remove host block device").args(&[DEVICE]),
        |hmp, args| {
            let device = args.str("device");
            hmp.print(format!("Device '{device}' not found\n"));
        },
    ),
    (
        HmpRow::new("drive_mirror", "[-n] [-f] device target [format]", "initiates live storage\n\t\t\tmigration for a device. The device's contents are\n\t\t\tcopied to the new image file, including data that\n\t\t\tis written after the command is started.\n\t\t\tThe -n flag requests QEMU to reuse the image found\n\t\t\tin new-image-file, instead of recreating it from scratch.\n\t\t\tThe -f flag requests QEMU to copy the whole disk,\n\t\t\tso that the result does not need a backing file.\n\t\t\t")
        .args(&[
            HmpArg::new("reuse", Flag('n')),
            HmpArg::new("full", Flag('f')),
            DEVICE,
            HmpArg::new("target", Str),
            HmpArg::new("format", Str).optional(),
        ]),
        no_block_device,
    ),
    (
        HmpRow::new("eject", "[-f] device", "eject a removable medium (use -f to force it)")
        .args(&[HmpArg::new("force", Flag('f')), DEVICE]),
        no_device,
    ),
    (
        HmpRow::new("loadvm", "tag", "restore a VM snapshot from its tag").args(&[NAME]),
        no_vmstate,
    ),
    (
        HmpRow::new("savevm", "tag", "save a VM snapshot. If no tag is provided, a new snapshot is created").args(&[NAME.optional()]),
        no_vmstate,
    ),
    (
        HmpRow::new("snapshot_blkdev", "[-n] device [new-image-file] [format]", "initiates a live snapshot\n\t\t\tof device. If a new image file is specified, the\n\t\t\tnew image file will become the new root image.\n\t\t\tIf format is specified, the snapshot file will\n\t\t\tbe created in that format.\n\t\t\tThe default format is qcow2.  The -n flag requests QEMU\n\t\t\tto reuse the image found in new-image-file, instead of\n\t\t\trecreating it from scratch.")
        .args(&[
            HmpArg::new("reuse", Flag('n')),
            DEVICE,
            HmpArg::new("snapshot-file", Str).optional(),
            HmpArg::new("format", Str).optional(),
        ]),
        |hmp, args| match args.try_str("snapshot-file") {
            None => fail(hmp, "Parameter 'snapshot-file' is missing"),
            Some(_) => {
                let device = args.str("device");
                fail(
                    hmp,
                    format!("Cannot find device='{device}' nor node-name=''"),
                );
            }
        },
    ),
    (
        HmpRow::new("snapshot_blkdev_internal", "device name", "take an internal snapshot of device.\n\t\t\tThe format of the image used by device must\n\t\t\tsupport it, such as qcow2.\n\t\t\t")
        .args(&[DEVICE, NAME]),
        no_block_device,
    ),
    (
        HmpRow::new("snapshot_delete_blkdev_internal", "device name [id]", "delete an internal snapshot of device.\n\t\t\tIf id is specified, qemu will try delete\n\t\t\tthe snapshot matching both id and name.\n\t\t\tThe format of the image used by device must\n\t\t\tsupport it, such as qcow2.\n\t\t\t")
        .args(&[DEVICE, NAME, HmpArg::new("id", Str).optional()]),
        no_block_device,
    ),
];

/// All others.
pub(super) const OTHERS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("boot_set", "bootdevice", "define new values for the boot device list")
            .args(&[HmpArg::new("bootdevice", Str)]),
        |hmp, _| {
            hmp.print("no function defined to set boot device list for this architecture\n");
        },
    ),
    (
        HmpRow::new("dumpdtb", "filename", "dump the FDT in dtb format to 'filename'")
            .args(&[HmpArg::new("filename", File)]),
        |hmp, _| {
            let e = Error::new("This machine doesn't have an FDT").with_hint(
                "(Perhaps it doesn't support FDT at all, or perhaps you need to provide an \
                 FDT with the -fdt option?)\n",
            );
            hmp.handle_error(Err::<(), _>(e));
        },
    ),
    (
        HmpRow::new("gpa2hpa", "addr", "print the host physical address corresponding to a guest physical address")
        .args(&[HmpArg::new("addr", Int)]),
        unmapped,
    ),
    (
        HmpRow::new("gpa2hva", "addr", "print the host virtual address corresponding to a guest physical address")
        .args(&[HmpArg::new("addr", Int)]),
        unmapped,
    ),
    (
        HmpRow::new("gva2gpa", "addr", "print the guest physical address corresponding to a guest virtual address")
        .args(&[HmpArg::new("addr", Int)]),
        |hmp, _| hmp.print("No cpu\n"),
    ),
    (
        HmpRow::new("hostfwd_add", "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport", "redirect TCP or UDP connections from host to guest (requires -net user)")
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        no_user_network,
    ),
    (
        HmpRow::new("hostfwd_remove", "[netdev_id] [tcp|udp]:[hostaddr]:hostport", "remove host-to-guest TCP or UDP redirection")
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        no_user_network,
    ),
    (
        HmpRow::new("mouse_button", "state", "change mouse button state (1=L, 2=M, 4=R)")
        .args(&[HmpArg::new("button_state", Int32)]),
        nothing,
    ),
    (
        HmpRow::new("mouse_move", "dx dy [dz]", "send mouse move events").args(&[
            HmpArg::new("dx_str", Str),
            HmpArg::new("dy_str", Str),
            HmpArg::new("dz_str", Str).optional(),
        ]),
        nothing,
    ),
    (
        HmpRow::new("mouse_set", "index", "set which mouse device receives events")
            .args(&[HmpArg::new("index", Int32)]),
        |hmp, args| {
            let index = args.int("index");
            fail(hmp, format!("Mouse at index '{index}' not found"));
        },
    ),
    (
        HmpRow::new("pcie_aer_inject_error", "[-a] [-c] id <error_status> [<tlp header> [<tlp header prefix>]]", "inject pcie aer error\n\t\t\t -a for advisory non fatal error\n\t\t\t -c for correctable error\n\t\t\t<id> = qdev device id\n\t\t\t<error_status> = error string or 32bit\n\t\t\t<tlp header> = 32bit x 4\n\t\t\t<tlp header prefix> = 32bit x 4")
        .args(&[
            HmpArg::new("advisory_non_fatal", Flag('a')),
            HmpArg::new("correctable", Flag('c')),
            HmpArg::new("id", Str),
            HmpArg::new("error_status", Str),
            HmpArg::new("header0", Int32).optional(),
            HmpArg::new("header1", Int32).optional(),
            HmpArg::new("header2", Int32).optional(),
            HmpArg::new("header3", Int32).optional(),
            HmpArg::new("prefix0", Int32).optional(),
            HmpArg::new("prefix1", Int32).optional(),
            HmpArg::new("prefix2", Int32).optional(),
            HmpArg::new("prefix3", Int32).optional(),
        ]),
        |hmp, args| {
            let id = args.str("id");
            fail(hmp, format!("device '{id}' not found"));
        },
    ),
    (
        HmpRow::new("replay_break", "icount", "set breakpoint at the specified instruction count")
            .args(&[HmpArg::new("icount", Int)]),
        |hmp, _| hmp.print("setting the breakpoint is allowed only in play mode\n"),
    ),
    (
        HmpRow::new("replay_delete_break", "", "remove replay breakpoint"),
        |hmp, _| hmp.print("replay breakpoints are allowed only in play mode\n"),
    ),
    (
        HmpRow::new("replay_seek", "icount", "replay execution to the specified instruction count")
            .args(&[HmpArg::new("icount", Int)]),
        |hmp, _| hmp.print("replay must be enabled to seek\n"),
    ),
    (
        HmpRow::new("stopcapture", "capture index", "stop capture")
            .args(&[HmpArg::new("n", Int32)]),
        nothing,
    ),
    (
        HmpRow::new("wavcapture", "path audiodev [frequency [bits [channels]]]", "capture audio to a wave file (default frequency=44100 bits=16 channels=2)")
        .args(&[
            HmpArg::new("path", File),
            HmpArg::new("audiodev", Str),
            HmpArg::new("freq", Int32).optional(),
            HmpArg::new("bits", Int32).optional(),
            HmpArg::new("nchannels", Int32).optional(),
        ]),
        |hmp, args| {
            let audiodev = args.str("audiodev");
            hmp.print(format!("audiodev '{audiodev}' not found\n"));
        },
    ),
    (
        HmpRow::new("xen-event-inject", "port", "inject event channel")
            .args(&[HmpArg::new("port", Int32)]),
        no_xen,
    ),
    (
        HmpRow::new("xen-event-list", "", "list event channel state"),
        no_xen,
    ),
];
