//! Disks: `block.json`, `blockdev.json`, and the option `-blockdev`.
//!
//! Drives with names of their own come from `-drive`.

use super::block_connect::add_connected;
use super::block_fifo::{add_later, fifo_of};
use super::block_info::device_info;
use super::hmp::{disk_failure, fail, Cx};
use crate::model::block::{no_node, Drive, IoLimits};
use crate::schema::{
    BlockCommands, BlockDeviceInfo, BlockDeviceIoStatus, BlockIOThrottle, BlockInfo,
    BlockMediaCommands, BlockdevCommands, BlockdevOptions, BlockdevOptionsBranch, BlockdevRef,
    MediumChange, StrOrNull,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::error::strerror;
use qmonitor::qapi::visit::{InputVisitor, QapiType};
use qmonitor::qapi::{Error, Responder};
use qmonitor::Runtime;

/// Makes a node from the argument of `-blockdev`: JSON or `DRIVER,key=value,...`.
///
/// # Errors
///
/// The text cannot be read, or as `blockdev-add`.
pub fn blockdev_from_cli(rt: &mut Runtime<Machine>, text: &str) -> Result<(), Error> {
    let mut v = InputVisitor::new_str(text, Some("driver"), rt.policy())?;
    let options = BlockdevOptions::visit_in(&mut v, "")?;
    rt.state.blocks.add(&options)
}

impl BlockCommands for Machine {
    fn qmp_query_block(
        rt: &mut Runtime<Self>,
        _flat: Option<bool>,
    ) -> Result<Vec<BlockInfo>, Error> {
        let info = |drive: Drive| {
            let node = drive.node.as_deref();
            let node = node.and_then(|name| rt.state.blocks.node(name));
            let node = node.map(|node| rt.state.blocks.skip_hidden(node));
            BlockInfo {
                device: drive.device.clone(),
                r#type: "unknown".to_owned(),
                removable: drive.removable,
                locked: false,
                inserted: node.map(|node| device_info(&rt.state, node, Some(&drive), false)),
                tray_open: drive.has_tray.then_some(drive.tray_open),
                io_status: drive.has_io_status.then_some(BlockDeviceIoStatus::Ok),
                qdev: drive.qdev.clone(),
            }
        };
        Ok(rt.state.drives().into_iter().map(info).collect())
    }

    fn qmp_query_named_block_nodes(
        rt: &mut Runtime<Self>,
        flat: Option<bool>,
    ) -> Result<Vec<BlockDeviceInfo>, Error> {
        let m = &rt.state;
        let flat = flat.unwrap_or(false);
        let nodes = m.blocks.nodes();
        Ok(nodes.map(|node| device_info(m, node, None, flat)).collect())
    }

    fn qmp_x_blockdev_set_iothread(
        rt: &mut Runtime<Self>,
        node_name: String,
        iothread: StrOrNull,
        force: Option<bool>,
    ) -> Result<(), Error> {
        let m = &rt.state;
        m.blocks
            .node(&node_name)
            .ok_or_else(|| no_node(&node_name))?;
        if force != Some(true) && m.is_in_drive(&node_name) {
            return Err(Error::new(format!(
                "Node {node_name} is associated with a BlockBackend and could be in use (use force=true to \
                 override this check)"
            )));
        }
        match iothread {
            StrOrNull::S(name) if !m.has_user_object(&name, "iothread") => {
                Err(Error::new(format!("Cannot find iothread {name}")))
            }
            _ => Ok(()),
        }
    }
}

impl BlockdevCommands for Machine {
    fn qmp_blockdev_add(
        rt: &mut Runtime<Self>,
        options: BlockdevOptions,
        responder: Responder<()>,
    ) {
        if fifo_of(&options).is_some() {
            add_later(rt, options, responder);
        } else {
            add_connected(rt, options, responder);
        }
    }

    fn qmp_blockdev_del(rt: &mut Runtime<Self>, node_name: String) -> Result<(), Error> {
        rt.state.blockdev_del(&node_name)
    }

    fn qmp_block_resize(
        rt: &mut Runtime<Self>,
        device: Option<String>,
        node_name: Option<String>,
        size: i64,
    ) -> Result<(), Error> {
        match (device, node_name) {
            (None, Some(node)) => rt.state.blocks.resize(&node, size),
            (Some(device), None) => {
                let drive = rt.state.drives().into_iter().find(|d| d.device == device);
                let drive = drive.ok_or_else(|| {
                    Error::new(format!("Cannot find device='{device}' nor node-name=''"))
                })?;
                let empty = || Error::new(format!("Device '{device}' has no medium"));
                let node = drive.node.ok_or_else(empty)?;
                rt.state.blocks.resize(&node, size)
            }
            (device, node) => Err(Error::new(format!(
                "Cannot find device='{}' nor node-name='{}'",
                device.unwrap_or_default(),
                node.unwrap_or_default()
            ))),
        }
    }

    fn qmp_block_set_io_throttle(
        rt: &mut Runtime<Self>,
        throttle: BlockIOThrottle,
    ) -> Result<(), Error> {
        #[allow(deprecated)] // It is still to be taken.
        let ((Some(qdev), None) | (None, Some(qdev))) = (throttle.device, throttle.id) else {
            return Err(Error::new("Need exactly one of 'device' and 'id'"));
        };
        let limits = IoLimits {
            bps: [throttle.bps, throttle.bps_rd, throttle.bps_wr],
            iops: [throttle.iops, throttle.iops_rd, throttle.iops_wr],
        };
        rt.state.set_io_limits(&qdev, limits)
    }
}

pub(super) fn add_node(rt: &mut Runtime<Machine>, options: &BlockdevOptions) -> Result<(), Error> {
    if let BlockdevOptionsBranch::Throttle(filter) = &options.u {
        let group = &filter.throttle_group;
        if !rt.state.has_user_object(group, "throttle-group") {
            return Err(Error::new(format!(
                "Throttle group '{group}' does not exist"
            )));
        }
    }
    if let (BlockdevOptionsBranch::Qcow2(image), Some(name)) = (&options.u, &options.node_name) {
        let writes = options.read_only != Some(true);
        if let BlockdevRef::Reference(file) = &image.file {
            let is_new = writes && rt.state.blocks.node(name).is_none();
            if is_new && rt.state.blocks.node(file).is_some() {
                rt.state.check_new_image(file, name)?;
            }
        }
    }
    if !rt.state.migration.only_migratable {
        return rt.state.blocks.add(options);
    }
    let names = rt.state.blocks.nodes().map(|node| node.name.clone());
    let known: Vec<String> = names.collect();
    rt.state.blocks.add(options)?;
    rt.state.check_new_nodes(&known).inspect_err(|_| {
        // Nothing uses what has just been made.
        if let Some(name) = &options.node_name {
            let _ = rt.state.blockdev_del(name);
        }
    })
}

const DEVICE: HmpArg = HmpArg::new("device", Block);

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("block_resize", "device size", "resize a block image")
            .args(&[DEVICE, HmpArg::new("size", Size)]),
        |hmp, args| {
            let (device, size) = (args.str("device").to_owned(), args.int("size"));
            let result = Machine::qmp_block_resize(hmp.rt, Some(device), None, size);
            hmp.handle_error(result);
        },
    ),
    (
        HmpRow::new(
            "block_set_io_throttle",
            "device bps bps_rd bps_wr iops iops_rd iops_wr",
            "change I/O throttle limits for a block drive",
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
        hmp_set_io_throttle,
    ),
    (
        HmpRow::new(
            "change",
            "device [-f] filename [format [read-only-mode]]",
            "change a removable medium, optional format, use -f to force the operation",
        )
        .args(&[
            DEVICE,
            HmpArg::new("force", Flag('f')),
            HmpArg::new("target", File),
            HmpArg::new("arg", Str).optional(),
            HmpArg::new("read-only-mode", Str).optional(),
        ]),
        hmp_change,
    ),
    (
        HmpRow::new(
            "commit",
            "device|all",
            "commit changes to the disk images (if -snapshot is used) or backing files",
        )
        .args(&[DEVICE]),
        hmp_commit,
    ),
    (
        HmpRow::new(
            "eject",
            "[-f] device",
            "eject a removable medium (use -f to force it)",
        )
        .args(&[HmpArg::new("force", Flag('f')), DEVICE]),
        |hmp, args| {
            let device = args.str("device").to_owned();
            let result = super::block_media::eject(hmp.rt, Some(device), None);
            hmp.handle_error(result);
        },
    ),
];

