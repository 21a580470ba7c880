//! Jobs: long operations that run beside the machine, in pieces from its loop.
//!
//! ```text
//!   created ─► running ◄─► paused          ready ◄─► standby
//!                 │   └──────────────────────► ▲        (mirror, commit of the top image)
//!                 ▼                            │
//!              waiting ─► pending ─► concluded ─► null
//!                 └── aborting ──────────▲
//! ```
//!
//! A job works until its `Work` is done. Then it waits for the others of its group, keeps
//! its result when it is finalized, and is listed until it is dismissed. Every change is
//! noted as a [`JobEvent`] in the order in which clients get them.

mod backup;
mod chain;
mod commit;
mod end;
mod mirror;
mod piece;
mod rate;
mod run;
mod stream;
#[cfg(test)]
mod tests;
mod verbs;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::schema::{BlockDeviceIoStatus, BlockErrorAction, IoOperationType, JobStatus, JobType};
use qmonitor::qapi::{Error, ErrorClass};
use qmonitor::util::qemu_opts::id_wellformed;

pub(crate) use backup::BackupPlan;
pub(crate) use chain::{above, backing, find_file, unfiltered};
pub(crate) use commit::CommitPlan;
pub(crate) use mirror::{Extents, MirrorPlan};
use rate::Rate;
pub(crate) use stream::StreamPlan;
pub use work::Progress;
pub(crate) use work::{Cx, Elsewhere, Step, Work};

/// Numbers jobs in the order of making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(u64);

/// What clients are told of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEvent {
    /// `JOB_STATUS_CHANGE`
    Status(String, JobStatus),
    /// `BLOCK_JOB_READY`
    Ready(Report),
    /// `BLOCK_JOB_PENDING`
    Pending(JobType, String),
    /// `BLOCK_JOB_COMPLETED`, and what went wrong.
    Completed(Report, Option<String>),
    /// `BLOCK_JOB_CANCELLED`
    Cancelled(Report),
    /// `BLOCK_JOB_ERROR`
    Error(String, IoOperationType, BlockErrorAction),
}

/// What events tell of a job of a block node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Report {
    pub kind: JobType,
    pub device: String,
    pub length: u64,
    pub offset: u64,
    pub speed: u64,
}

/// How a job is to run and to end.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Settings {
    pub id: String,
    pub kind: JobType,
    pub speed: i64,
    pub auto_finalize: bool,
    pub auto_dismiss: bool,
    /// The jobs that end together with this one.
    pub group: Option<Group>,
}

/// Names a group of jobs that end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(u64);

/// A job.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub id: String,
    /// What it does.
    pub kind: JobType,
    /// How far it is.
    pub progress: Progress,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// The outcome of its last operation on a disk.
    pub io_status: BlockDeviceIoStatus,
    #[allow(missing_docs)]
    pub auto_finalize: bool,
    #[allow(missing_docs)]
    pub auto_dismiss: bool,
    status: JobStatus,
    rate: Rate,
    activity: Activity,
    /// Whether a client or an error had it pause.
    user_paused: bool,
    /// Whether it ends without its result.
    cancelled: bool,
    started: bool,
    /// Whether it goes on whatever its limit says.
    in_burst: bool,
    group: Option<Group>,
    work: Box<dyn Work>,
}

/// What a job does right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// It has its place in the queue of those that work.
    Queued,
    /// It waits for a time.
    Sleeping(i64),
    /// It waits for an event or a command.
    Idle,
    /// Its work is over.
    Ended,
}

impl Job {
    #[allow(missing_docs)]
    pub fn status(&self) -> JobStatus {
        self.status
    }

    /// Whether it is one of those that copy disks.
    pub fn is_block_job(&self) -> bool {
        use JobType::{Backup, Commit, Mirror, Stream};
        matches!(self.kind, Backup | Commit | Mirror | Stream)
    }

