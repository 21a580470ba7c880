//! HMP commands about disks, migration and whatever else this machine has
//! none of. Each takes QEMU's arguments and answers what QEMU answers about a
//! machine without such things, so that scripts fail, or do not, as they do
//! there.

use std::borrow::Cow;

use super::Machine;
use crate::monitor::hmp::ArgKind::*;
use crate::monitor::hmp::{Hmp, HmpArg, HmpArgs, HmpHandler, HmpRow};
use crate::qapi::Error;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// A row and what answers it.
pub(super) type Absent = (HmpRow, HmpHandler<Machine>);

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

fn no_user_network(hmp: Cx, _args: &HmpArgs) {
    hmp.print("user mode network stack not in use\n");
}

fn no_xen(hmp: Cx, _args: &HmpArgs) {
    fail(hmp, "Xen event channel emulation not enabled");
}

fn unmapped(hmp: Cx, args: &HmpArgs) {
    let address = args.int("addr");
    hmp.print(format!("No memory is mapped at address {address:#x}\n"));
}

/// Those about disks.
pub(super) const BLOCK: &[Absent] = &[
    (
        HmpRow::new(
            "block_job_cancel",
            "[-f] device",
            "cancel a block job (-f: at once)",
        )
        .args(&[HmpArg::new("force", Flag('f')), DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_complete", "device", "complete a block job").args(&[DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_pause", "device", "pause a block job").args(&[DEVICE]),
        no_job,
    ),
    (
        HmpRow::new("block_job_resume", "device", "resume a paused block job").args(&[DEVICE]),
        no_job,
    ),
    (
        HmpRow::new(
            "block_job_set_speed",
            "device speed",
            "limit the speed of a block job",
        )
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
        HmpRow::new(
            "block_set_io_throttle",
            "device bps bps_rd bps_wr iops iops_rd iops_wr",
            "limit the throughput of a block device",
        )
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
        HmpRow::new(
            "block_stream",
            "device [speed [base]]",
            "copy from a backing file into a block device",
        )
        .args(&[
            DEVICE,
            HmpArg::new("speed", Size).optional(),
            HmpArg::new("base", Str).optional(),
        ]),
        no_block_device,
    ),
    (
        HmpRow::new(
            "change",
            "device [-f] filename [format [read-only-mode]]",
            "change a removable medium (-f: even if it is locked)",
        )
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
        HmpRow::new("commit", "device|all", "write changes back to disk images").args(&[DEVICE]),
        |hmp, args| match args.str("device") {
            "all" => {}
            device => hmp.print(format!("Device '{device}' not found\n")),
        },
    ),
    (
        HmpRow::new("delvm", "tag", "delete a snapshot of the machine").args(&[NAME]),
        nothing,
    ),
    (
        HmpRow::new(
            "drive_backup",
            "[-n] [-f] [-c] device target [format]",
            "back a device up",
        )
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
        HmpRow::new("drive_del", "device", "remove a host block device").args(&[DEVICE]),
        |hmp, args| {
            let device = args.str("device");
            hmp.print(format!("Device '{device}' not found\n"));
        },
    ),
    (
        HmpRow::new(
            "drive_mirror",
            "[-n] [-f] device target [format]",
            "mirror a device",
        )
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
        HmpRow::new(
            "eject",
            "[-f] device",
            "eject a removable medium (-f: by force)",
        )
        .args(&[HmpArg::new("force", Flag('f')), DEVICE]),
        no_device,
    ),
    (
        HmpRow::new("loadvm", "tag", "go back to a snapshot of the machine").args(&[NAME]),
        no_vmstate,
    ),
    (
        HmpRow::new("savevm", "tag", "make a snapshot of the machine").args(&[NAME.optional()]),
        no_vmstate,
    ),
    (
        HmpRow::new(
            "snapshot_blkdev",
            "[-n] device [new-image-file] [format]",
            "make a snapshot of a device",
        )
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
        HmpRow::new(
            "snapshot_blkdev_internal",
            "device name",
            "make a snapshot of a device within its image",
        )
        .args(&[DEVICE, NAME]),
        no_block_device,
    ),
    (
        HmpRow::new(
            "snapshot_delete_blkdev_internal",
            "device name [id]",
            "delete a snapshot within a device's image",
        )
        .args(&[DEVICE, NAME, HmpArg::new("id", Str).optional()]),
        no_block_device,
    ),
    (
        HmpRow::new(
            "nbd_server_stop",
            "nbd_server_stop",
            "stop serving block devices",
        ),
        |hmp, _| fail(hmp, "NBD server not running"),
    ),
];

/// All others.
pub(super) const OTHERS: &[Absent] = &[
    (
        HmpRow::new("boot_set", "bootdevice", "choose what to boot from")
            .args(&[HmpArg::new("bootdevice", Str)]),
        |hmp, _| {
            hmp.print("no function defined to set boot device list for this architecture\n");
        },
    ),
    (
        HmpRow::new("dumpdtb", "filename", "write the device tree to a file")
            .args(&[HmpArg::new("filename", File)]),
        |hmp, _| fail(hmp, "This machine doesn't have an FDT"),
    ),
    (
        HmpRow::new(
            "gpa2hpa",
            "addr",
            "tell the host's physical address of a guest's",
        )
        .args(&[HmpArg::new("addr", Int)]),
        unmapped,
    ),
    (
        HmpRow::new(
            "gpa2hva",
            "addr",
            "tell the host's virtual address of a guest's",
        )
        .args(&[HmpArg::new("addr", Int)]),
        unmapped,
    ),
    (
        HmpRow::new(
            "gva2gpa",
            "addr",
            "tell the physical address of a virtual one",
        )
        .args(&[HmpArg::new("addr", Int)]),
        |hmp, _| hmp.print("No cpu\n"),
    ),
    (
        HmpRow::new(
            "hostfwd_add",
            "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
            "redirect connections from the host to the guest",
        )
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        no_user_network,
    ),
    (
        HmpRow::new(
            "hostfwd_remove",
            "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
            "end a redirection",
        )
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        no_user_network,
    ),
    (
        HmpRow::new(
            "migrate",
            "[-d] [-r] uri",
            "move the machine to another host (-d: in the background; -r: go on)",
        )
        .args(&[
            HmpArg::new("detach", Flag('d')),
            HmpArg::new("resume", Flag('r')),
            HmpArg::new("uri", Str),
        ]),
        |hmp, _| fail(hmp, "this machine cannot be migrated"),
    ),
    (
        HmpRow::new("migrate_cancel", "", "stop moving the machine"),
        nothing,
    ),
    (
        HmpRow::new("migrate_incoming", "uri", "wait for a machine to move here")
            .args(&[HmpArg::new("uri", Str)]),
        |hmp, _| fail(hmp, "'-incoming' was not specified on the command line"),
    ),
    (
        HmpRow::new(
            "mouse_button",
            "state",
            "press mouse buttons (1=L, 2=M, 4=R)",
        )
        .args(&[HmpArg::new("button_state", Int32)]),
        nothing,
    ),
    (
        HmpRow::new("mouse_move", "dx dy [dz]", "move the mouse").args(&[
            HmpArg::new("dx_str", Str),
            HmpArg::new("dy_str", Str),
            HmpArg::new("dz_str", Str).optional(),
        ]),
        nothing,
    ),
    (
        HmpRow::new("mouse_set", "index", "choose the mouse that gets events")
            .args(&[HmpArg::new("index", Int32)]),
        |hmp, args| {
            let index = args.int("index");
            fail(hmp, format!("Mouse at index '{index}' not found"));
        },
    ),
    (
        HmpRow::new(
            "pcie_aer_inject_error",
            "[-a] [-c] id error_status",
            "inject a PCIe error",
        )
        .args(&[
            HmpArg::new("advisory_non_fatal", Flag('a')),
            HmpArg::new("correctable", Flag('c')),
            HmpArg::new("id", Str),
            HmpArg::new("error_status", Str),
        ]),
        |hmp, args| {
            let id = args.str("id");
            fail(hmp, format!("device '{id}' not found"));
        },
    ),
    (
        HmpRow::new("replay_break", "icount", "stop a replay at an instruction")
            .args(&[HmpArg::new("icount", Int)]),
        |hmp, _| hmp.print("setting the breakpoint is allowed only in play mode\n"),
    ),
    (
        HmpRow::new(
            "replay_delete_break",
            "",
            "remove the breakpoint of a replay",
        ),
        |hmp, _| hmp.print("replay breakpoints are allowed only in play mode\n"),
    ),
    (
        HmpRow::new("replay_seek", "icount", "replay up to an instruction")
            .args(&[HmpArg::new("icount", Int)]),
        |hmp, _| hmp.print("replay must be enabled to seek\n"),
    ),
    (
        HmpRow::new("stopcapture", "capture index", "stop capturing sound")
            .args(&[HmpArg::new("n", Int32)]),
        nothing,
    ),
    (
        HmpRow::new(
            "wavcapture",
            "path audiodev [frequency [bits [channels]]]",
            "capture sound to a file",
        )
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
        HmpRow::new("xen-event-inject", "port", "send an event to a Xen guest")
            .args(&[HmpArg::new("port", Int32)]),
        no_xen,
    ),
    (
        HmpRow::new("xen-event-list", "", "list the events of a Xen guest"),
        no_xen,
    ),
];