fn hmp_commit(hmp: Cx, args: &HmpArgs) {
    let name = args.str("device");
    let blocks = &mut hmp.rt.state.blocks;
    let nodes: Vec<_> = if name == "all" {
        let used = blocks
            .backends
            .iter()
            .filter_map(|b| Some((b.name.clone(), b.node.clone()?)));
        used.filter(|(_, node)| blocks.can_commit(node)).collect()
    } else {
        let Some(backend) = blocks.backends.get(name) else {
            return disk_failure(hmp, &Error::new(format!("Device '{name}' not found")));
        };
        let Some(node) = backend.node.clone() else {
            return disk_failure(hmp, &Error::new(format!("Device '{name}' has no medium")));
        };
        vec![(name.to_owned(), node)]
    };
    for (_, node) in nodes {
        if let Err(e) = blocks.commit_image(&node) {
            let text = format!("'commit' error for '{name}': {}", strerror(&e));
            return disk_failure(hmp, &Error::new(text));
        }
    }
}

fn hmp_change(hmp: Cx, args: &HmpArgs) {
    if args.str("device") == "vnc" {
        if args.try_str("read-only-mode").is_some() {
            return fail(hmp, "Parameter 'read-only-mode' is invalid for VNC");
        }
        return super::vnc::hmp_change_vnc(hmp, args.str("target"), args.try_str("arg"));
    }
    let mode = args.try_str("read-only-mode");
    let read_only_mode = match mode.map(str::parse) {
        None => None,
        Some(Ok(mode)) => Some(mode),
        Some(Err(_)) => {
            let mode = mode.unwrap_or_default();
            return fail(hmp, format!("invalid parameter value: {mode}"));
        }
    };
    #[allow(deprecated)] // It is still to be taken.
    let change = MediumChange {
        device: Some(args.str("device").to_owned()),
        id: None,
        filename: args.str("target").to_owned(),
        format: args.try_str("arg").map(str::to_owned),
        force: Some(args.flag("force")),
        read_only_mode,
    };
    let result = Machine::qmp_blockdev_change_medium(hmp.rt, change);
    hmp.handle_error(result);
}

/// The device is a drive by its name or a device by its id.
fn hmp_set_io_throttle(hmp: Cx, args: &HmpArgs) {
    let name = args.str("device");
    let drives = hmp.rt.state.drives();
    let is_known = drives.iter().any(|d| d.device == name || d.is_called(name));
    if !is_known {
        return fail(hmp, format!("Device '{name}' not found"));
    }
    let number = |name: &str| args.int(name);
    let limits = IoLimits {
        bps: [number("bps"), number("bps_rd"), number("bps_wr")],
        iops: [number("iops"), number("iops_rd"), number("iops_wr")],
    };
    let name = name.to_owned();
    let result = hmp.rt.state.set_io_limits(&name, limits);
    hmp.handle_error(result);
}
