//! Mirror: a node gets all that is in another one and all that is written there, until it
//! may take its place. The commit of the top image of a chain is a mirror to its base.

use super::chain::{self, in_use};
use super::piece::Piece;
use super::work::{Cx, Disks, Failure, Step, Work};
use super::{JobKey, Settings};
use crate::model::block::{Bitmap, Blocks, ExtentKind, Filter, Granules};
use crate::model::Machine;
use crate::schema::{
    BlockJobChangeOptions, BlockJobChangeOptionsBranch, BlockdevOnError, IoOperationType, JobType,
    MirrorCopyMode,
};
use qmonitor::qapi::Error;

/// How much is copied at once.
const CHUNK: u64 = 1 << 20;

/// How much is copied before the limit counts.
const BURST: u64 = 16 << 20;

/// How many extents are looked at before others have their turn.
const SCAN: usize = 32;

/// What is copied at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extents {
    /// Everything, zeros as well: nothing is known of the target.
    All,
    /// What is in images above this one, or in any.
    Above(Option<String>),
    /// Nothing.
    None,
}

/// What a mirror is to do.
#[derive(Debug, Clone)]
pub(crate) struct MirrorPlan {
    pub(crate) source: String,
    pub(crate) target: String,
    /// The node whose place the target takes, if it is not the source.
    pub(crate) replaces: Option<String>,
    pub(crate) extents: Extents,
    /// The node that goes below the target when that takes the place; `None` leaves what is
    /// there.
    pub(crate) backing: Option<Option<String>>,
    pub(crate) copy_mode: MirrorCopyMode,
    pub(crate) granularity: u32,
    pub(crate) on_source_error: BlockdevOnError,
    pub(crate) on_target_error: BlockdevOnError,
    pub(crate) filter_name: Option<String>,
    /// Whether the target was opened for the job, and goes with it.
    pub(crate) is_own_target: bool,
}

#[derive(Debug)]
struct Mirror {
    id: String,
    plan: MirrorPlan,
    filter: String,
    is_commit: bool,
    target_was_read_only: bool,
    /// How far the search for data is.
    scanned: u64,
    /// Where the search for the next piece begins.
    cursor: u64,
    /// What is being copied. It is not in the bitmap, so that a write that comes between its
    /// parts has it copied again.
    piece: Option<Piece>,
    burst: u64,
    ready: bool,
    /// What a command had it do: take the place, or just end.
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    TakePlace,
    Leave,
}

impl Machine {
    /// Makes a mirror and lets it work.
    ///
    /// # Errors
    ///
    /// A name is bad, or the target cannot be written.
    pub(crate) fn start_mirror(
        &mut self,
        settings: Settings,
        plan: MirrorPlan,
    ) -> Result<JobKey, Error> {
        let id = settings.id.clone();
        self.jobs.check_id(&id)?;
        let is_commit = settings.kind == JobType::Commit;
        let (source, target) = (plan.source.clone(), plan.target.clone());
        let name = plan.filter_name.as_deref();
        let filter = self.insert_filter(name, "mirror_top", &source, Filter::default())?;
        let granularity = plan.granularity;
        let work = Mirror {
            id: id.clone(),
            filter: filter.clone(),
            is_commit,
            target_was_read_only: self.blocks.node(&target).is_some_and(|n| n.read_only),
            scanned: 0,
            cursor: 0,
            piece: None,
            burst: 0,
            ready: false,
            last: None,
            plan,
        };
        let target_is_closed = work.target_was_read_only;
        let own = work.plan.is_own_target.then(|| target.clone());
        let key = match self.jobs.make(settings, Box::new(work)) {
            Ok(key) => key,
            Err(error) => {
                self.remove_filter(&filter);
                if let Some(own) = own {
                    self.blocks.close(&own);
                }
                return Err(error);
            }
        };
        if target_is_closed {
            let opened = if is_commit {
                self.blocks.set_read_only(&target, false)
            } else {
                Err(Error::new("Block node is read-only"))
            };
            if let Err(error) = opened {
                self.job_unmake(key);
                return Err(error);
            }
        }
        if let Some(image) = self.blocks.image_in(&target) {
            let text = format!(
                "Permission conflict on node '{target}': permissions 'consistent read, write, \
                 resize' are both required by node '{}' (uses node '{target}' as 'file' child) \
                 and unshared by an unnamed block device (uses node '{target}' as 'root' child).",
                image.name
            );
            self.job_unmake(key);
            return Err(Error::new(text));
        }
        let length = self.blocks.length(&source);
        if let Some(node) = self.blocks.node_mut(&filter) {
            node.bitmaps.insert(
                0,
                Bitmap {
                    name: None,
                    owner: Some(id.clone()),
                    set: Granules::new(granularity, length),
                    enabled: true,
                    persistent: false,
                    busy: false,
                    inconsistent: false,
                },
            );
        }
        let reason = in_use(if is_commit { "commit" } else { "mirror" });
        let mut nodes = vec![source.clone(), target.clone(), filter.clone()];
        if is_commit {
            nodes.extend(chain::above(&self.blocks, &source, Some(&target)).unwrap_or_default());
            nodes.dedup();
        }
        for node in nodes {
            self.blocks.block_ops(&node, &id, &reason, &[]);
        }
        self.jobs.start(key);
        Ok(key)
    }
}

