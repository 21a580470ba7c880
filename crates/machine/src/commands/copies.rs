//! Copies of disks to files, and the start of a migration, which is refused.

use super::jobs::with_jobs;
use super::snapshots;
use crate::schema::{
    BlockdevSnapshotSync, DriveBackup, DriveMirror, MigrationChannel, QueriesMigrateCommands,
    QueriesMirrorCommands,
};
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

/// The protocols that QEMU migrates with.
const PROTOCOLS: &[&str] = &["exec:", "fd:", "file:", "rdma:", "tcp:", "unix:", "vsock:"];

/// Whether the address of a migration names one of them.
pub(super) fn is_known_protocol(uri: &str) -> bool {
    PROTOCOLS.iter().any(|protocol| uri.starts_with(protocol))
}

impl QueriesMigrateCommands for Machine {
    fn qmp_migrate(
        _: &mut Rt,
        uri: Option<String>,
        channels: Option<Vec<MigrationChannel>>,
        _detach: Option<bool>,
        _resume: Option<bool>,
    ) -> Result<(), Error> {
        Err(Error::new(match (uri, channels) {
            (Some(_), Some(_)) => {
                "'uri' and 'channels' arguments are mutually exclusive; exactly one of the two \
                 should be present in 'migrate' qmp command "
                    .to_owned()
            }
            (None, None) => "need either 'uri' or 'channels' argument".to_owned(),
            (Some(uri), None) if !is_known_protocol(&uri) => {
                format!("unknown migration protocol: {uri}")
            }
            _ => "this machine cannot be migrated".to_owned(),
        }))
    }
}
