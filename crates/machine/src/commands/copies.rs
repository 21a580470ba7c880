//! Copies of disks to files.

use super::jobs::with_jobs;
use super::snapshots;
use crate::schema::{BlockdevSnapshotSync, DriveBackup, DriveMirror, QueriesMirrorCommands};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl QueriesMirrorCommands for Machine {
    fn qmp_drive_mirror(rt: &mut Rt, arg: DriveMirror) -> Result<(), Error> {
        super::mirrors::drive_mirror(rt, arg)
    }

    fn qmp_drive_backup(rt: &mut Rt, arg: DriveBackup) -> Result<(), Error> {
        super::backups::alone(rt, |m| super::backups::make_drive_backup(m, arg, None))
    }

    fn qmp_blockdev_snapshot_sync(rt: &mut Rt, arg: BlockdevSnapshotSync) -> Result<(), Error> {
        with_jobs(rt, |m| {
            m.jobs.drained(|_| true);
            let snapshot = snapshots::take_new(m, &arg)?;
            snapshots::keep(m, &snapshot);
            Ok(())
        })
    }
}