impl Mirror {
    /// What is still to be copied.
    fn dirty<'a>(&self, blocks: &'a mut Blocks) -> Option<&'a mut Bitmap> {
        let node = blocks.node_mut(&self.filter)?;
        let own = |bitmap: &&mut Bitmap| bitmap.owner.as_deref() == Some(&*self.id);
        node.bitmaps.iter_mut().find(own)
    }

    /// Looks for the parts to copy at first. False as long as there is more to look at.
    fn scan(&mut self, blocks: &mut Blocks, end: u64) -> Result<bool, Failure> {
        let Extents::Above(base) = &self.plan.extents else {
            let all = self.plan.extents == Extents::All;
            let length = if all { end } else { 0 };
            self.mark(blocks, 0, length);
            self.scanned = end;
            return Ok(true);
        };
        let base = base.clone();
        for _ in 0..SCAN {
            if self.scanned >= end {
                return Ok(true);
            }
            let (source, left) = (&self.plan.source, end - self.scanned);
            let status = chain::status_above(blocks, source, base.as_deref(), self.scanned, left);
            let extent = status.map_err(Failure::read)?;
            if extent.kind != ExtentKind::Unallocated {
                self.mark(blocks, self.scanned, extent.length);
            }
            self.scanned += extent.length;
        }
        Ok(false)
    }

    fn mark(&self, blocks: &mut Blocks, offset: u64, length: u64) {
        if let Some(bitmap) = self.dirty(blocks) {
            bitmap.set.insert(offset, length);
        }
    }

    /// Copies the next dirty piece. `None` if there is none.
    fn copy(&mut self, cx: &mut Cx<'_>) -> Result<Option<Step>, Failure> {
        if self.piece.is_some() {
            return self.copy_data(cx).map(Some);
        }
        let cursor = self.cursor;
        let Some(bitmap) = self.dirty(cx.blocks) else {
            return Ok(None);
        };
        let granularity = u64::from(bitmap.set.granularity());
        let most = 64 * CHUNK;
        let next = bitmap.set.next(cursor, most);
        let Some((offset, length)) = next.or_else(|| bitmap.set.next(0, most)) else {
            return Ok(None);
        };
        let (source, target) = (&self.plan.source, &self.plan.target);
        let status = chain::status_above(cx.blocks, source, None, offset, length);
        let extent = status.map_err(Failure::read)?;
        // Whole granules are taken out of the bitmap.
        let whole = |part: u64| {
            if part < length {
                (part - part % granularity).max(granularity.min(length))
            } else {
                length
            }
        };
        let is_zero = extent.kind != ExtentKind::Data && extent.length >= granularity.min(length);
        let step = if is_zero {
            let length = whole(extent.length);
            let zeroed = cx.blocks.write_zeroes(target, offset, length);
            zeroed.map_err(Failure::write)?;
            if let Some(bitmap) = self.dirty(cx.blocks) {
                bitmap.set.remove(offset, length);
            }
            self.copied(cx, offset, length);
            Step::Skipped
        } else {
            let length = whole(extent.length.min(CHUNK));
            if let Some(bitmap) = self.dirty(cx.blocks) {
                bitmap.set.remove(offset, length);
            }
            self.piece = Some(Piece::new(offset, length));
            self.copy_data(cx)?
        };
        Ok(Some(step))
    }

    fn copy_data(&mut self, cx: &mut Cx<'_>) -> Result<Step, Failure> {
        let Some(mut piece) = self.piece.take() else {
            return Ok(Step::Skipped);
        };
        let nodes = (&*self.plan.source, &*self.plan.target);
        if let Err(failure) = chain::copy_part(cx.blocks, cx.buffer, nodes, &mut piece) {
            if failure.has_to_wait() {
                self.piece = Some(piece);
                return Err(failure);
            }
            self.mark(cx.blocks, piece.offset, piece.length);
            return Err(failure);
        }
        if !piece.is_done() {
            self.piece = Some(piece);
            return Ok(Step::Part);
        }
        self.copied(cx, piece.offset, piece.length);
        self.burst += piece.length;
        if self.burst < BURST {
            return Ok(Step::Burst(piece.length));
        }
        self.burst = 0;
        Ok(Step::Copied(piece.length))
    }

    fn copied(&mut self, cx: &mut Cx<'_>, offset: u64, length: u64) {
        self.cursor = offset + length;
        cx.progress.current += length;
    }

    fn work(&mut self, cx: &mut Cx<'_>) -> Result<Step, Failure> {
        let end = cx.blocks.length(&self.plan.source);
        let target = cx.blocks.length(&self.plan.target);
        if self.scanned == 0 && target != end {
            if !self.is_commit {
                let text = "Source and target image have different sizes";
                return Ok(Step::Refused(Error::new(text)));
            }
            if target < end {
                if let Err(error) = cx.blocks.truncate(&self.plan.target, end) {
                    return Ok(Step::Refused(error));
                }
            }
        }
        if self.scanned < end && !self.scan(cx.blocks, end)? {
            return Ok(Step::Skipped);
        }
        let step = self.copy(cx);
        let left = self.dirty(cx.blocks).map_or(0, |bitmap| bitmap.set.bytes());
        let on_its_way = self.piece.map_or(0, |piece| piece.length);
        cx.progress.total = cx.progress.current + left + on_its_way;
        if let Some(step) = step? {
            return Ok(step);
        }
        if self.burst > 0 {
            self.burst = 0;
            return Ok(Step::Copied(0));
        }
        if !self.ready {
            cx.blocks.flush(&self.plan.target).map_err(Failure::write)?;
            self.ready = true;
            return Ok(Step::Ready);
        }
        Ok(self.last.map_or(Step::Idle, |_| Step::Done))
    }

    fn set_copy_mode(&mut self, blocks: &mut Blocks, mode: MirrorCopyMode) {
        self.plan.copy_mode = mode;
        let target = blocks.id(&self.plan.target);
        let copies = mode == MirrorCopyMode::WriteBlocking;
        if let Some(filter) = blocks.filter_mut(&self.filter) {
            filter.copy_after = target.filter(|_| copies);
        }
        // What is copied at once need not be found later.
        if let Some(bitmap) = self.dirty(blocks) {
            bitmap.enabled = !copies;
        }
    }

    /// The node whose place the target takes.
    fn place(&self) -> &str {
        self.plan.replaces.as_ref().unwrap_or(&self.plan.source)
    }
}

