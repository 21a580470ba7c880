//! Jobs: `jobs.json`, their turns and events, and images to make.

use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::block_graph::send_events;
use crate::model::block::take_wakes;
use crate::model::jobs::{Elsewhere, Job, JobEvent, JobKey, Report, Settings};
use crate::model::Machine as Model;
use crate::schema::{
    qapi_event_send_block_job_cancelled, qapi_event_send_block_job_completed,
    qapi_event_send_block_job_error, qapi_event_send_block_job_pending,
    qapi_event_send_block_job_ready, qapi_event_send_job_status_change, BlockCreateCommands,
    BlockJobChangeOptions, BlockdevAmendOptions, BlockdevCreateOptions, JobInfo, JobType,
    JobsCommands,
};
use crate::Machine;
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, Watch};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Does something with jobs and tells clients what happened to them.
pub(super) fn with_jobs<R>(rt: &mut Rt, action: impl FnOnce(&mut Model) -> R) -> R {
    let result = action(&mut rt.state);
    pump(rt);
    result
}

/// Tells clients what happened to jobs, and has the loop come back to those that work.
pub(crate) fn pump(rt: &mut Rt) {
    send_events(rt);
    for event in rt.state.jobs.take_events() {
        send(rt, event);
    }
    if let Some(socket) = rt.state.blocks.take_unwatched() {
        watch_calls(rt, socket);
    }
    let (work, wake) = (rt.state.jobs.has_work(), rt.state.jobs.next_wake());
    if !work && wake.is_none() && rt.state.job_turns.is_none() {
        return;
    }
    let (bh, timer) = match rt.state.job_turns {
        Some(turns) => turns,
        None => {
            let main_loop = rt.main_loop_mut();
            let bh = main_loop.bh_new("jobs", turn);
            let timer = main_loop.timer_new(ClockType::Realtime, "jobs", turn);
            *rt.state.job_turns.insert((bh, timer))
        }
    };
    let main_loop = rt.main_loop_mut();
    if work {
        main_loop.bh_schedule(bh);
    }
    match wake {
        Some(time) => main_loop.timer_mod(timer, time),
        None => main_loop.timer_del(timer),
    };
}

/// Has jobs go on when a call of a thread returns.
fn watch_calls(rt: &mut Rt, socket: Rc<UnixStream>) {
    let shared = socket.clone();
    let watch = Watch::new(
        "disk_calls",
        socket,
        Condition::IN,
        move |rt: &mut Rt, _| {
            take_wakes(&shared);
            rt.state.jobs.call_returned();
            turn(rt);
            Flow::Keep
        },
    );
    rt.main_loop_mut().add_watch(watch);
}

