//! Turns of jobs.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use qmonitor::qapi::error::strerror;

use super::work::Failure;
use super::{Activity, Cx, Job, JobEvent, JobKey, Step};
use crate::model::Machine;
use crate::schema::{BlockDeviceIoStatus, BlockErrorAction, BlockdevOnError, JobStatus};

/// How long all jobs together work in a turn of the loop, about: other clients wait no longer
/// than this and the step that was begun last.
const TURN: Duration = Duration::from_micros(250);

/// How many steps a turn has at most: a fast processor would otherwise show clients less of
/// the states between. A step that copies counts as several, and a turn copies a mebibyte.
const STEPS: usize = 64;
const COPYING: usize = 8;

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
        let begin = Instant::now();
        let mut steps = 0;
        while steps < STEPS {
            let Some(key) = self.jobs.queue.front().copied() else {
                return;
            };
            steps += self.run_job(key, now);
            if begin.elapsed() >= TURN {
                return;
            }
        }
    }

    /// Does a step of the first job in the queue, and returns as how many it counts.
    fn run_job(&mut self, key: JobKey, now: i64) -> usize {
        self.jobs.set_activity(key, Activity::Idle);
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return 1;
        };
        if job.cancelled {
            self.job_ended(key, Err(String::new()));
            return 1;
        }
        if job.user_paused {
            self.jobs.settle_pause(key);
            return 1;
        }
        // The last step is not held up, nor is what goes on at once.
        let may_wait = job.status == JobStatus::Running && !job.in_burst;
        if let Some(until) = job.rate.wait_until(now).filter(|_| may_wait) {
            self.jobs.set_activity(key, Activity::Sleeping(until));
            return 1;
        }
        let (progress, buffer) = (&mut job.progress, &mut self.jobs.buffer);
        let work = &mut job.work;
        let step = self.blocks.waiting(|blocks| {
            work.step(Cx {
                blocks,
                progress,
                buffer,
            })
        });
        let copies = matches!(step, Step::Copied(_) | Step::Burst(_) | Step::Part);
        self.take_step(key, step, now);
        if copies {
            COPYING
        } else {
            1
        }
    }

    fn take_step(&mut self, key: JobKey, step: Step, now: i64) {
        match step {
            Step::Copied(bytes) => self.go_on(key, bytes, now, true),
            Step::Burst(bytes) => self.go_on(key, bytes, now, false),
            Step::Part => self.go_on(key, 0, now, false),
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
            Step::Failed(failure) if failure.has_to_wait() => self.jobs.waiting.push(key),
            Step::Failed(failure) => self.job_failed(key, &failure, now),
        }
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
    /// Has those go on that wait for a call of a thread.
    pub(crate) fn call_returned(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            let is_idle = |job: &Job| job.activity == Activity::Idle && !job.user_paused;
            if self.table.get(&key).is_some_and(is_idle) {
                self.enqueue(key);
            }
        }
    }

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
