//! Disks: `block.json`, `blockdev.json`, `block-stats.json`, and the option
//! `-blockdev`.

use crate::model::block::{BlockNode, Drive, IoLimits};
use crate::schema::{
    BlockCommands, BlockDeviceInfo, BlockDeviceIoStatus, BlockDeviceStats, BlockIOThrottle,
    BlockInfo, BlockStats, BlockStatsCommands, BlockStatsSpecific, BlockStatsSpecificFile,
    BlockdevCacheInfo, BlockdevCommands, BlockdevDriver, BlockdevOptions, ImageInfo,
    ImageInfoSpecific, ImageInfoSpecificFile, ImageInfoSpecificFileWrapper, StrOrNull,
};
use crate::Machine;
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
    fn qmp_query_block(rt: &mut Runtime<Self>) -> Result<Vec<BlockInfo>, Error> {
        let info = |drive: Drive| {
            let node = drive.node.as_deref();
            let node = node.and_then(|name| rt.state.blocks.node(name));
            BlockInfo {
                device: String::new(),
                r#type: "unknown".to_owned(),
                removable: drive.removable,
                locked: false,
                inserted: node.map(|node| device_info(&rt.state, node, Some(&drive))),
                tray_open: drive.removable.then_some(false),
                io_status: Some(BlockDeviceIoStatus::Ok),
                qdev: Some(drive.qdev),
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
            // No device has a name of that kind.
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
        let qdev = match (throttle.device, throttle.id) {
            (Some(qdev), None) | (None, Some(qdev)) => qdev,
            _ => return Err(Error::new("Need exactly one of 'device' and 'id'")),
        };
        let limits = IoLimits {
            bps: [throttle.bps, throttle.bps_rd, throttle.bps_wr],
            iops: [throttle.iops, throttle.iops_rd, throttle.iops_wr],
        };
        rt.state.set_io_limits(&qdev, limits)
    }
}

impl BlockStatsCommands for Machine {
    fn qmp_query_blockstats(
        rt: &mut Runtime<Self>,
        query_nodes: Option<bool>,
    ) -> Result<Vec<BlockStats>, Error> {
        let m = &rt.state;
        if query_nodes == Some(true) {
            return Ok(m.blocks.nodes().map(node_stats).collect());
        }
        let stats = |drive: Drive| {
            let node = drive.node.as_deref().and_then(|name| m.blocks.node(name));
            BlockStats {
                device: Some(String::new()),
                qdev: Some(drive.qdev),
                ..match node {
                    Some(node) => node_stats(node),
                    None => no_stats(),
                }
            }
        };
        Ok(m.drives().into_iter().map(stats).collect())
    }
}

fn device_info(m: &Machine, node: &BlockNode, drive: Option<&Drive>) -> BlockDeviceInfo {
    let limits = drive.map(|d| d.limits).unwrap_or_default();
    let group = drive.filter(|_| !limits.is_unlimited());
    BlockDeviceInfo {
        file: node.filename.clone(),
        node_name: Some(node.name.clone()),
        ro: node.read_only,
        drv: node.driver.as_str().to_owned(),
        backing_file: None,
        backing_file_depth: 0,
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
        group: group.map(|d| d.qdev.clone()),
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
    let specific = ImageInfoSpecific::File(ImageInfoSpecificFileWrapper {
        data: ImageInfoSpecificFile {
            extent_size_hint: None,
        },
    });
    ImageInfo {
        filename: node.filename.clone(),
        format: node.driver.as_str().to_owned(),
        dirty_flag: Some(false),
        actual_size: Some(signed(m.blocks.actual_size(&node.name))),
        virtual_size: signed(m.blocks.virtual_size(&node.name)),
        cluster_size: None,
        encrypted: None,
        compressed: None,
        backing_filename: None,
        full_backing_filename: None,
        backing_filename_format: None,
        snapshots: None,
        format_specific: (node.driver == BlockdevDriver::File).then_some(specific),
        backing_image: None,
    }
}

fn node_stats(node: &BlockNode) -> BlockStats {
    let specific = BlockStatsSpecific::File(BlockStatsSpecificFile {
        discard_nb_ok: 0,
        discard_nb_failed: 0,
        discard_bytes_ok: 0,
    });
    BlockStats {
        node_name: Some(node.name.clone()),
        driver_specific: (node.driver == BlockdevDriver::File).then_some(specific),
        ..no_stats()
    }
}

/// Nothing was ever done.
fn no_stats() -> BlockStats {
    BlockStats {
        device: None,
        qdev: None,
        node_name: None,
        stats: BlockDeviceStats {
            rd_bytes: 0,
            wr_bytes: 0,
            zone_append_bytes: 0,
            unmap_bytes: 0,
            rd_operations: 0,
            wr_operations: 0,
            zone_append_operations: 0,
            flush_operations: 0,
            unmap_operations: 0,
            rd_total_time_ns: 0,
            wr_total_time_ns: 0,
            zone_append_total_time_ns: 0,
            flush_total_time_ns: 0,
            unmap_total_time_ns: 0,
            wr_highest_offset: 0,
            rd_merged: 0,
            wr_merged: 0,
            zone_append_merged: 0,
            unmap_merged: 0,
            idle_time_ns: None,
            failed_rd_operations: 0,
            failed_wr_operations: 0,
            failed_zone_append_operations: 0,
            failed_flush_operations: 0,
            failed_unmap_operations: 0,
            invalid_rd_operations: 0,
            invalid_wr_operations: 0,
            invalid_zone_append_operations: 0,
            invalid_flush_operations: 0,
            invalid_unmap_operations: 0,
            account_invalid: true,
            account_failed: true,
            timed_stats: Vec::new(),
            rd_latency_histogram: None,
            wr_latency_histogram: None,
            zone_append_latency_histogram: None,
            flush_latency_histogram: None,
        },
        driver_specific: None,
        parent: None,
        backing: None,
    }
}
