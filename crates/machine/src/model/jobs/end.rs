//! How jobs end, alone or together with those of their group.

use super::{Activity, Group, JobEvent, JobKey};
use crate::model::Machine;
use crate::schema::JobStatus;
use qmonitor::qapi::Error;

/// QEMU's words about a job that was cancelled.
const CANCELLED: &str = "Operation canceled";

impl Machine {
    /// Ends a job whose work was done elsewhere.
    pub(crate) fn job_done_elsewhere(&mut self, key: JobKey, result: Result<(), Error>) {
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return;
        };
        job.progress.current = job.progress.total;
        let result = if job.cancelled {
            Err(String::new())
        } else {
            result.map_err(|error| error.desc().to_owned())
        };
        self.job_ended(key, result);
    }

    /// Takes the end of a job's work.
    pub(super) fn job_ended(&mut self, key: JobKey, result: Result<(), String>) {
        match result {
            Ok(()) => self.job_succeeded(key),
            Err(text) => {
                if let Some(job) = self.jobs.table.get_mut(&key) {
                    job.error = Some(text).filter(|text| !text.is_empty());
                }
                self.abort_group(key);
            }
        }
    }

    fn job_succeeded(&mut self, key: JobKey) {
        self.jobs.set_activity(key, Activity::Ended);
        self.jobs.set_status(key, JobStatus::Waiting);
        let members = self.jobs.members(key);
        let has_ended = |key: &JobKey| self.jobs.table[key].activity == Activity::Ended;
        if !members.iter().all(has_ended) {
            return;
        }
        let mut wait = false;
        for member in &members {
            self.jobs.set_status(*member, JobStatus::Pending);
            let job = &self.jobs.table[member];
            if !job.auto_finalize {
                wait = true;
                if job.is_block_job() {
                    let event = JobEvent::Pending(job.kind, job.id.clone());
                    self.jobs.events.push(event);
                }
            }
        }
        if !wait {
            self.finalize_group(key);
        }
    }

    /// Has all of a group keep their results, or none if one cannot.
    pub(super) fn finalize_group(&mut self, key: JobKey) {
        let members = self.jobs.members(key);
        for member in &members {
            if let Err(error) = self.with_work(*member, |m, work| work.prepare(m)) {
                if let Some(job) = self.jobs.table.get_mut(member) {
                    job.error = Some(error.desc().to_owned());
                }
                return self.abort_group(*member);
            }
        }
        for member in members {
            self.conclude(member);
        }
    }

    /// Ends a job that has done its work, and those of its group, without their results.
    pub(super) fn abort_ended(&mut self, key: JobKey) {
        if let Some(job) = self.jobs.table.get_mut(&key) {
            job.cancelled = true;
        }
        self.abort_group(key);
    }

    /// Ends a job that failed, and cancels those of its group.
    fn abort_group(&mut self, key: JobKey) {
        let members = self.jobs.members(key);
        self.note_failure(key);
        for member in members.iter().filter(|member| **member != key) {
            if let Some(job) = self.jobs.table.get_mut(member) {
                job.cancelled = true;
            }
            self.note_failure(*member);
        }
        for member in members {
            let status = self.jobs.table[&member].status;
            if status != JobStatus::Aborting {
                self.jobs.set_status(member, JobStatus::Aborting);
            }
            self.conclude(member);
        }
    }

    /// Has a job that is at work stop for good.
    fn note_failure(&mut self, key: JobKey) {
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return;
        };
        let was_at_work = job.activity != Activity::Ended;
        if job.error.is_none() {
            job.cancelled = true;
            job.error = Some(CANCELLED.to_owned());
        }
        if was_at_work {
            if job.user_paused {
                self.jobs.settle_resume(key);
            }
            self.jobs.set_activity(key, Activity::Ended);
            self.jobs.set_status(key, JobStatus::Aborting);
        }
    }

    /// The last step of a job: what was made for it goes, and clients are told.
    fn conclude(&mut self, key: JobKey) {
        let success = self.jobs.table[&key].error.is_none();
        let cleaned = self.with_work(key, |m, work| {
            work.clean(m, success);
            Ok(())
        });
        debug_assert!(cleaned.is_ok(), "a job that ends exists");
        let Some(job) = self.jobs.table.get_mut(&key) else {
            return;
        };
        job.group = None;
        job.user_paused = false;
        let is_dismissed = job.auto_dismiss || !job.started;
        if job.is_block_job() && job.started {
            let report = job.report();
            let event = if job.cancelled && !success {
                JobEvent::Cancelled(report)
            } else {
                JobEvent::Completed(report, job.error.clone())
            };
            self.jobs.events.push(event);
        }
        self.jobs.set_status(key, JobStatus::Concluded);
        if is_dismissed {
            self.jobs.forget(key);
        }
    }

    /// Ends a job that has never worked, since the command that made it failed.
    pub(crate) fn job_abandon(&mut self, key: JobKey) {
        if self.jobs.table.contains_key(&key) {
            self.abort_group(key);
        }
    }

    /// Forgets a job that was just made, as if it had not been.
    pub(crate) fn job_unmake(&mut self, key: JobKey) {
        let cleaned = self.with_work(key, |m, work| {
            work.clean(m, false);
            Ok(())
        });
        debug_assert!(cleaned.is_ok(), "the job was just made");
        self.jobs.forget(key);
    }

    /// Ends all jobs, since the program ends. Nothing waits for their work.
    pub fn quit_jobs(&mut self) {
        for _ in 0..2 {
            self.jobs.drained(|_| true);
        }
        while let Some(key) = self.jobs.table.keys().next_back().copied() {
            if self.jobs.table[&key].status == JobStatus::Concluded {
                self.jobs.forget(key);
                continue;
            }
            if let Some(job) = self.jobs.table.get_mut(&key) {
                job.auto_dismiss = true;
            }
            self.abort_ended(key);
        }
    }
}

impl super::Jobs {
    /// A job and those that end together with it, the newest first.
    fn members(&self, key: JobKey) -> Vec<JobKey> {
        let Some(group) = self.table.get(&key).and_then(|job| job.group) else {
            return vec![key];
        };
        let is_member = |job: &super::Job, group: Group| job.group == Some(group);
        let members = self.table.iter().rev();
        let members = members.filter(|(_, job)| is_member(job, group));
        members.map(|(key, _)| *key).collect()
    }
}
