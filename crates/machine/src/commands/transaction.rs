//! Changes to disks, all or none of them.

use super::backups::{make_blockdev_backup, make_drive_backup};
use super::jobs::pump;
use super::snapshots::{self, Snapshot};
use crate::model::block::Bitmap;
use crate::model::jobs::{Group, JobKey};
use crate::schema::{
    ActionCompletionMode, BlockBitmapsCommands, BlockCopyCommands, TransactionAction,
    TransactionActionKind, TransactionCommands, TransactionProperties,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// An action that was carried out, with what undoes it.
enum Done {
    /// The bitmaps that a node had.
    Bitmaps(String, Vec<Bitmap>),
    Snapshot(Snapshot),
    /// A snapshot inside the image of a node, by its name.
    Internal(String, String),
    /// A job that does not work yet.
    Job(JobKey),
}

impl TransactionCommands for Machine {
    fn qmp_transaction(
        rt: &mut Rt,
        actions: Vec<TransactionAction>,
        properties: Option<TransactionProperties>,
    ) -> Result<(), Error> {
        let completion = properties.and_then(|p| p.completion_mode);
        let mut group = None;
        if completion == Some(ActionCompletionMode::Grouped) {
            check_grouped(&actions)?;
            group = Some(rt.state.jobs.new_group());
        }
        rt.state.jobs.drained(|_| true);
        let result = carry_out(rt, actions, group);
        pump(rt);
        result
    }
}

/// Carries out actions together.
pub(super) fn carry_out(
    rt: &mut Rt,
    actions: Vec<TransactionAction>,
    group: Option<Group>,
) -> Result<(), Error> {
    let mut done = Vec::new();
    for action in actions {
        match act(rt, action, group) {
            Ok(one) => done.push(one),
            Err(error) => {
                for one in done.into_iter().rev() {
                    undo(rt, one);
                }
                return Err(error);
            }
        }
    }
    keep(rt, &done);
    Ok(())
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

fn act(rt: &mut Rt, action: TransactionAction, group: Option<Group>) -> Result<Done, Error> {
    use TransactionAction as Action;
    let m = &mut rt.state;
    match action {
        Action::Abort(_) => Err(Error::new("Transaction aborted using Abort action")),
        Action::BlockDirtyBitmapAdd(a) => on_bitmaps(rt, &a.data.node.clone(), |rt| {
            Machine::qmp_block_dirty_bitmap_add(rt, a.data)
        }),
        Action::BlockDirtyBitmapRemove(a) => on_bitmaps(rt, &a.data.node.clone(), |rt| {
            Machine::qmp_block_dirty_bitmap_remove(rt, a.data)
        }),
        Action::BlockDirtyBitmapClear(a) => on_bitmaps(rt, &a.data.node.clone(), |rt| {
            Machine::qmp_block_dirty_bitmap_clear(rt, a.data)
        }),
        Action::BlockDirtyBitmapEnable(a) => on_bitmaps(rt, &a.data.node.clone(), |rt| {
            Machine::qmp_block_dirty_bitmap_enable(rt, a.data)
        }),
        Action::BlockDirtyBitmapDisable(a) => on_bitmaps(rt, &a.data.node.clone(), |rt| {
            Machine::qmp_block_dirty_bitmap_disable(rt, a.data)
        }),
        Action::BlockDirtyBitmapMerge(a) => on_bitmaps(rt, &a.data.node.clone(), |rt| {
            Machine::qmp_block_dirty_bitmap_merge(rt, a.data)
        }),
        Action::BlockdevBackup(a) => make_blockdev_backup(m, a.data, group).map(Done::Job),
        Action::BlockdevSnapshot(a) => snapshots::take(m, &a.data).map(Done::Snapshot),
        Action::BlockdevSnapshotInternalSync(a) => {
            let (device, name) = (a.data.device.clone(), a.data.name.clone());
            Machine::qmp_blockdev_snapshot_internal_sync(rt, a.data)?;
            Ok(Done::Internal(device, name))
        }
        Action::BlockdevSnapshotSync(a) => snapshots::take_new(m, &a.data).map(Done::Snapshot),
        #[allow(deprecated)] // It is still to be taken.
        Action::DriveBackup(a) => make_drive_backup(m, a.data, group).map(Done::Job),
    }
}

/// Changes the bitmaps of a node and returns those that it had.
fn on_bitmaps(
    rt: &mut Rt,
    node: &str,
    change: impl FnOnce(&mut Rt) -> Result<(), Error>,
) -> Result<Done, Error> {
    let before = rt.state.blocks.node(node).map(|node| node.bitmaps.clone());
    change(rt)?;
    Ok(Done::Bitmaps(node.to_owned(), before.unwrap_or_default()))
}

fn undo(rt: &mut Rt, done: Done) {
    let m = &mut rt.state;
    match done {
        Done::Bitmaps(node, before) => {
            if let Some(node) = m.blocks.node_mut(&node) {
                node.bitmaps = before;
            }
        }
        Done::Snapshot(snapshot) => snapshots::undo(m, &snapshot),
        Done::Internal(device, name) => {
            let deleted =
                Machine::qmp_blockdev_snapshot_delete_internal_sync(rt, device, None, Some(name));
            debug_assert!(deleted.is_ok(), "it was just made");
        }
        Done::Job(key) => m.job_abandon(key),
    }
}

fn keep(rt: &mut Rt, done: &[Done]) {
    let m = &mut rt.state;
    let mut jobs = Vec::new();
    for one in done {
        match one {
            Done::Snapshot(snapshot) => snapshots::keep(m, snapshot),
            Done::Job(key) => jobs.push(*key),
            Done::Bitmaps(..) | Done::Internal(..) => {}
        }
    }
    m.start_jobs(&jobs);
}
