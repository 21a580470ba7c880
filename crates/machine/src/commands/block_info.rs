//! What nodes and their images are, for `query-block` and `query-named-block-nodes`.

use super::block_limits;
use crate::model::block::{Bitmap, BlockNode, Drive, Qcow2, Snapshot};
use crate::schema::{
    BlockDeviceInfo, BlockDirtyInfo, BlockdevCacheInfo, BlockdevDriver, ImageInfo,
    ImageInfoSpecific, ImageInfoSpecificFile, ImageInfoSpecificFileWrapper, ImageInfoSpecificQCow2,
    ImageInfoSpecificQCow2Wrapper, Qcow2BitmapInfo, Qcow2BitmapInfoFlags, SnapshotInfo,
};
use crate::Machine;

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A node, perhaps in a drive. What is below it is told unless the list is to be flat.
pub(super) fn device_info(
    m: &Machine,
    node: &BlockNode,
    drive: Option<&Drive>,
    flat: bool,
) -> BlockDeviceInfo {
    let limits = drive.map(|d| d.limits).unwrap_or_default();
    let group = drive.filter(|_| !limits.is_unlimited());
    let backing = m.blocks.backing_of(node).filter(|_| !node.is_filter());
    let backing = backing.map(|below| m.blocks.filename(m.blocks.skip_hidden(below)));
    BlockDeviceInfo {
        file: m.blocks.filename(node),
        node_name: Some(node.name.clone()),
        ro: node.read_only,
        drv: node.driver_name().to_owned(),
        backing_file: backing,
        children: block_limits::children(&m.blocks, node),
        backing_file_depth: if flat { 0 } else { depth(m, node) },
        active: true,
        encrypted: false,
        detect_zeroes: node.detect_zeroes,
        bps: limits.bps[0],
        bps_rd: limits.bps[1],
        bps_wr: limits.bps[2],
        iops: limits.iops[0],
        iops_rd: limits.iops[1],
        iops_wr: limits.iops[2],
        image: image_info(m, node, flat),
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
        write_threshold: signed(node.write_threshold),
        dirty_bitmaps: (!node.bitmaps.is_empty())
            .then(|| node.bitmaps.iter().map(|b| bitmap_info(node, b)).collect()),
    }
}

/// How many nodes are below in the chain.
pub(super) fn depth(m: &Machine, node: &BlockNode) -> i64 {
    let below = m.blocks.next_of_chain(node);
    below.map_or(0, |below| 1 + depth(m, below))
}

fn bitmap_info(node: &BlockNode, bitmap: &Bitmap) -> BlockDirtyInfo {
    BlockDirtyInfo {
        name: bitmap.name.clone(),
        count: signed(bitmap.set.bytes()),
        granularity: bitmap.set.granularity(),
        // QEMU's filters mark bitmaps themselves.
        recording: !node.is_filter() && (bitmap.enabled || bitmap.busy && bitmap.name.is_none()),
        busy: bitmap.busy,
        persistent: bitmap.persistent,
        inconsistent: bitmap.inconsistent.then_some(true),
    }
}

fn image_info(m: &Machine, node: &BlockNode, flat: bool) -> ImageInfo {
    let blocks = &m.blocks;
    let image = node.qcow2();
    let names = blocks.named_backing(node);
    let mut shown = node;
    while let Some(below) = blocks.next_of_chain(shown).filter(|_| shown.is_filter()) {
        shown = below;
    }
    ImageInfo {
        filename: blocks.filename(node),
        format: node.driver_name().to_owned(),
        dirty_flag: blocks.has_file(node).then_some(false),
        actual_size: blocks.actual_size(&node.name).map(signed),
        virtual_size: signed(blocks.length(&node.name)),
        cluster_size: shown.qcow2().map(|q| signed(q.header.cluster_size())),
        encrypted: None,
        compressed: None,
        full_backing_filename: names.as_ref().map(|(_, full)| full.clone()),
        backing_filename: names.map(|(named, _)| named),
        backing_filename_format: image
            .filter(|q| q.header.backing.is_some())
            .and_then(|q| q.header.backing_format.clone()),
        snapshots: image
            .filter(|q| !q.snapshots.is_empty())
            .map(|q| q.snapshots.iter().map(snapshot_info).collect()),
        limits: Some(block_limits::limits(node)),
        format_specific: image_specific(node),
        backing_image: blocks
            .next_of_chain(node)
            .filter(|_| !flat)
            .map(|below| Box::new(image_info(m, below, false))),
    }
}

/// An internal snapshot.
pub(super) fn snapshot_info(snapshot: &Snapshot) -> SnapshotInfo {
    let second = 1_000_000_000;
    SnapshotInfo {
        id: snapshot.id.clone(),
        name: snapshot.name.clone(),
        vm_state_size: signed(snapshot.vm_state_size),
        date_sec: i64::from(snapshot.date.0),
        date_nsec: i64::from(snapshot.date.1),
        vm_clock_sec: signed(snapshot.vm_clock / second),
        vm_clock_nsec: signed(snapshot.vm_clock % second),
        icount: snapshot.icount.map(signed),
    }
}

fn image_specific(node: &BlockNode) -> Option<ImageInfoSpecific> {
    if node.driver == BlockdevDriver::File && node.job_driver.is_none() {
        return Some(ImageInfoSpecific::File(ImageInfoSpecificFileWrapper {
            data: ImageInfoSpecificFile {
                extent_size_hint: None,
            },
        }));
    }
    let data = qcow2_info(node.qcow2()?);
    Some(ImageInfoSpecific::Qcow2(ImageInfoSpecificQCow2Wrapper {
        data,
    }))
}

fn qcow2_info(image: &Qcow2) -> ImageInfoSpecificQCow2 {
    let header = &image.header;
    let is_v3 = header.version >= 3;
    let bitmaps: Vec<_> = image.stored_bitmaps().iter().map(stored_info).collect();
    ImageInfoSpecificQCow2 {
        compat: if is_v3 { "1.1" } else { "0.10" }.to_owned(),
        data_file: None,
        data_file_raw: None,
        extended_l2: is_v3.then_some(false),
        lazy_refcounts: is_v3.then_some(header.has_lazy_refcounts()),
        corrupt: is_v3.then_some(header.is_corrupt()),
        refcount_bits: 1 << header.refcount_order,
        encrypt: None,
        bitmaps: (!bitmaps.is_empty()).then_some(bitmaps),
        compression_type: header.compression(),
    }
}

fn stored_info(bitmap: &crate::model::block::StoredBitmap) -> Qcow2BitmapInfo {
    let mut flags = Vec::new();
    if bitmap.is_in_use() {
        flags.push(Qcow2BitmapInfoFlags::InUse);
    }
    if bitmap.is_auto() {
        flags.push(Qcow2BitmapInfoFlags::Auto);
    }
    Qcow2BitmapInfo {
        name: bitmap.name.clone(),
        granularity: 1 << bitmap.granularity_bits,
        flags,
    }
}
