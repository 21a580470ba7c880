//! Jobs that have ended and are still listed. All work of this machine is done at once, so
//! no job is ever seen at work.

use crate::schema::JobType;
use qmonitor::qapi::{Error, ErrorClass};
use qmonitor::util::qemu_opts::id_wellformed;

/// A job that has ended.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub id: String,
    /// What it did.
    pub kind: JobType,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// All jobs, the newest first.
#[derive(Debug, Default)]
pub struct Jobs(Vec<Job>);

impl Jobs {
    /// Keeps a job that has ended.
    ///
    /// # Errors
    ///
    /// The name is bad or in use.
    pub fn add(&mut self, job: Job) -> Result<(), Error> {
        self.check_id(&job.id)?;
        self.0.insert(0, job);
        Ok(())
    }

    /// Whether a job may have this name.
    ///
    /// # Errors
    ///
    /// It is bad or in use.
    pub fn check_id(&self, id: &str) -> Result<(), Error> {
        if !id_wellformed(id) {
            return Err(Error::new(format!("Invalid job ID '{id}'")));
        }
        if self.has(id) {
            return Err(Error::new(format!("Job ID '{id}' already in use")));
        }
        Ok(())
    }

    /// Forgets a job.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn dismiss(&mut self, id: &str) -> Result<Job, Error> {
        let at = self.0.iter().position(|job| job.id == id);
        at.map(|at| self.0.remove(at)).ok_or_else(job_not_found)
    }

    /// The error about a command that jobs at work take.
    pub fn refuse(&self, id: &str, verb: &str) -> Error {
        if !self.has(id) {
            return job_not_found();
        }
        Error::new(format!(
            "Job '{id}' in state 'concluded' cannot accept command verb '{verb}'"
        ))
    }

    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|job| job.id == id)
    }

    /// All jobs, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }
}

fn job_not_found() -> Error {
    Error::new("Job not found")
}

/// The error about a job of a block node; there is never one.
pub fn block_job_not_found(id: &str) -> Error {
    let text = format!("Block job '{id}' not found");
    Error::with_class(ErrorClass::DeviceNotActive, text)
}
