//! Copies of disks: refused as QEMU refuses what it does not find.

use super::block_edits::not_copied;
use crate::schema::{
    ActionCompletionMode, BlockBitmapsCommands, BlockCopyCommands, BlockdevSnapshotSync,
    DriveBackup, DriveMirror, QueriesMirrorCommands, TransactionAction, TransactionActionKind,
    TransactionCommands, TransactionProperties,
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

impl TransactionCommands for Machine {
    /// The changes that can be made cannot fail later, so there is nothing to undo.
    fn qmp_transaction(
        rt: &mut Rt,
        actions: Vec<TransactionAction>,
        properties: Option<TransactionProperties>,
    ) -> Result<(), Error> {
        let completion = properties.and_then(|p| p.completion_mode);
        if completion == Some(ActionCompletionMode::Grouped) {
            check_grouped(&actions)?;
        }
        actions.into_iter().try_for_each(|action| act(rt, action))
    }
}

#[allow(deprecated)] // It is still to be taken.
/// Only actions that start jobs can be completed together.
fn check_grouped(actions: &[TransactionAction]) -> Result<(), Error> {
    use TransactionActionKind::{BlockdevBackup, DriveBackup};
    let mut kinds = actions.iter().map(TransactionAction::r#type);
    match kinds.find(|kind| !matches!(kind, BlockdevBackup | DriveBackup)) {
        None => Ok(()),
        Some(kind) => Err(Error::new(format!(
            "Action '{}' does not support transaction property completion-mode = grouped",
            kind.as_str()
        ))),
    }
}

fn act(rt: &mut Rt, action: TransactionAction) -> Result<(), Error> {
    use TransactionAction as Action;
    match action {
        Action::Abort(_) => Err(Error::new("Transaction aborted using Abort action")),
        Action::BlockDirtyBitmapAdd(a) => Machine::qmp_block_dirty_bitmap_add(rt, a.data),
        Action::BlockDirtyBitmapRemove(a) => Machine::qmp_block_dirty_bitmap_remove(rt, a.data),
        Action::BlockDirtyBitmapClear(a) => Machine::qmp_block_dirty_bitmap_clear(rt, a.data),
        Action::BlockDirtyBitmapEnable(a) => Machine::qmp_block_dirty_bitmap_enable(rt, a.data),
        Action::BlockDirtyBitmapDisable(a) => Machine::qmp_block_dirty_bitmap_disable(rt, a.data),
        Action::BlockDirtyBitmapMerge(a) => Machine::qmp_block_dirty_bitmap_merge(rt, a.data),
        Action::BlockdevBackup(a) => Machine::qmp_blockdev_backup(rt, a.data),
        Action::BlockdevSnapshot(a) => Machine::qmp_blockdev_snapshot(rt, a.data),
        Action::BlockdevSnapshotInternalSync(a) => {
            Machine::qmp_blockdev_snapshot_internal_sync(rt, a.data)
        }
        Action::BlockdevSnapshotSync(a) => Machine::qmp_blockdev_snapshot_sync(rt, a.data),
        #[allow(deprecated)] // It is still to be taken.
        Action::DriveBackup(a) => Machine::qmp_drive_backup(rt, a.data),
    }
}