    /// Whether it is paused, or holds its disk still until it is finalized.
    pub fn is_paused(&self) -> bool {
        let holds = self.kind == JobType::Mirror
            && matches!(self.status, JobStatus::Waiting | JobStatus::Pending);
        self.user_paused || holds
    }

    /// Whether its work is over.
    pub fn has_ended(&self) -> bool {
        self.activity == Activity::Ended
    }

    /// Whether it can do its last step.
    pub fn is_ready(&self) -> bool {
        matches!(self.status, JobStatus::Ready | JobStatus::Standby)
    }

    /// Whether it is at work in this very moment.
    pub fn is_busy(&self) -> bool {
        self.activity == Activity::Queued && !self.user_paused
    }

    /// The most it may do in a second, in bytes.
    pub fn speed(&self) -> u64 {
        self.rate.speed()
    }

    /// Whether a mirror and its source have the same bytes at any time.
    pub fn is_actively_synced(&self) -> bool {
        self.work.is_actively_synced()
    }

    fn report(&self) -> Report {
        Report {
            kind: self.kind,
            device: self.id.clone(),
            length: self.progress.total,
            offset: self.progress.current,
            speed: self.speed(),
        }
    }
}

/// All jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    table: BTreeMap<JobKey, Job>,
    names: HashMap<String, JobKey>,
    /// Those that work, in the order of their turns.
    queue: VecDeque<JobKey>,
    sleeping: BTreeSet<(i64, JobKey)>,
    /// Those that wait for a call of a thread.
    waiting: Vec<JobKey>,
    events: Vec<JobEvent>,
    /// Room for the bytes on their way.
    buffer: Vec<u8>,
    made: u64,
    groups: u64,
}

impl Jobs {
    /// Whether a job may have this name.
    ///
    /// # Errors
    ///
    /// It is bad or in use.
    pub fn check_id(&self, id: &str) -> Result<(), Error> {
        if !id_wellformed(id) {
            return Err(Error::new(format!("Invalid job ID '{id}'")));
        }
        if self.names.contains_key(id) {
            return Err(Error::new(format!("Job ID '{id}' already in use")));
        }
        Ok(())
    }

    /// A group for jobs to come.
    pub fn new_group(&mut self) -> Group {
        self.groups += 1;
        Group(self.groups)
    }

    /// Makes a job, which does not work yet.
    ///
    /// # Errors
    ///
    /// Its name is bad or in use, or its limit is negative.
    pub(crate) fn make(
        &mut self,
        settings: Settings,
        work: Box<dyn Work>,
    ) -> Result<JobKey, Error> {
        self.check_id(&settings.id)?;
        let id = settings.id;
        self.events
            .push(JobEvent::Status(id.clone(), JobStatus::Created));
        let Ok(speed) = u64::try_from(settings.speed) else {
            self.events.push(JobEvent::Status(id, JobStatus::Null));
            return Err(negative_speed());
        };
        self.made += 1;
        let key = JobKey(self.made);
        self.names.insert(id.clone(), key);
        let job = Job {
            id,
            kind: settings.kind,
            progress: Progress::default(),
            error: None,
            io_status: BlockDeviceIoStatus::Ok,
            auto_finalize: settings.auto_finalize,
            auto_dismiss: settings.auto_dismiss,
            status: JobStatus::Created,
            rate: Rate::new(speed),
            activity: Activity::Idle,
            user_paused: false,
            cancelled: false,
            started: false,
            in_burst: false,
            group: settings.group,
            work,
        };
        self.table.insert(key, job);
        Ok(key)
    }

    /// Lets a new job work, from the next turn on.
    pub(crate) fn start(&mut self, key: JobKey) {
        if let Some(job) = self.table.get_mut(&key) {
            job.started = true;
        }
        self.set_status(key, JobStatus::Running);
        self.enqueue(key);
    }

