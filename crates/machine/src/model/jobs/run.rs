//! Turns of jobs.

use nix::errno::Errno;
use qmonitor::qapi::error::strerror;

use super::work::Failure;
use super::{Activity, Cx, JobEvent, JobKey, Step};
use crate::model::Machine;
use crate::schema::{BlockDeviceIoStatus, BlockErrorAction, BlockdevOnError, JobStatus};

/// How many bytes all jobs together copy in a turn of the loop, about. It is a part of a
/// millisecond, and other clients wait no longer.
const TURN: u64 = 1 << 20;

/// What a step costs that copies nothing.
const STEP: u64 = TURN / 64;

/// How long a job waits after an error that is ignored, in nanoseconds.
const RETRY: i64 = 10_000_000;

impl Machine {
    /// Lets new jobs work, which show their disks as they are at this moment.
    pub(crate) fn start_jobs(&mut self, keys: &[JobKey]) {
        self.jobs.start_together(keys);
    }

    /// Lets jobs work for one turn.
    pub fn run_jobs(&mut self, now: i64) {
        self.jobs.wake(now);
        let mut spent = 0;
        while spent < TURN {
            let Some(key) = self.jobs.queue.front().copied() else {
                return;
            };
            spent += self.run_job(key, now).max(STEP);
        }
    }

    /// Does a step of the first job in the queue, and returns how many bytes it copied.
    fn run_job(&mut self, key: JobKey, now: i64) -> u64 {
        self.jobs.set_activity(key, Activity::Idle);
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return 0;
        };
        if job.cancelled {
            self.job_ended(key, Err(String::new()));
            return 0;
        }
        if job.user_paused {
            self.jobs.settle_pause(key);
            return 0;
        }
        // The last step is not held up, nor is what goes on at once.
        let may_wait = job.status == JobStatus::Running && !job.in_burst;
        if let Some(until) = job.rate.wait_until(now).filter(|_| may_wait) {
            self.jobs.set_activity(key, Activity::Sleeping(until));
            return 0;
        }
        let step = job.work.step(Cx {
            blocks: &mut self.blocks,
            progress: &mut job.progress,
            buffer: &mut self.jobs.buffer,
        });
        self.take_step(key, step, now)
    }

    fn take_step(&mut self, key: JobKey, step: Step, now: i64) -> u64 {
        match step {
            Step::Copied(bytes) => {
                self.go_on(key, bytes, now, true);
                return bytes;
            }
            Step::Burst(bytes) => {
                self.go_on(key, bytes, now, false);
                return bytes;
            }
            Step::Skipped => self.jobs.enqueue(key),
            Step::Idle => {}
            Step::Ready => {
                self.jobs.set_status(key, JobStatus::Ready);
                let report = self.jobs.table[&key].report();
                self.jobs.events.push(JobEvent::Ready(report));
                self.jobs.enqueue(key);
            }
            Step::Done => self.job_ended(key, Ok(())),
            Step::Refused(error) => self.job_ended(key, Err(error.desc().to_owned())),
            Step::Failed(failure) => self.job_failed(key, &failure, now),
        }
        0
    }

    fn go_on(&mut self, key: JobKey, bytes: u64, now: i64, may_wait: bool) {
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return;
        };
        job.rate.account(bytes, now);
        job.in_burst = !may_wait;
        let until = job.rate.wait_until(now).filter(|_| may_wait);
        match until {
            Some(until) => self.jobs.set_activity(key, Activity::Sleeping(until)),
            None => self.jobs.enqueue(key),
        }
    }

    /// Does what the policy of a job says about an error.
    fn job_failed(&mut self, key: JobKey, failure: &Failure, now: i64) {
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return;
        };
        let errno = failure.error.raw_os_error().map(Errno::from_raw);
        let is_full = errno == Some(Errno::ENOSPC);
        let action = match job.work.policy(failure.operation) {
            BlockdevOnError::Ignore => BlockErrorAction::Ignore,
            BlockdevOnError::Stop => BlockErrorAction::Stop,
            BlockdevOnError::Enospc if is_full => BlockErrorAction::Stop,
            BlockdevOnError::Report | BlockdevOnError::Enospc | BlockdevOnError::Auto => {
                BlockErrorAction::Report
            }
        };
        let event = JobEvent::Error(job.id.clone(), failure.operation, action);
        self.jobs.events.push(event);
        let text = strerror(&failure.error);
        match action {
            BlockErrorAction::Report => self.job_ended(key, Err(text)),
            BlockErrorAction::Ignore => {
                job.work.ignore(&text);
                // An error that stays must not flood clients with events.
                self.jobs.set_activity(key, Activity::Sleeping(now + RETRY));
            }
            BlockErrorAction::Stop => {
                job.io_status = if is_full {
                    BlockDeviceIoStatus::Nospace
                } else {
                    BlockDeviceIoStatus::Failed
                };
                job.user_paused = true;
                self.jobs.settle_pause(key);
            }
        }
    }
}

impl super::Jobs {
    /// Has those go on whose time has come.
    fn wake(&mut self, now: i64) {
        while let Some((time, key)) = self.sleeping.first().copied() {
            if time > now {
                return;
            }
            self.enqueue(key);
        }
    }
}
