//! Jobs on disks, copies, snapshots, NBD: the list of jobs, and the commands of HMP.

use super::exports;
use super::hmp::Cx;
use super::hmp_copies;
use super::jobs::on_block_job;
use crate::model::jobs::{Job, JobKey};
use crate::model::Machine as Model;
use crate::schema::{BlockJobInfo, BlockJobInfoBranch, BlockJobInfoMirror, JobType};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;

const DEVICE: HmpArg = HmpArg::new("device", Block);
const NAME: HmpArg = HmpArg::new("name", Str);

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "block_job_cancel",
            "[-f] device",
            "stop an active background block operation (use -f\n\t\t\t \
             if you want to abort the operation immediately\n\t\t\t \
             instead of keep running until data is in sync)",
        )
        .args(&[HmpArg::new("force", Flag('f')), DEVICE]),
        |hmp, args| {
            let force = args.flag("force");
            on_job(hmp, args, |m, key| m.block_job_cancel(key, force));
        },
    ),
    (
        HmpRow::new(
            "block_job_complete",
            "device",
            "stop an active background block operation",
        )
        .args(&[DEVICE]),
        |hmp, args| on_job(hmp, args, Model::job_complete),
    ),
    (
        HmpRow::new(
            "block_job_pause",
            "device",
            "pause an active background block operation",
        )
        .args(&[DEVICE]),
        |hmp, args| on_job(hmp, args, Model::job_pause),
    ),
    (
        HmpRow::new(
            "block_job_resume",
            "device",
            "resume a paused background block operation",
        )
        .args(&[DEVICE]),
        |hmp, args| on_job(hmp, args, Model::job_resume),
    ),
    (
        HmpRow::new(
            "block_job_set_speed",
            "device speed",
            "set maximum speed for a background block operation",
        )
        .args(&[DEVICE, HmpArg::new("speed", Size)]),
        |hmp, args| {
            let speed = args.int("speed");
            on_job(hmp, args, |m, key| m.job_set_speed(key, speed));
        },
    ),
    (
        HmpRow::new(
            "block_stream",
            "device [speed [base]]",
            "copy data from a backing file into a block device",
        )
        .args(&[
            DEVICE,
            HmpArg::new("speed", Size).optional(),
            HmpArg::new("base", Str).optional(),
        ]),
        hmp_copies::block_stream,
    ),
    (
        HmpRow::new(
            "drive_backup",
            "[-n] [-f] [-c] device target [format]",
            "initiates a point-in-time\n\t\t\t\
             copy for a device. The device's contents are\n\t\t\t\
             copied to the new image file, excluding data that\n\t\t\t\
             is written after the command is started.\n\t\t\t\
             The -n flag requests QEMU to reuse the image found\n\t\t\t\
             in new-image-file, instead of recreating it from scratch.\n\t\t\t\
             The -f flag requests QEMU to copy the whole disk,\n\t\t\t\
             so that the result does not need a backing file.\n\t\t\t\
             The -c flag requests QEMU to compress backup data\n\t\t\t\
             (if the target format supports it).\n\t\t\t",
        )
        .args(&[
            HmpArg::new("reuse", Flag('n')),
            HmpArg::new("full", Flag('f')),
            HmpArg::new("compress", Flag('c')),
            DEVICE,
            HmpArg::new("target", Str),
            HmpArg::new("format", Str).optional(),
        ]),
        hmp_copies::drive_backup,
    ),
    (
        HmpRow::new(
            "drive_mirror",
            "[-n] [-f] device target [format]",
            "initiates live storage\n\t\t\t\
             migration for a device. The device's contents are\n\t\t\t\
             copied to the new image file, including data that\n\t\t\t\
             is written after the command is started.\n\t\t\t\
             The -n flag requests QEMU to reuse the image found\n\t\t\t\
             in new-image-file, instead of recreating it from scratch.\n\t\t\t\
             The -f flag requests QEMU to copy the whole disk,\n\t\t\t\
             so that the result does not need a backing file.\n\t\t\t",
        )
        .args(&[
            HmpArg::new("reuse", Flag('n')),
            HmpArg::new("full", Flag('f')),
            DEVICE,
            HmpArg::new("target", Str),
            HmpArg::new("format", Str).optional(),
        ]),
        hmp_copies::drive_mirror,
    ),
    (
        HmpRow::new(
            "nbd_server_add",
            "nbd_server_add [-w] device [name]",
            "export a block device via NBD",
        )
        .args(&[
            HmpArg::new("writable", Flag('w')),
            HmpArg::new("device", Block),
            NAME.optional(),
        ]),
        exports::hmp_add,
    ),
    (
        HmpRow::new(
            "nbd_server_remove",
            "nbd_server_remove [-f] name",
            "remove an export previously exposed via NBD",
        )
        .args(&[HmpArg::new("force", Flag('f')), NAME]),
        exports::hmp_remove,
    ),
    (
        HmpRow::new(
            "nbd_server_stop",
            "nbd_server_stop",
            "stop serving block devices using the NBD protocol",
        ),
        exports::hmp_stop,
    ),
    (
        HmpRow::new(
            "snapshot_blkdev",
            "[-n] device [new-image-file] [format]",
            "initiates a live snapshot\n\t\t\t\
             of device. If a new image file is specified, the\n\t\t\t\
             new image file will become the new root image.\n\t\t\t\
             If format is specified, the snapshot file will\n\t\t\t\
             be created in that format.\n\t\t\t\
             The default format is qcow2.  The -n flag requests QEMU\n\t\t\t\
             to reuse the image found in new-image-file, instead of\n\t\t\t\
             recreating it from scratch.",
        )
        .args(&[
            HmpArg::new("reuse", Flag('n')),
            DEVICE,
            HmpArg::new("snapshot-file", Str).optional(),
            HmpArg::new("format", Str).optional(),
        ]),
        hmp_copies::snapshot_blkdev,
    ),
    (
        HmpRow::new(
            "snapshot_blkdev_internal",
            "device name",
            "take an internal snapshot of device.\n\t\t\t\
             The format of the image used by device must\n\t\t\t\
             support it, such as qcow2.\n\t\t\t",
        )
        .args(&[DEVICE, NAME]),
        hmp_copies::snapshot_blkdev_internal,
    ),
    (
        HmpRow::new(
            "snapshot_delete_blkdev_internal",
            "device name [id]",
            "delete an internal snapshot of device.\n\t\t\t\
             If id is specified, qemu will try delete\n\t\t\t\
             the snapshot matching both id and name.\n\t\t\t\
             The format of the image used by device must\n\t\t\t\
             support it, such as qcow2.\n\t\t\t",
        )
        .args(&[DEVICE, NAME, HmpArg::new("id", Str).optional()]),
        hmp_copies::snapshot_delete_blkdev_internal,
    ),
];

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new(
        "block-jobs",
        "",
        "show progress of ongoing block device operations",
    ),
    info_block_jobs,
)];

