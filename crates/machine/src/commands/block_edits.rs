//! Copies of nodes and snapshots: `block-copy.json`.

use super::jobs::{run_job, with_jobs};
use super::{backups, chains, internal_snapshots, machine_snapshots, mirrors, snapshots};
use crate::schema::{
    BlockCommit, BlockCopyCommands, BlockStream, BlockdevBackup, BlockdevMirror, BlockdevSnapshot,
    BlockdevSnapshotInternal, JobType, SnapshotInfo,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl BlockCopyCommands for Machine {
    fn qmp_blockdev_snapshot(rt: &mut Rt, arg: BlockdevSnapshot) -> Result<(), Error> {
        with_jobs(rt, |m| {
            m.jobs.drained(|_| true);
            let snapshot = snapshots::take(m, &arg)?;
            snapshots::keep(m, &snapshot);
            Ok(())
        })
    }

    fn qmp_change_backing_file(
        rt: &mut Rt,
        device: String,
        image_node_name: String,
        backing_file: String,
    ) -> Result<(), Error> {
        chains::change_backing_file(rt, &device, &image_node_name, &backing_file)
    }

    fn qmp_block_commit(rt: &mut Rt, arg: BlockCommit) -> Result<(), Error> {
        chains::block_commit(rt, arg)
    }

    fn qmp_blockdev_backup(rt: &mut Rt, arg: BlockdevBackup) -> Result<(), Error> {
        backups::alone(rt, |m| backups::make_blockdev_backup(m, arg, None))
    }

    fn qmp_blockdev_mirror(rt: &mut Rt, arg: BlockdevMirror) -> Result<(), Error> {
        mirrors::blockdev_mirror(rt, arg)
    }

    fn qmp_block_stream(rt: &mut Rt, arg: BlockStream) -> Result<(), Error> {
        chains::block_stream(rt, arg)
    }

    fn qmp_blockdev_snapshot_internal_sync(
        rt: &mut Rt,
        arg: BlockdevSnapshotInternal,
    ) -> Result<(), Error> {
        internal_snapshots::take(rt, &arg.device, &arg.name)
    }

    fn qmp_blockdev_snapshot_delete_internal_sync(
        rt: &mut Rt,
        device: String,
        id: Option<String>,
        name: Option<String>,
    ) -> Result<SnapshotInfo, Error> {
        internal_snapshots::delete(rt, &device, id.as_deref(), name.as_deref())
    }

    fn qmp_snapshot_save(
        rt: &mut Rt,
        job_id: String,
        tag: String,
        vmstate: String,
        devices: Vec<String>,
    ) -> Result<(), Error> {
        run_job(rt, job_id, JobType::SnapshotSave, move |rt| {
            machine_snapshots::save(rt, Some(&tag), false, Some(&vmstate), Some(&devices))
        })
    }

    fn qmp_snapshot_load(
        rt: &mut Rt,
        job_id: String,
        tag: String,
        vmstate: String,
        devices: Vec<String>,
    ) -> Result<(), Error> {
        run_job(rt, job_id, JobType::SnapshotLoad, move |rt| {
            machine_snapshots::load(rt, &tag, Some(&vmstate), Some(&devices))
        })
    }

    fn qmp_snapshot_delete(
        rt: &mut Rt,
        job_id: String,
        tag: String,
        devices: Vec<String>,
    ) -> Result<(), Error> {
        run_job(rt, job_id, JobType::SnapshotDelete, move |rt| {
            machine_snapshots::delete(rt, &tag, Some(&devices))
        })
    }
}
