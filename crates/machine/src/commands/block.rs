//! Disks: `block.json`, `blockdev.json`, and the option `-blockdev`.
//!
//! Drives with names of their own come from `-drive`.

use super::block_limits;
use super::hmp::{disk_failure, fail, Cx};
use crate::model::block::{BlockNode, Drive, IoLimits};
use crate::schema::{
    BlockCommands, BlockDeviceInfo, BlockDeviceIoStatus, BlockIOThrottle, BlockInfo,
    BlockMediaCommands, BlockdevCacheInfo, BlockdevCommands, BlockdevDriver, BlockdevOptions,
    ImageInfo, ImageInfoSpecific, ImageInfoSpecificFile, ImageInfoSpecificFileWrapper,
    ImageInfoSpecificQCow2, ImageInfoSpecificQCow2Wrapper, MediumChange, Qcow2CompressionType,
    StrOrNull,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::visit::{InputVisitor, QapiType};
use qmonitor::qapi::Error;
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
            BlockInfo {
                device: drive.device.clone(),
                r#type: "unknown".to_owned(),
                removable: drive.removable,
                locked: false,
                inserted: node.map(|node| device_info(&rt.state, node, Some(&drive))),
                tray_open: drive.has_tray.then_some(drive.tray_open),
                io_status: drive.has_io_status.then_some(BlockDeviceIoStatus::Ok),
                qdev: drive.qdev.clone(),
            }
        };
        Ok(rt.state.drives().into_iter().map(info).collect())
    }

    fn qmp_query_named_block_nodes(
        rt: &mut Runtime<Self>,
        _flat: Option<bool>,
    ) -> Result<Vec<BlockDeviceInfo>, Error> {
        let m = &rt.state;
        Ok(m.blocks.nodes().map(|n| device_info(m, n, None)).collect())
    }

    fn qmp_x_blockdev_set_iothread(
        _: &mut Runtime<Self>,
        node_name: String,
        _iothread: StrOrNull,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        Err(Error::new(format!(
            "Failed to find node with node-name='{node_name}'"
        )))
    }
}

impl BlockdevCommands for Machine {
    fn qmp_blockdev_add(rt: &mut Runtime<Self>, options: BlockdevOptions) -> Result<(), Error> {
        rt.state.blocks.add(&options)
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
                match drive.and_then(|d| d.node) {
                    Some(node) => rt.state.blocks.resize(&node, size),
                    None => Err(Error::new(format!(
                        "Cannot find device='{device}' nor node-name=''"
                    ))),
                }
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

fn device_info(m: &Machine, node: &BlockNode, drive: Option<&Drive>) -> BlockDeviceInfo {
    let limits = drive.map(|d| d.limits).unwrap_or_default();
    let group = drive.filter(|_| !limits.is_unlimited());
    BlockDeviceInfo {
        file: node.filename.clone(),
        node_name: Some(node.name.clone()),
        ro: node.read_only,
        drv: node.driver_name().to_owned(),
        backing_file: m.blocks.backing_of(node).map(|node| node.filename.clone()),
        backing_file_depth: m.blocks.backing_depth(node),
        children: block_limits::children(&m.blocks, node),
        active: true,
        encrypted: false,
        detect_zeroes: node.detect_zeroes,
        bps: limits.bps[0],
        bps_rd: limits.bps[1],
        bps_wr: limits.bps[2],
        iops: limits.iops[0],
        iops_rd: limits.iops[1],
        iops_wr: limits.iops[2],
        image: image_info(m, node),
        bps_max: None,
        bps_rd_max: None,
        bps_wr_max: None,
        iops_max: None,
        iops_rd_max: None,
        iops_wr_max: None,
        bps_max_length: None,
        bps_rd_max_length: None,
        bps_wr_max_length: None,
        iops_max_length: None,
        iops_rd_max_length: None,
        iops_wr_max_length: None,
        iops_size: None,
        group: group.map(|d| d.group.clone().or(d.qdev.clone()).unwrap_or_default()),
        cache: BlockdevCacheInfo {
            writeback: true,
            direct: node.direct,
            no_flush: node.no_flush,
        },
        write_threshold: 0,
        dirty_bitmaps: None,
    }
}

fn image_info(m: &Machine, node: &BlockNode) -> ImageInfo {
    let signed = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    ImageInfo {
        filename: node.filename.clone(),
        format: node.driver_name().to_owned(),
        dirty_flag: Some(false),
        actual_size: Some(signed(m.blocks.actual_size(&node.name))),
        virtual_size: signed(m.blocks.length(&node.name)),
        cluster_size: node.qcow2().map(|q| signed(q.header.cluster_size())),
        encrypted: None,
        compressed: None,
        backing_filename: None,
        full_backing_filename: None,
        backing_filename_format: None,
        snapshots: None,
        limits: Some(block_limits::limits(node)),
        format_specific: image_specific(node),
        backing_image: None,
    }
}

fn image_specific(node: &BlockNode) -> Option<ImageInfoSpecific> {
    match node.driver {
        BlockdevDriver::File => Some(ImageInfoSpecific::File(ImageInfoSpecificFileWrapper {
            data: ImageInfoSpecificFile {
                extent_size_hint: None,
            },
        })),
        BlockdevDriver::Qcow2 => {
            let is_v3 = node.qcow2().is_some_and(|q| q.header.version == 3);
            Some(ImageInfoSpecific::Qcow2(ImageInfoSpecificQCow2Wrapper {
                data: ImageInfoSpecificQCow2 {
                    compat: if is_v3 { "1.1" } else { "0.10" }.to_owned(),
                    data_file: None,
                    data_file_raw: None,
                    extended_l2: is_v3.then_some(false),
                    lazy_refcounts: is_v3.then_some(false),
                    corrupt: is_v3.then_some(false),
                    refcount_bits: 16,
                    encrypt: None,
                    bitmaps: None,
                    compression_type: Qcow2CompressionType::Zlib,
                },
            }))
        }
        _ => None,
    }
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
        no_device,
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
        |hmp, args| match args.str("device") {
            "all" => {}
            device => disk_failure(hmp, &Error::new(format!("Device '{device}' not found"))),
        },
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

fn hmp_change(hmp: Cx, args: &HmpArgs) {
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

fn no_device(hmp: Cx, args: &HmpArgs) {
    fail(hmp, format!("Device '{}' not found", args.str("device")));
}