fn on_job(hmp: Cx, args: &HmpArgs, action: impl FnOnce(&mut Model, JobKey) -> Result<(), Error>) {
    let result = on_block_job(hmp.rt, args.str("device"), action);
    hmp.handle_error(result);
}

/// All jobs that copy disks.
pub(super) fn infos(m: &Machine) -> Vec<BlockJobInfo> {
    let jobs = m.jobs.iter().filter(|job| job.is_block_job());
    jobs.map(info).collect()
}

fn info(job: &Job) -> BlockJobInfo {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    BlockJobInfo {
        device: job.id.clone(),
        len: signed(job.progress.total),
        offset: signed(job.progress.current),
        busy: job.is_busy(),
        paused: job.is_paused(),
        speed: signed(job.speed()),
        io_status: job.io_status,
        ready: job.is_ready(),
        status: job.status(),
        auto_finalize: job.auto_finalize,
        auto_dismiss: job.auto_dismiss,
        error: job.error.clone(),
        u: match job.kind {
            JobType::Mirror => BlockJobInfoBranch::Mirror(BlockJobInfoMirror {
                actively_synced: job.is_actively_synced(),
            }),
            JobType::Commit => BlockJobInfoBranch::Commit,
            JobType::Stream => BlockJobInfoBranch::Stream,
            _ => BlockJobInfoBranch::Backup,
        },
    }
}

fn info_block_jobs(hmp: Cx, _: &HmpArgs) {
    let infos = infos(&hmp.rt.state);
    if infos.is_empty() {
        hmp.print("No active jobs\n");
    }
    for info in infos {
        let kind = info.u.r#type();
        let line = if kind == JobType::Stream {
            format!(
                "Streaming device {}: Completed {} of {} bytes, speed limit {} bytes/s\n",
                info.device, info.offset, info.len, info.speed
            )
        } else {
            format!(
                "Type {}, device {}: Completed {} of {} bytes, speed limit {} bytes/s\n",
                kind.as_str(),
                info.device,
                info.offset,
                info.len,
                info.speed
            )
        };
        hmp.print(line);
    }
}
