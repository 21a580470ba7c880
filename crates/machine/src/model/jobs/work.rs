//! What a job does, in pieces.

use std::fmt;
use std::io;

use crate::model::block::Blocks;
use crate::schema::{BlockJobChangeOptions, BlockdevOnError, IoOperationType};
use qmonitor::qapi::Error;

/// How far a job is.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Progress {
    pub current: u64,
    pub total: u64,
}

/// The disks of a machine, for what a job does to them outside of its turns. The work is
/// given this trait and not the machine, because the machine owns the jobs.
pub(crate) trait Disks {
    /// Its nodes.
    fn blocks(&mut self) -> &mut Blocks;

    /// Takes a filter of a job away. What is below it may be another node than at the start:
    /// a snapshot goes in between.
    fn remove_filter(&mut self, filter: &str);

    /// Gives the nodes of a job free, and closes those that nothing else uses.
    fn release(&mut self, job: &str);

    /// Gives every user of a node another node.
    ///
    /// # Errors
    ///
    /// There is no such node.
    fn replace_node(&mut self, from: &str, to: &str) -> Result<(), Error>;
}

/// What a piece of work is done with.
pub(crate) struct Cx<'a> {
    pub(crate) blocks: &'a mut Blocks,
    pub(crate) progress: &'a mut Progress,
    /// Room for the bytes on their way, which all jobs share.
    pub(crate) buffer: &'a mut Vec<u8>,
}

/// An operation of a job on a disk that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: io::Error,
    pub(crate) operation: IoOperationType,
}

impl Failure {
    /// Whether the answer is not there yet: the same step will find it.
    pub(super) fn has_to_wait(&self) -> bool {
        self.error.kind() == io::ErrorKind::WouldBlock
    }

    pub(crate) fn read(error: io::Error) -> Self {
        let operation = IoOperationType::Read;
        Failure { error, operation }
    }

    pub(crate) fn write(error: io::Error) -> Self {
        let operation = IoOperationType::Write;
        Failure { error, operation }
    }
}

/// What came of a piece of work.
#[derive(Debug)]
pub(crate) enum Step {
    /// So many bytes were copied; the limit counts them.
    Copied(u64),
    /// Bytes were copied behind which the job does not wait, since they are the last or part
    /// of a burst. The limit counts them.
    Burst(u64),
    /// A part of a piece was copied. The limit counts whole pieces.
    Part,
    /// There was nothing to copy here.
    Skipped,
    /// There is nothing to do until something changes.
    Idle,
    /// The job is ready for its last step from now on.
    Ready,
    /// The work is over.
    Done,
    /// An operation failed. The same piece will be tried again.
    Failed(Failure),
    /// The work cannot be done at all.
    Refused(Error),
}

/// The work of a job.
pub(crate) trait Work: fmt::Debug {
    /// Does a piece, which takes no longer than a part of a millisecond.
    fn step(&mut self, cx: Cx<'_>) -> Step;

    /// What to do about an error.
    fn policy(&self, _operation: IoOperationType) -> BlockdevOnError {
        BlockdevOnError::Report
    }

    /// Takes note of an error that is ignored. The piece is tried again.
    fn ignore(&mut self, _error: &str) {}

    /// Whether the job becomes ready and is completed by a command.
    fn has_last_step(&self) -> bool {
        false
    }

    /// Has it do the last step.
    ///
    /// # Errors
    ///
    /// That is not possible now.
    fn complete(&mut self, _disks: &mut dyn Disks) -> Result<(), Error> {
        Ok(())
    }

    /// Ends a job that is ready without its last step, but with its copy. False if the job
    /// has to be cancelled.
    fn leave(&mut self) -> bool {
        false
    }

    /// Keeps the result.
    ///
    /// # Errors
    ///
    /// It cannot be kept.
    fn prepare(&mut self, _disks: &mut dyn Disks) -> Result<(), Error> {
        Ok(())
    }

    /// Takes away what was made for the job.
    fn clean(&mut self, _disks: &mut dyn Disks, _success: bool) {}

    /// Changes the way it works.
    ///
    /// # Errors
    ///
    /// That cannot be changed.
    fn change(
        &mut self,
        _disks: &mut dyn Disks,
        _options: &BlockJobChangeOptions,
    ) -> Result<(), Error> {
        Err(Error::new("Job type does not support change"))
    }

    /// Whether a write to a disk may give it something to do.
    fn waits_for_writes(&self) -> bool {
        false
    }

    /// Whether a node is its target, which nothing else may use.
    fn holds(&self, _node: &str) -> bool {
        false
    }

    /// Whether its copy is never behind.
    fn is_actively_synced(&self) -> bool {
        false
    }
}

/// The work of a job that is done by others, who tell of its end.
#[derive(Debug)]
pub(crate) struct Elsewhere;

impl Work for Elsewhere {
    fn step(&mut self, _: Cx<'_>) -> Step {
        Step::Idle
    }
}
