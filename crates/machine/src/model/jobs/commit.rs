//! Commit of images in the middle of a chain: their data moves down, and they go. The
//! commit of the top image is a [mirror](super::mirror) to the base.

use super::chain::{self, in_use};
use super::piece::Piece;
use super::work::{Cx, Disks, Failure, Step, Work};
use super::{JobKey, Settings};
use crate::model::block::{ExtentKind, Filter};
use crate::model::Machine;
use crate::schema::{BlockdevOnError, IoOperationType};
use qmonitor::qapi::Error;

/// How much is copied at once.
const CHUNK: u64 = 512 << 10;

/// How much is made zero at once.
const ZEROS: u64 = 64 << 20;

/// What a commit is to do.
#[derive(Debug, Clone)]
pub(crate) struct CommitPlan {
    /// The highest image whose data moves.
    pub(crate) top: String,
    /// The image that gets it.
    pub(crate) base: String,
    /// What the headers above say of the base: its file, and its format.
    pub(crate) backing: (String, String),
    pub(crate) on_error: BlockdevOnError,
    pub(crate) filter_name: Option<String>,
}

#[derive(Debug)]
struct Commit {
    id: String,
    plan: CommitPlan,
    filter: String,
    offset: u64,
    /// What is being copied.
    piece: Option<Piece>,
    was_read_only: bool,
}

impl Machine {
    /// Makes a commit and lets it work.
    ///
    /// # Errors
    ///
    /// A name is bad, or the base cannot be written.
    pub(crate) fn start_commit(
        &mut self,
        settings: Settings,
        plan: CommitPlan,
        device: &str,
    ) -> Result<JobKey, Error> {
        let id = settings.id.clone();
        self.jobs.check_id(&id)?;
        let (top, base) = (plan.top.clone(), plan.base.clone());
        let name = plan.filter_name.as_deref();
        let filter = self.insert_filter(name, "commit_top", &top, Filter::default())?;
        let work = Commit {
            id: id.clone(),
            filter: filter.clone(),
            offset: 0,
            piece: None,
            was_read_only: self.blocks.node(&base).is_some_and(|node| node.read_only),
            plan,
        };
        let was_read_only = work.was_read_only;
        let made = self.jobs.make(settings, Box::new(work));
        let key = match made {
            Ok(key) => key,
            Err(error) => {
                self.remove_filter(&filter);
                return Err(error);
            }
        };
        if was_read_only {
            if let Err(error) = self.blocks.set_read_only(&base, false) {
                self.job_unmake(key);
                return Err(error);
            }
        }
        let mut images = chain::above(&self.blocks, device, None).unwrap_or_default();
        images.insert(0, filter);
        for image in images {
            let is_base = image == base;
            self.blocks.block_ops(&image, &id, &in_use("commit"), &[]);
            if is_base {
                break;
            }
        }
        self.jobs.start(key);
        Ok(key)
    }
}

impl Commit {
    fn copy(&mut self, cx: &mut Cx<'_>, left: u64) -> Result<Step, Failure> {
        if self.piece.is_some() {
            return self.copy_data(cx, left);
        }
        let (top, base) = (&self.plan.top, &self.plan.base);
        let status = chain::status_above(cx.blocks, top, Some(base), self.offset, left);
        let extent = status.map_err(Failure::read)?;
        let length = match extent.kind {
            ExtentKind::Unallocated => {
                self.offset += extent.length;
                return Ok(Step::Skipped);
            }
            ExtentKind::Zero => {
                let length = extent.length.min(ZEROS);
                let zeroed = cx.blocks.write_zeroes(base, self.offset, length);
                zeroed.map_err(Failure::write)?;
                length
            }
            ExtentKind::Data => {
                self.piece = Some(Piece::new(self.offset, extent.length.min(CHUNK)));
                return self.copy_data(cx, left);
            }
        };
        Ok(self.copied(length, left))
    }

    fn copy_data(&mut self, cx: &mut Cx<'_>, left: u64) -> Result<Step, Failure> {
        let Some(piece) = &mut self.piece else {
            return Ok(Step::Skipped);
        };
        let nodes = (&*self.plan.top, &*self.plan.base);
        chain::copy_part(cx.blocks, cx.buffer, nodes, piece)?;
        let length = piece.length;
        if !piece.is_done() {
            return Ok(Step::Part);
        }
        self.piece = None;
        Ok(self.copied(length, left))
    }

    fn copied(&mut self, length: u64, left: u64) -> Step {
        self.offset += length;
        if length < left {
            Step::Copied(length)
        } else {
            Step::Burst(length)
        }
    }
}

impl Work for Commit {
    fn step(&mut self, mut cx: Cx<'_>) -> Step {
        let end = cx.blocks.length(&self.plan.top);
        cx.progress.total = end;
        if self.offset == 0 && cx.blocks.length(&self.plan.base) < end {
            if let Err(error) = cx.blocks.truncate(&self.plan.base, end) {
                return Step::Refused(error);
            }
        }
        let step = if self.offset < end {
            self.copy(&mut cx, end - self.offset)
        } else {
            Ok(Step::Done)
        };
        cx.progress.current = self.offset.min(end);
        step.unwrap_or_else(Step::Failed)
    }

    fn policy(&self, _: IoOperationType) -> BlockdevOnError {
        self.plan.on_error
    }

    fn prepare(&mut self, disks: &mut dyn Disks) -> Result<(), Error> {
        let CommitPlan {
            base, backing, top, ..
        } = &self.plan;
        disks
            .blocks()
            .flush(base)
            .map_err(|e| Error::from_io("Could not flush the base", &e))?;
        disks.remove_filter(&self.filter);
        self.filter.clear();
        let parents = disks.blocks().parents(top);
        let parents: Vec<String> = parents.map(|(node, _)| node.name.clone()).collect();
        for overlay in parents {
            let read_only = disks
                .blocks()
                .node(&overlay)
                .is_some_and(|node| node.read_only);
            if read_only {
                disks.blocks().set_read_only(&overlay, false)?;
            }
            disks.blocks().set_backing(&overlay, Some(base));
            let (name, format) = backing;
            disks
                .blocks()
                .change_backing_file(&overlay, Some(name), Some(format))?;
            if read_only {
                disks.blocks().set_read_only(&overlay, true)?;
            }
        }
        Ok(())
    }

    fn clean(&mut self, disks: &mut dyn Disks, _success: bool) {
        if !self.filter.is_empty() {
            disks.remove_filter(&self.filter);
        }
        disks.release(&self.id);
        if self.was_read_only {
            // As QEMU does: an image that cannot be closed for writing stays open.
            let _ = disks.blocks().set_read_only(&self.plan.base, true);
        }
    }
}