impl Work for Mirror {
    fn step(&mut self, mut cx: Cx<'_>) -> Step {
        if self.plan.copy_mode == MirrorCopyMode::WriteBlocking && self.scanned == 0 {
            self.set_copy_mode(cx.blocks, MirrorCopyMode::WriteBlocking);
        }
        self.work(&mut cx).unwrap_or_else(Step::Failed)
    }

    fn policy(&self, operation: IoOperationType) -> BlockdevOnError {
        match operation {
            IoOperationType::Read => self.plan.on_source_error,
            IoOperationType::Write => self.plan.on_target_error,
        }
    }

    fn has_last_step(&self) -> bool {
        true
    }

    fn complete(&mut self, disks: &mut dyn Disks) -> Result<(), Error> {
        if let Some(replaces) = &self.plan.replaces {
            if disks.blocks().node(replaces).is_none() {
                let text = format!("Failed to find node with node-name='{replaces}'");
                return Err(Error::new(text));
            }
        }
        self.last = Some(Last::TakePlace);
        Ok(())
    }

    fn leave(&mut self) -> bool {
        self.last = Some(Last::Leave);
        true
    }

    fn prepare(&mut self, disks: &mut dyn Disks) -> Result<(), Error> {
        disks.remove_filter(&self.filter);
        self.filter.clear();
        if self.last != Some(Last::TakePlace) {
            return Ok(());
        }
        let target = self.plan.target.clone();
        if let Some(backing) = &self.plan.backing {
            disks.blocks().set_backing(&target, backing.as_deref());
        }
        disks.replace_node(self.place(), &target)
    }

    fn clean(&mut self, disks: &mut dyn Disks, success: bool) {
        if !self.filter.is_empty() {
            disks.remove_filter(&self.filter);
        }
        disks.release(&self.id);
        let took_place = success && self.last == Some(Last::TakePlace);
        if self.is_commit && self.target_was_read_only && !took_place {
            // As QEMU does: an image that cannot be closed for writing stays open.
            let _ = disks.blocks().set_read_only(&self.plan.target, true);
        }
        if self.plan.is_own_target && !took_place {
            disks.blocks().close(&self.plan.target);
        }
    }

    fn change(
        &mut self,
        disks: &mut dyn Disks,
        options: &BlockJobChangeOptions,
    ) -> Result<(), Error> {
        let BlockJobChangeOptionsBranch::Mirror(options) = &options.u else {
            let text = "Change to copy mode 'background' is not implemented";
            return Err(Error::new(text));
        };
        if options.copy_mode == self.plan.copy_mode {
            return Ok(());
        }
        if options.copy_mode == MirrorCopyMode::Background {
            let text = "Change to copy mode 'background' is not implemented";
            return Err(Error::new(text));
        }
        self.set_copy_mode(disks.blocks(), options.copy_mode);
        Ok(())
    }

    fn waits_for_writes(&self) -> bool {
        true
    }

    fn is_actively_synced(&self) -> bool {
        self.ready && self.plan.copy_mode == MirrorCopyMode::WriteBlocking
    }

    fn holds(&self, node: &str) -> bool {
        self.plan.target == node
    }
}
