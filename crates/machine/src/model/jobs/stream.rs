//! Stream: an image gets the data of those below it, and stands without them afterwards.

use super::chain::{self, in_use, unfiltered};
use super::piece::Piece;
use super::work::{Cx, Disks, Failure, Step, Work};
use super::{JobKey, Settings};
use crate::model::block::{BlockOp, ExtentKind, Filter};
use crate::model::Machine;
use crate::schema::{BlockdevOnError, IoOperationType};
use qmonitor::qapi::Error;

/// How much is copied at once.
const CHUNK: u64 = 512 << 10;

/// How much is made zero at once.
const ZEROS: u64 = 64 << 20;

/// What a stream is to do.
#[derive(Debug, Clone)]
pub(crate) struct StreamPlan {
    /// The image that gets the data.
    pub(crate) node: String,
    /// The image that stays below, if one does.
    pub(crate) base: Option<String>,
    /// What the header says of the image below afterwards: its file, and its format.
    pub(crate) backing: Option<(String, String)>,
    pub(crate) on_error: BlockdevOnError,
    pub(crate) filter_name: Option<String>,
}

#[derive(Debug)]
struct Stream {
    id: String,
    plan: StreamPlan,
    filter: String,
    /// The image below at the start.
    below: Option<String>,
    offset: u64,
    /// What is being copied.
    piece: Option<Piece>,
    /// The first error that was ignored.
    error: Option<String>,
    was_read_only: bool,
}

impl Machine {
    /// Makes a stream and lets it work.
    ///
    /// # Errors
    ///
    /// A node is in use, a name is bad, or the image cannot be written.
    pub(crate) fn start_stream(
        &mut self,
        settings: Settings,
        plan: StreamPlan,
    ) -> Result<JobKey, Error> {
        let id = settings.id.clone();
        let node = plan.node.clone();
        let images = chain::above(&self.blocks, &node, plan.base.as_deref()).unwrap_or_default();
        for image in &images {
            self.blocks.check_op(image, BlockOp::Stream)?;
        }
        self.jobs.check_id(&id)?;
        let was_read_only = self.blocks.node(&node).is_some_and(|node| node.read_only);
        if was_read_only {
            self.blocks.set_read_only(&node, false)?;
        }
        let name = plan.filter_name.as_deref();
        let filter = self.insert_filter(name, "copy-on-read", &node, Filter::default())?;
        let work = Stream {
            id: id.clone(),
            filter: filter.clone(),
            below: chain::backing(&self.blocks, &node),
            offset: 0,
            piece: None,
            error: None,
            was_read_only,
            plan,
        };
        // Nothing is to be copied.
        let is_alone = images.len() == 1;
        let key = match self.jobs.make(settings, Box::new(work)) {
            Ok(key) => key,
            Err(error) => {
                self.remove_filter(&filter);
                return Err(error);
            }
        };
        for image in images.iter().chain(&[filter]) {
            self.blocks.block_ops(image, &id, &in_use("stream"), &[]);
        }
        self.jobs.start(key);
        if is_alone {
            self.job_ended(key, Ok(()));
        }
        Ok(key)
    }
}

impl Stream {
    fn copy(&mut self, cx: &mut Cx<'_>, left: u64) -> Result<Step, Failure> {
        if self.piece.is_some() {
            return self.copy_data(cx, left);
        }
        let node = unfiltered(cx.blocks, &self.plan.node);
        let status = cx.blocks.status(&node, self.offset, left);
        let own = status.map_err(Failure::read)?;
        let base = self.plan.base.as_deref();
        let (Some(below), ExtentKind::Unallocated) = (&self.below, own.kind) else {
            self.offset += own.length;
            return Ok(Step::Skipped);
        };
        let status = chain::status_above(cx.blocks, below, base, self.offset, own.length);
        let extent = status.map_err(Failure::read)?;
        let length = match extent.kind {
            ExtentKind::Unallocated => {
                self.offset += extent.length;
                return Ok(Step::Skipped);
            }
            ExtentKind::Zero => {
                let length = extent.length.min(ZEROS);
                let zeroed = cx.blocks.write_zeroes(&node, self.offset, length);
                zeroed.map_err(Failure::read)?;
                length
            }
            ExtentKind::Data => {
                self.piece = Some(Piece::new(self.offset, extent.length.min(CHUNK)));
                return self.copy_data(cx, left);
            }
        };
        Ok(self.copied(length, left))
    }

    /// What is read and written is the same node: what is below it goes into it. A write that
    /// came between the parts is read and written again.
    fn copy_data(&mut self, cx: &mut Cx<'_>, left: u64) -> Result<Step, Failure> {
        let Some(piece) = &mut self.piece else {
            return Ok(Step::Skipped);
        };
        let node = unfiltered(cx.blocks, &self.plan.node);
        let copied = chain::copy_part(cx.blocks, cx.buffer, (&node, &node), piece);
        copied.map_err(|failure| Failure::read(failure.error))?;
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

impl Work for Stream {
    fn step(&mut self, mut cx: Cx<'_>) -> Step {
        let end = cx.blocks.length(&self.plan.node);
        cx.progress.total = end;
        let step = if self.offset < end {
            self.copy(&mut cx, end - self.offset)
        } else {
            let error = self.error.take();
            Ok(error.map_or(Step::Done, |text| Step::Refused(Error::new(text))))
        };
        cx.progress.current = self.offset.min(end);
        step.unwrap_or_else(Step::Failed)
    }

    fn policy(&self, _: IoOperationType) -> BlockdevOnError {
        self.plan.on_error
    }

    /// QEMU streams what it can and fails at the end.
    fn ignore(&mut self, text: &str) {
        self.error.get_or_insert_with(|| text.to_owned());
        self.piece = None;
        self.offset += CHUNK;
    }

    fn prepare(&mut self, disks: &mut dyn Disks) -> Result<(), Error> {
        if self.below.is_none() {
            return Ok(());
        }
        let node = &self.plan.node;
        disks.blocks().set_backing(node, self.plan.base.as_deref());
        let backing = self.plan.backing.as_ref();
        let (name, format) = backing.map(|(name, format)| (&**name, &**format)).unzip();
        disks.blocks().change_backing_file(node, name, format)
    }

    fn clean(&mut self, disks: &mut dyn Disks, _success: bool) {
        disks.remove_filter(&self.filter);
        disks.release(&self.id);
        if self.was_read_only {
            // As QEMU does: an image that cannot be closed for writing stays open.
            let _ = disks.blocks().set_read_only(&self.plan.node, true);
        }
    }
}