/// One turn of all jobs.
fn turn(rt: &mut Rt) {
    let now = rt.main_loop().clock_get_ns(ClockType::Realtime);
    with_jobs(rt, |m| m.run_jobs(now));
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn send(rt: &mut Rt, event: JobEvent) {
    let numbers = |r: &Report| (signed(r.length), signed(r.offset), signed(r.speed));
    match event {
        JobEvent::Status(id, status) => qapi_event_send_job_status_change(rt, id, status),
        JobEvent::Pending(kind, id) => qapi_event_send_block_job_pending(rt, kind, id),
        JobEvent::Error(device, operation, action) => {
            qapi_event_send_block_job_error(rt, device, operation, action);
        }
        JobEvent::Ready(r) => {
            let (length, offset, speed) = numbers(&r);
            qapi_event_send_block_job_ready(rt, r.kind, r.device, length, offset, speed);
        }
        JobEvent::Completed(r, error) => {
            let (length, offset, speed) = numbers(&r);
            let device = r.device;
            qapi_event_send_block_job_completed(rt, r.kind, device, length, offset, speed, error);
        }
        JobEvent::Cancelled(r) => {
            let (length, offset, speed) = numbers(&r);
            qapi_event_send_block_job_cancelled(rt, r.kind, r.device, length, offset, speed);
        }
    }
}

/// Makes a job whose work is done in the next turn, all at once. It stays listed until it is
/// dismissed.
pub(super) fn run_job(
    rt: &mut Rt,
    id: String,
    kind: JobType,
    work: impl FnOnce(&mut Rt) -> Result<(), Error> + 'static,
) -> Result<(), Error> {
    let key = with_jobs(rt, |m| {
        let settings = Settings {
            id,
            kind,
            speed: 0,
            auto_finalize: true,
            auto_dismiss: false,
            group: None,
        };
        let key = m.jobs.make(settings, Box::new(Elsewhere))?;
        m.jobs.start(key);
        m.jobs.set_total(key, 1);
        Ok(key)
    })?;
    let main_loop = rt.main_loop_mut();
    main_loop.bh_schedule_oneshot("job", move |rt: &mut Rt| finish_job(rt, key, work));
    Ok(())
}

fn finish_job(rt: &mut Rt, key: JobKey, work: impl FnOnce(&mut Rt) -> Result<(), Error>) {
    if rt.state.jobs.get(key).is_none_or(Job::has_ended) {
        return;
    }
    let result = work(rt);
    with_jobs(rt, |m| m.job_done_elsewhere(key, result));
}

/// The list of jobs.
pub(super) fn jobs(m: &Machine) -> Vec<JobInfo> {
    let info = |job: &Job| JobInfo {
        id: job.id.clone(),
        r#type: job.kind,
        status: job.status(),
        current_progress: signed(job.progress.current),
        total_progress: signed(job.progress.total),
        error: job.error.clone(),
    };
    m.jobs.iter().map(info).collect()
}

/// Does something with the job of a name.
fn on_job(
    rt: &mut Rt,
    id: &str,
    action: impl FnOnce(&mut Model, JobKey) -> Result<(), Error>,
) -> Result<(), Error> {
    let key = rt.state.jobs.find(id)?;
    with_jobs(rt, |m| action(m, key))
}

/// Does something with the job of a name that copies disks.
pub(super) fn on_block_job(
    rt: &mut Rt,
    id: &str,
    action: impl FnOnce(&mut Model, JobKey) -> Result<(), Error>,
) -> Result<(), Error> {
    let key = rt.state.jobs.find_block_job(id)?;
    with_jobs(rt, |m| action(m, key))
}

impl JobsCommands for Machine {
    fn qmp_job_pause(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_job(rt, &id, Model::job_pause)
    }

    fn qmp_job_resume(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_job(rt, &id, Model::job_resume)
    }

    fn qmp_job_cancel(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_job(rt, &id, |m, key| m.job_cancel(key, true))
    }

    fn qmp_job_complete(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_job(rt, &id, Model::job_complete)
    }

    fn qmp_job_finalize(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_job(rt, &id, Model::job_finalize)
    }

    fn qmp_job_dismiss(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_job(rt, &id, Model::job_dismiss)
    }

    fn qmp_block_job_set_speed(rt: &mut Rt, device: String, speed: i64) -> Result<(), Error> {
        on_block_job(rt, &device, |m, key| m.job_set_speed(key, speed))
    }

    fn qmp_block_job_pause(rt: &mut Rt, device: String) -> Result<(), Error> {
        on_block_job(rt, &device, Model::job_pause)
    }

    fn qmp_block_job_resume(rt: &mut Rt, device: String) -> Result<(), Error> {
        on_block_job(rt, &device, Model::job_resume)
    }

    fn qmp_block_job_complete(rt: &mut Rt, device: String) -> Result<(), Error> {
        on_block_job(rt, &device, Model::job_complete)
    }

    fn qmp_block_job_dismiss(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_block_job(rt, &id, Model::job_dismiss)
    }

    fn qmp_block_job_finalize(rt: &mut Rt, id: String) -> Result<(), Error> {
        on_block_job(rt, &id, Model::job_finalize)
    }

    fn qmp_block_job_change(rt: &mut Rt, arg: BlockJobChangeOptions) -> Result<(), Error> {
        let id = arg.id.clone();
        on_block_job(rt, &id, |m, key| m.job_change(key, &arg))
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
        match &options {
            Branch::File(_) | Branch::Qcow2(_) => run_job(rt, job_id, JobType::Create, move |rt| {
                rt.state.blocks.create(&options)
            }),
            Branch::Qed(_)
            | Branch::Vmdk(_)
            | Branch::Luks(_)
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

    /// There is nothing to change: an image of `qcow2` has no keys here.
    fn qmp_x_blockdev_amend(
        rt: &mut Rt,
        job_id: String,
        node_name: String,
        options: BlockdevAmendOptions,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        let node = rt.state.blocks.find("", &node_name)?;
        if node.driver != options.driver() {
            let text = "x-blockdev-amend doesn't support changing the block driver";
            return Err(Error::new(text));
        }
        if !matches!(options, BlockdevAmendOptions::Qcow2(_)) {
            return Err(Error::new("Driver does not support x-blockdev-amend"));
        }
        run_job(rt, job_id, JobType::Amend, |_| Ok(()))
    }
}

fn no_format() -> Error {
    Error::new("this machine does not write images of this format")
}
