//! What clients have jobs do, and what is refused in which state.

use super::{negative_speed, Activity, Job, JobKey};
use crate::model::Machine;
use crate::schema::{BlockDeviceIoStatus, BlockJobChangeOptions, JobStatus};
use qmonitor::qapi::Error;

/// What a client wants of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Cancel,
    Pause,
    Resume,
    SetSpeed,
    Complete,
    Finalize,
    Dismiss,
    Change,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Verb::Cancel => "cancel",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::SetSpeed => "set-speed",
            Verb::Complete => "complete",
            Verb::Finalize => "finalize",
            Verb::Dismiss => "dismiss",
            Verb::Change => "change",
        }
    }

    fn is_accepted(self, status: JobStatus) -> bool {
        use JobStatus::{Concluded, Created, Paused, Pending, Ready, Running, Standby, Waiting};
        let alive = matches!(status, Created | Running | Paused | Ready | Standby);
        match self {
            Verb::Cancel => alive || matches!(status, Waiting | Pending),
            Verb::Pause | Verb::Resume | Verb::SetSpeed | Verb::Change => alive,
            Verb::Complete => matches!(status, Ready | Standby),
            Verb::Finalize => status == Pending,
            Verb::Dismiss => status == Concluded,
        }
    }
}

impl Machine {
    fn job_mut(&mut self, key: JobKey) -> Result<&mut Job, Error> {
        let job = self.jobs.table.get_mut(&key);
        job.ok_or_else(|| Error::new("Job not found"))
    }

    fn job_accepts(&mut self, key: JobKey, verb: Verb) -> Result<&mut Job, Error> {
        let job = self.job_mut(key)?;
        if verb.is_accepted(job.status) {
            return Ok(job);
        }
        Err(Error::new(format!(
            "Job '{}' in state '{}' cannot accept command verb '{}'",
            job.id,
            job.status.as_str(),
            verb.name()
        )))
    }

    /// Has a job wait.
    ///
    /// # Errors
    ///
    /// It waits already, or is in another state.
    pub(crate) fn job_pause(&mut self, key: JobKey) -> Result<(), Error> {
        let job = self.job_accepts(key, Verb::Pause)?;
        if job.user_paused {
            return Err(Error::new("Job is already paused"));
        }
        job.user_paused = true;
        // One that works gets there after its piece.
        if job.activity != Activity::Queued {
            self.jobs.settle_pause(key);
        }
        Ok(())
    }

    /// Has a job go on that waits.
    ///
    /// # Errors
    ///
    /// It does not wait, or is in another state.
    pub(crate) fn job_resume(&mut self, key: JobKey) -> Result<(), Error> {
        if !self.job_mut(key)?.user_paused {
            return Err(Error::new("Can't resume a job that was not paused"));
        }
        let job = self.job_accepts(key, Verb::Resume)?;
        job.io_status = BlockDeviceIoStatus::Ok;
        self.jobs.settle_resume(key);
        Ok(())
    }

    /// Ends a job before it is done. A mirror that is ready keeps its copy unless it is
    /// forced.
    ///
    /// # Errors
    ///
    /// It is in another state.
    pub(crate) fn job_cancel(&mut self, key: JobKey, force: bool) -> Result<(), Error> {
        let job = self.job_accepts(key, Verb::Cancel)?;
        if job.activity == Activity::Ended {
            self.abort_ended(key);
            return Ok(());
        }
        let is_left = !force && job.is_ready() && job.work.leave();
        job.cancelled = !is_left;
        if job.user_paused {
            self.jobs.settle_resume(key);
        }
        self.jobs.enqueue(key);
        Ok(())
    }

    /// As [`job_cancel`](Self::job_cancel), for `block-job-cancel`.
    ///
    /// # Errors
    ///
    /// As there, or a client had it wait.
    pub(crate) fn block_job_cancel(&mut self, key: JobKey, force: bool) -> Result<(), Error> {
        let job = self.job_mut(key)?;
        if job.user_paused && !force {
            return Err(Error::new(format!(
                "The block job for device '{}' is currently paused",
                job.id
            )));
        }
        self.job_cancel(key, force)
    }

