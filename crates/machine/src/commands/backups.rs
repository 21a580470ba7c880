//! Backups of disks. They are made first and begin to work together, since those of a
//! transaction show the same moment.

use super::job_args::{device_node, settings};
use super::jobs::with_jobs;
use super::new_images::{open_target, NewTarget};
use crate::model::block::BlockOp;
use crate::model::jobs::{backing, BackupPlan, Group, JobKey};
use crate::schema::{
    BackupPerf, BitmapSyncMode, BlockdevBackup, BlockdevOnError, DriveBackup, JobType,
    MirrorSyncMode, NewImageMode,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Carries out a command that is one action of its own.
pub(super) fn alone(
    rt: &mut Rt,
    make: impl FnOnce(&mut Machine) -> Result<JobKey, Error>,
) -> Result<(), Error> {
    with_jobs(rt, |m| {
        let key = make(m)?;
        m.start_jobs(&[key]);
        Ok(())
    })
}

pub(super) fn make_blockdev_backup(
    m: &mut Machine,
    arg: BlockdevBackup,
    group: Option<Group>,
) -> Result<JobKey, Error> {
    let source = device_node(m, &arg.device)?;
    let target = device_node(m, &arg.target)?;
    drain_users(m, &source);
    make(m, arg, (source, target), group, false)
}

/// As `blockdev-backup`, to a file.
pub(super) fn make_drive_backup(
    m: &mut Machine,
    arg: DriveBackup,
    group: Option<Group>,
) -> Result<JobKey, Error> {
    let source = device_node(m, &arg.device)?;
    drain_users(m, &source);
    m.blocks.check_op(&source, BlockOp::BackupSource)?;
    let below = backing(&m.blocks, &source);
    let sync = match arg.sync {
        MirrorSyncMode::Top if below.is_none() => MirrorSyncMode::Full,
        sync => sync,
    };
    let backing = match sync {
        MirrorSyncMode::Top => below,
        MirrorSyncMode::None => Some(source.clone()),
        _ => None,
    };
    let target = open_target(
        m,
        &NewTarget {
            source: &source,
            filename: &arg.target,
            format: arg.format.as_deref(),
            is_there: arg.mode == Some(NewImageMode::Existing),
            backing: backing.as_deref(),
            node_name: None,
        },
    )?;
    if sync == MirrorSyncMode::None {
        m.blocks.set_backing(&target, Some(&source));
    }
    let common = BlockdevBackup {
        job_id: arg.job_id,
        device: arg.device,
        sync,
        speed: arg.speed,
        bitmap: arg.bitmap,
        bitmap_mode: arg.bitmap_mode,
        compress: arg.compress,
        on_source_error: arg.on_source_error,
        on_target_error: arg.on_target_error,
        on_cbw_error: arg.on_cbw_error,
        auto_finalize: arg.auto_finalize,
        auto_dismiss: arg.auto_dismiss,
        filter_node_name: arg.filter_node_name,
        discard_source: arg.discard_source,
        x_perf: arg.x_perf,
        target: target.clone(),
    };
    let made = make(m, common, (source, target.clone()), group, true);
    if made.is_err() {
        m.blocks.close(&target);
    }
    made
}

/// Tells that the jobs of a disk stood still while it was looked at.
fn drain_users(m: &mut Machine, node: &str) {
    if m.blocks.check_op(node, BlockOp::BackupSource).is_err() {
        m.jobs.drained(|_| true);
    }
}

fn make(
    m: &mut Machine,
    arg: BlockdevBackup,
    (source, target): (String, String),
    group: Option<Group>,
    is_own_target: bool,
) -> Result<JobKey, Error> {
    check_perf(arg.x_perf.as_ref())?;
    let bitmap = bitmap(m, &source, &arg)?;
    if source == target {
        return Err(Error::new("Source and target cannot be the same"));
    }
    m.blocks.check_op(&source, BlockOp::BackupSource)?;
    m.blocks.check_op(&target, BlockOp::BackupTarget)?;
    if arg.compress == Some(true) && !can_compress(m, &target) {
        return Err(Error::new("Compression is not supported for this drive "));
    }
    let mut settings = settings(
        m,
        JobType::Backup,
        (arg.job_id, &arg.device),
        arg.speed,
        arg.auto_finalize,
        arg.auto_dismiss,
    );
    settings.group = group;
    let plan = BackupPlan {
        source,
        target,
        sync: arg.sync,
        bitmap,
        on_source_error: arg.on_source_error.unwrap_or(BlockdevOnError::Report),
        on_target_error: arg.on_target_error.unwrap_or(BlockdevOnError::Report),
        filter_name: arg.filter_node_name,
        is_own_target,
    };
    m.make_backup(settings, plan)
}

fn can_compress(m: &Machine, node: &str) -> bool {
    let driver = m.blocks.node(node).map(|node| node.driver_name());
    matches!(driver, Some("qcow2"))
}

fn check_perf(perf: Option<&BackupPerf>) -> Result<(), Error> {
    let Some(perf) = perf else {
        return Ok(());
    };
    let workers = perf.max_workers.unwrap_or(64);
    if !(1..=i64::from(i32::MAX)).contains(&workers) {
        return Err(Error::new("max-workers must be between 1 and 2147483647"));
    }
    match perf.max_chunk.unwrap_or(0) {
        chunk if chunk < 0 => Err(Error::new(
            "max-chunk must be zero (which means no limit) or positive",
        )),
        chunk @ 1..65536 => Err(Error::new(format!(
            "Required max-chunk ({chunk}) is less than backup cluster size (65536)"
        ))),
        _ => Ok(()),
    }
}

/// The bitmap of a backup, if it has one, and when it is brought up to date.
fn bitmap(
    m: &Machine,
    source: &str,
    arg: &BlockdevBackup,
) -> Result<Option<(String, BitmapSyncMode)>, Error> {
    use MirrorSyncMode::{Bitmap, Full, Incremental, None as Nothing, Top};
    let sync = arg.sync;
    let Some(name) = &arg.bitmap else {
        return match sync {
            Incremental | Bitmap => Err(Error::new(format!(
                "must provide a valid bitmap name for '{}' sync mode",
                sync.as_str()
            ))),
            Full | Top | Nothing if arg.bitmap_mode.is_some() => Err(Error::new(
                "Cannot specify bitmap sync mode without a bitmap",
            )),
            Full | Top | Nothing => Ok(None),
        };
    };
    let mode = match (sync, arg.bitmap_mode) {
        (Incremental, None) => Some(BitmapSyncMode::OnSuccess),
        (Incremental, Some(mode)) if mode != BitmapSyncMode::OnSuccess => {
            return Err(Error::new(
                "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'",
            ));
        }
        (_, mode) => mode,
    };
    let node = m.blocks.node(source);
    let Some(bitmap) = node.and_then(|node| node.bitmap(name)) else {
        return Err(Error::new(format!("Bitmap '{name}' could not be found")));
    };
    let mode =
        mode.ok_or_else(|| Error::new("Bitmap sync mode must be given when providing a bitmap"))?;
    if bitmap.busy {
        let text =
            format!("Bitmap '{name}' is currently in use by another operation and cannot be used");
        return Err(Error::new(text));
    }
    if mode == BitmapSyncMode::Never && matches!(sync, Full | Top) {
        return Err(Error::new(format!(
            "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode \
             '{}'",
            sync.as_str()
        )));
    }
    if sync == Nothing {
        return Err(Error::new(
            "sync mode 'none' does not produce meaningful bitmap outputs",
        ));
    }
    Ok(Some((name.clone(), mode)))
}
