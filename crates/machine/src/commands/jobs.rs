//! Jobs: `jobs.json`, snapshots of the whole machine, and images to make.

use std::fs::File;

use crate::model::jobs::{block_job_not_found, Job};
use crate::schema::{
    qapi_event_send_job_status_change, BlockCreateCommands, BlockJobChangeOptions,
    BlockdevAmendOptions, BlockdevCreateOptions, BlockdevCreateOptionsFile, BlockdevRef, JobInfo,
    JobStatus, JobType, JobsCommands,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Does the work of a job at once and tells its steps.
pub(super) fn run_job(
    rt: &mut Rt,
    id: String,
    kind: JobType,
    work: impl FnOnce(&mut Rt) -> Result<(), Error>,
) -> Result<(), Error> {
    rt.state.jobs.check_id(&id)?;
    let error = work(rt).err().map(|error| error.desc().to_owned());
    let end = if error.is_some() {
        [JobStatus::Aborting].as_slice()
    } else {
        &[JobStatus::Waiting, JobStatus::Pending]
    };
    for status in [JobStatus::Created, JobStatus::Running] {
        qapi_event_send_job_status_change(rt, id.clone(), status);
    }
    for status in end.iter().chain(&[JobStatus::Concluded]) {
        qapi_event_send_job_status_change(rt, id.clone(), *status);
    }
    rt.state.jobs.add(Job { id, kind, error })
}

/// The list of jobs.
pub(super) fn jobs(m: &Machine) -> Vec<JobInfo> {
    let info = |job: &Job| JobInfo {
        id: job.id.clone(),
        r#type: job.kind,
        status: JobStatus::Concluded,
        current_progress: 1,
        total_progress: 1,
        error: job.error.clone(),
    };
    m.jobs.iter().map(info).collect()
}

impl JobsCommands for Machine {
    fn qmp_job_pause(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(rt.state.jobs.refuse(&id, "pause"))
    }

    fn qmp_job_resume(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(rt.state.jobs.refuse(&id, "resume"))
    }

    fn qmp_job_cancel(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(rt.state.jobs.refuse(&id, "cancel"))
    }

    fn qmp_job_complete(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(rt.state.jobs.refuse(&id, "complete"))
    }

    fn qmp_job_finalize(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(rt.state.jobs.refuse(&id, "finalize"))
    }

    fn qmp_job_dismiss(rt: &mut Rt, id: String) -> Result<(), Error> {
        let job = rt.state.jobs.dismiss(&id)?;
        qapi_event_send_job_status_change(rt, job.id, JobStatus::Null);
        Ok(())
    }

    fn qmp_block_job_set_speed(_: &mut Rt, device: String, _: i64) -> Result<(), Error> {
        Err(block_job_not_found(&device))
    }

    fn qmp_block_job_pause(_: &mut Rt, device: String) -> Result<(), Error> {
        Err(block_job_not_found(&device))
    }

    fn qmp_block_job_resume(_: &mut Rt, device: String) -> Result<(), Error> {
        Err(block_job_not_found(&device))
    }

    fn qmp_block_job_complete(_: &mut Rt, device: String) -> Result<(), Error> {
        Err(block_job_not_found(&device))
    }

    fn qmp_block_job_dismiss(_: &mut Rt, id: String) -> Result<(), Error> {
        Err(block_job_not_found(&id))
    }

    fn qmp_block_job_finalize(_: &mut Rt, id: String) -> Result<(), Error> {
        Err(block_job_not_found(&id))
    }

    fn qmp_block_job_change(_: &mut Rt, arg: BlockJobChangeOptions) -> Result<(), Error> {
        Err(block_job_not_found(&arg.id))
    }
}

impl BlockCreateCommands for Machine {
    fn qmp_blockdev_create(
        rt: &mut Rt,
        job_id: String,
        options: BlockdevCreateOptions,
    ) -> Result<(), Error> {
        use BlockdevCreateOptions as Branch;
        let driver = options.driver();
        match options {
            Branch::File(file) => run_job(rt, job_id, JobType::Create, |_| create_file(&file)),
            Branch::Qcow2(image) => refuse_image(rt, job_id, &image.file),
            Branch::Qed(image) => refuse_image(rt, job_id, &image.file),
            Branch::Vmdk(image) => refuse_image(rt, job_id, &image.file),
            Branch::Luks(_)
            | Branch::Parallels(_)
            | Branch::Qcow(_)
            | Branch::Vdi(_)
            | Branch::Vhdx(_)
            | Branch::Vpc(_) => run_job(rt, job_id, JobType::Create, |_| Err(no_format())),
            Branch::Gluster(_) | Branch::Nfs(_) | Branch::Rbd(_) | Branch::Ssh(_) => {
                let text = format!(
                    "Block driver '{}' not found or not supported",
                    driver.as_str()
                );
                Err(Error::new(text))
            }
            _ => Err(Error::new("Driver does not support blockdev-create")),
        }
    }

    fn qmp_x_blockdev_amend(
        rt: &mut Rt,
        _job_id: String,
        node_name: String,
        options: BlockdevAmendOptions,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        let node = rt.state.blocks.find("", &node_name)?;
        Err(Error::new(if node.driver == options.driver() {
            "Driver does not support x-blockdev-amend"
        } else {
            "x-blockdev-amend doesn't support changing the block driver"
        }))
    }
}

fn create_file(file: &BlockdevCreateOptionsFile) -> Result<(), Error> {
    let failed = |e| Error::from_io(format!("Could not create '{}'", file.filename), &e);
    let opened = File::create(&file.filename).map_err(failed)?;
    let size = file.size.div_ceil(512) * 512;
    let resized = opened.set_len(size);
    resized.map_err(|e| Error::from_io("Could not resize file", &e))
}

/// The job of an image whose format this machine cannot write.
fn refuse_image(rt: &mut Rt, id: String, file: &BlockdevRef) -> Result<(), Error> {
    run_job(rt, id, JobType::Create, |rt| {
        if let BlockdevRef::Reference(name) = file {
            rt.state.blocks.find(name, name)?;
        }
        Err(no_format())
    })
}

fn no_format() -> Error {
    Error::new("this machine writes no image formats")
}