    /// Has a job that is ready do its last step.
    ///
    /// # Errors
    ///
    /// It is in another state, or that is not possible.
    pub(crate) fn job_complete(&mut self, key: JobKey) -> Result<(), Error> {
        let job = self.job_accepts(key, Verb::Complete)?;
        if job.cancelled || !job.work.has_last_step() {
            return Err(Error::new(format!(
                "The active block job '{}' cannot be completed",
                job.id
            )));
        }
        self.with_work(key, |m, work| work.complete(m))?;
        if self.job_mut(key).is_ok_and(|job| !job.user_paused) {
            self.jobs.enqueue(key);
        }
        Ok(())
    }

    /// Lets a job that waits for it keep its result, and those that end together with it.
    ///
    /// # Errors
    ///
    /// It is in another state.
    pub(crate) fn job_finalize(&mut self, key: JobKey) -> Result<(), Error> {
        self.job_accepts(key, Verb::Finalize)?;
        self.finalize_group(key);
        Ok(())
    }

    /// Forgets a job that has ended.
    ///
    /// # Errors
    ///
    /// It is in another state.
    pub(crate) fn job_dismiss(&mut self, key: JobKey) -> Result<(), Error> {
        self.job_accepts(key, Verb::Dismiss)?;
        self.jobs.forget(key);
        Ok(())
    }

    /// Limits how much a job does in a second.
    ///
    /// # Errors
    ///
    /// The limit is negative, or the job is in another state.
    pub(crate) fn job_set_speed(&mut self, key: JobKey, speed: i64) -> Result<(), Error> {
        let job = self.job_accepts(key, Verb::SetSpeed)?;
        let speed = u64::try_from(speed).map_err(|_| negative_speed())?;
        job.rate.set_speed(speed);
        if matches!(job.activity, Activity::Sleeping(_)) {
            self.jobs.enqueue(key);
        }
        Ok(())
    }

    /// Changes the way a job works.
    ///
    /// # Errors
    ///
    /// It is of another kind, in another state, or cannot be changed so.
    pub(crate) fn job_change(
        &mut self,
        key: JobKey,
        options: &BlockJobChangeOptions,
    ) -> Result<(), Error> {
        self.job_accepts(key, Verb::Change)?;
        self.with_work(key, |m, work| work.change(m, options))
    }

    /// Does something with the work of a job and the machine.
    pub(super) fn with_work<R>(
        &mut self,
        key: JobKey,
        action: impl FnOnce(&mut Machine, &mut dyn super::Work) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let job = self.job_mut(key)?;
        let mut work = std::mem::replace(&mut job.work, Box::new(super::Elsewhere));
        let result = action(self, &mut *work);
        if let Ok(job) = self.job_mut(key) {
            job.work = work;
        }
        result
    }
}

impl super::Jobs {
    /// Has a job that is to wait do so.
    pub(super) fn settle_pause(&mut self, key: JobKey) {
        self.set_activity(key, Activity::Idle);
        let status = self.table[&key].status;
        self.set_status(key, paused_status(status));
    }

    /// Has a job that waits go on.
    pub(super) fn settle_resume(&mut self, key: JobKey) {
        let Some(job) = self.table.get_mut(&key) else {
            return;
        };
        job.user_paused = false;
        let status = match job.status {
            JobStatus::Paused => JobStatus::Running,
            JobStatus::Standby => JobStatus::Ready,
            _ => return,
        };
        self.set_status(key, status);
        self.enqueue(key);
    }

    /// Tells that jobs stood still for a moment and went on, as QEMU's do whenever the
    /// nodes below them change.
    pub(crate) fn drained(&mut self, is_concerned: impl Fn(&Job) -> bool) {
        let at_work = |job: &Job| matches!(job.status, JobStatus::Running | JobStatus::Ready);
        let jobs = self.table.iter().rev();
        let jobs = jobs.filter(|(_, job)| job.is_block_job() && at_work(job) && is_concerned(job));
        let stopped: Vec<(JobKey, JobStatus)> = jobs.map(|(key, job)| (*key, job.status)).collect();
        for (key, status) in &stopped {
            self.set_status(*key, paused_status(*status));
        }
        for (key, status) in &stopped {
            self.set_status(*key, *status);
        }
    }
}

fn paused_status(status: JobStatus) -> JobStatus {
    if status == JobStatus::Ready {
        JobStatus::Standby
    } else {
        JobStatus::Paused
    }
}
