//! Copies and snapshots of disks as people ask for them.

use super::hmp::{fail, Cx};
use crate::schema::{
    BlockCopyCommands, BlockStream, BlockdevSnapshotInternal, BlockdevSnapshotSync, DriveBackup,
    DriveMirror, MirrorSyncMode, NewImageMode, QueriesMirrorCommands,
};
use crate::Machine;
use qmonitor::monitor::hmp::HmpArgs;

fn mode(args: &HmpArgs) -> Option<NewImageMode> {
    Some(if args.flag("reuse") {
        NewImageMode::Existing
    } else {
        NewImageMode::AbsolutePaths
    })
}

fn sync(args: &HmpArgs) -> MirrorSyncMode {
    if args.flag("full") {
        MirrorSyncMode::Full
    } else {
        MirrorSyncMode::Top
    }
}

pub(super) fn block_stream(hmp: Cx, args: &HmpArgs) {
    let stream = BlockStream {
        job_id: Some(args.str("device").to_owned()),
        device: args.str("device").to_owned(),
        base: args.try_str("base").map(str::to_owned),
        base_node: None,
        backing_file: None,
        backing_mask_protocol: None,
        bottom: None,
        speed: args.try_int("speed"),
        on_error: None,
        filter_node_name: None,
        auto_finalize: None,
        auto_dismiss: None,
    };
    let result = Machine::qmp_block_stream(hmp.rt, stream);
    hmp.handle_error(result);
}

#[allow(deprecated)] // It is still to be taken.
pub(super) fn drive_backup(hmp: Cx, args: &HmpArgs) {
    let backup = DriveBackup {
        job_id: None,
        device: args.str("device").to_owned(),
        sync: sync(args),
        speed: None,
        bitmap: None,
        bitmap_mode: None,
        compress: Some(args.flag("compress")),
        on_source_error: None,
        on_target_error: None,
        on_cbw_error: None,
        auto_finalize: None,
        auto_dismiss: None,
        filter_node_name: None,
        discard_source: None,
        x_perf: None,
        target: args.str("target").to_owned(),
        format: args.try_str("format").map(str::to_owned),
        mode: mode(args),
    };
    let result = Machine::qmp_drive_backup(hmp.rt, backup);
    hmp.handle_error(result);
}

pub(super) fn drive_mirror(hmp: Cx, args: &HmpArgs) {
    let mirror = DriveMirror {
        job_id: None,
        device: args.str("device").to_owned(),
        target: args.str("target").to_owned(),
        format: args.try_str("format").map(str::to_owned),
        node_name: None,
        replaces: None,
        sync: sync(args),
        mode: mode(args),
        speed: None,
        granularity: None,
        buf_size: None,
        on_source_error: None,
        on_target_error: None,
        unmap: Some(true),
        copy_mode: None,
        auto_finalize: None,
        auto_dismiss: None,
    };
    let result = Machine::qmp_drive_mirror(hmp.rt, mirror);
    hmp.handle_error(result);
}

pub(super) fn snapshot_blkdev(hmp: Cx, args: &HmpArgs) {
    let Some(file) = args.try_str("snapshot-file") else {
        return fail(hmp, "Parameter 'snapshot-file' is missing");
    };
    let snapshot = BlockdevSnapshotSync {
        device: Some(args.str("device").to_owned()),
        node_name: None,
        snapshot_file: file.to_owned(),
        snapshot_node_name: None,
        format: args.try_str("format").map(str::to_owned),
        mode: mode(args),
    };
    let result = Machine::qmp_blockdev_snapshot_sync(hmp.rt, snapshot);
    hmp.handle_error(result);
}

pub(super) fn snapshot_blkdev_internal(hmp: Cx, args: &HmpArgs) {
    let snapshot = BlockdevSnapshotInternal {
        device: args.str("device").to_owned(),
        name: args.str("name").to_owned(),
    };
    let result = Machine::qmp_blockdev_snapshot_internal_sync(hmp.rt, snapshot);
    hmp.handle_error(result);
}

pub(super) fn snapshot_delete_blkdev_internal(hmp: Cx, args: &HmpArgs) {
    let device = args.str("device").to_owned();
    let id = args.try_str("id").map(str::to_owned);
    let name = Some(args.str("name").to_owned());
    let result = Machine::qmp_blockdev_snapshot_delete_internal_sync(hmp.rt, device, id, name);
    hmp.handle_error(result);
}
