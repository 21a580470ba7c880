//! Copies of disks, and the start of a migration: refused as QEMU refuses what it does
//! not find.

use crate::schema::{
    BlockdevSnapshotSync, DriveBackup, DriveMirror, MigrationChannel, QueriesMigrateCommands,
    QueriesMirrorCommands, TransactionAction, TransactionCommands, TransactionProperties,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl QueriesMirrorCommands for Machine {
    fn qmp_drive_mirror(rt: &mut Rt, arg: DriveMirror) -> Result<(), Error> {
        let name = arg.device.as_str();
        Err(not_copied(rt, name, name))
    }

    fn qmp_drive_backup(rt: &mut Rt, arg: DriveBackup) -> Result<(), Error> {
        let name = arg.device.as_str();
        Err(not_copied(rt, name, name))
    }

    fn qmp_blockdev_snapshot_sync(rt: &mut Rt, arg: BlockdevSnapshotSync) -> Result<(), Error> {
        let device = arg.device.unwrap_or_default();
        let node = arg.node_name.unwrap_or_default();
        Err(not_copied(rt, &device, &node))
    }
}

/// The error about a node: that there is none, or that it is not copied.
fn not_copied(rt: &Rt, device: &str, node: &str) -> Error {
    Error::new(if rt.state.blocks.node(node).is_some() {
        "this machine cannot copy its disks".to_owned()
    } else {
        format!("Cannot find device='{device}' nor node-name='{node}'")
    })
}

impl TransactionCommands for Machine {
    /// No kind of change can be made, so there is nothing to undo.
    fn qmp_transaction(
        rt: &mut Rt,
        actions: Vec<TransactionAction>,
        _: Option<TransactionProperties>,
    ) -> Result<(), Error> {
        actions.into_iter().try_for_each(|action| match action {
            TransactionAction::Abort(_) => {
                Err(Error::new("Transaction aborted using Abort action"))
            }
            TransactionAction::BlockdevSnapshotSync(snapshot) => {
                Self::qmp_blockdev_snapshot_sync(rt, snapshot.data)
            }
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