    /// Lets new jobs work that begin at the same moment. QEMU's stand still until all are
    /// there.
    fn start_together(&mut self, keys: &[JobKey]) {
        for key in keys.iter().rev() {
            if let Some(job) = self.table.get_mut(key) {
                job.started = true;
            }
            self.set_status(*key, JobStatus::Running);
            self.set_status(*key, JobStatus::Paused);
        }
        for key in keys.iter().rev() {
            self.set_status(*key, JobStatus::Running);
            self.enqueue(*key);
        }
    }

    /// The job of that name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn find(&self, id: &str) -> Result<JobKey, Error> {
        let missing = || Error::new("Job not found");
        self.names.get(id).copied().ok_or_else(missing)
    }

    /// The job of that name, if it is one of those that copy disks.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn find_block_job(&self, id: &str) -> Result<JobKey, Error> {
        let key = self.names.get(id).copied();
        let key = key.filter(|key| self.table[key].is_block_job());
        key.ok_or_else(|| {
            let text = format!("Block job '{id}' not found");
            Error::with_class(ErrorClass::DeviceNotActive, text)
        })
    }

    /// A job.
    pub(crate) fn get(&self, key: JobKey) -> Option<&Job> {
        self.table.get(&key)
    }

    /// All jobs, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.table.values().rev()
    }

    /// Whether a node is the target of a job, which nothing else may use.
    pub(crate) fn holds(&self, node: &str) -> bool {
        self.table.values().any(|job| job.work.holds(node))
    }

    /// Sets how much a job has to do.
    pub(crate) fn set_total(&mut self, key: JobKey, total: u64) {
        if let Some(job) = self.table.get_mut(&key) {
            job.progress.total = total;
        }
    }

    /// What happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<JobEvent> {
        std::mem::take(&mut self.events)
    }

    /// Whether there is work for the next turn.
    pub fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When the first of those that wait for a time goes on.
    pub fn next_wake(&self) -> Option<i64> {
        self.sleeping.first().map(|(time, _)| *time)
    }

    /// Has jobs that found nothing to do look again, since a disk was written.
    pub fn disk_written(&mut self) {
        let idle = self.table.iter().filter(|(_, job)| {
            job.activity == Activity::Idle && !job.user_paused && job.work.waits_for_writes()
        });
        for key in idle.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.enqueue(key);
        }
    }

    fn set_status(&mut self, key: JobKey, status: JobStatus) {
        if let Some(job) = self.table.get_mut(&key) {
            job.status = status;
            self.events.push(JobEvent::Status(job.id.clone(), status));
        }
    }

    fn set_activity(&mut self, key: JobKey, activity: Activity) {
        let Some(job) = self.table.get_mut(&key) else {
            return;
        };
        match std::mem::replace(&mut job.activity, activity) {
            Activity::Sleeping(time) => {
                self.sleeping.remove(&(time, key));
            }
            // A job leaves the queue at its front, unless a command takes it out.
            Activity::Queued if self.queue.front() == Some(&key) => {
                self.queue.pop_front();
            }
            Activity::Queued => self.queue.retain(|other| *other != key),
            Activity::Idle | Activity::Ended => {}
        }
        match activity {
            Activity::Sleeping(time) => {
                self.sleeping.insert((time, key));
            }
            Activity::Queued => self.queue.push_back(key),
            Activity::Idle | Activity::Ended => {}
        }
    }

    /// Gives a job the last place among those that work.
    fn enqueue(&mut self, key: JobKey) {
        let is_there = |job: &Job| matches!(job.activity, Activity::Queued | Activity::Ended);
        if self.table.get(&key).is_some_and(|job| !is_there(job)) {
            self.set_activity(key, Activity::Queued);
        }
    }

    /// Forgets a job.
    fn forget(&mut self, key: JobKey) {
        self.set_activity(key, Activity::Ended);
        self.set_status(key, JobStatus::Null);
        if let Some(job) = self.table.remove(&key) {
            self.names.remove(&job.id);
        }
    }
}

fn negative_speed() -> Error {
    Error::new("Parameter 'speed' expects a non-negative value")
}
