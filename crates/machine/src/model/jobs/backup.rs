//! Backup: a node gets what another one has at the start, whatever is written there
//! meanwhile.

use super::chain::{self, in_use};
use super::piece::Piece;
use super::work::{Cx, Disks, Failure, Step, Work};
use super::{JobKey, Settings};
use crate::model::block::{Bitmap, Blocks, ExtentKind, Filter, Granules};
use crate::model::Machine;
use crate::schema::{BitmapSyncMode, BlockdevOnError, IoOperationType, MirrorSyncMode};
use qmonitor::qapi::Error;

/// How much is copied at once.
const CHUNK: u64 = 1 << 20;

/// The pieces that are copied before they are overwritten.
const GRANULARITY: u32 = 65536;

/// How many extents are looked at before others have their turn.
const SCAN: usize = 32;

/// What a backup is to do.
#[derive(Debug, Clone)]
pub(crate) struct BackupPlan {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) sync: MirrorSyncMode,
    /// A bitmap of the source, and when it is brought up to date.
    pub(crate) bitmap: Option<(String, BitmapSyncMode)>,
    pub(crate) on_source_error: BlockdevOnError,
    pub(crate) on_target_error: BlockdevOnError,
    pub(crate) filter_name: Option<String>,
    /// Whether the target was opened for the job, and goes with it.
    pub(crate) is_own_target: bool,
}

#[derive(Debug)]
struct Backup {
    id: String,
    plan: BackupPlan,
    filter: String,
    /// How far the search for what is not to be copied is.
    scanned: u64,
    has_total: bool,
    /// What is being copied.
    piece: Option<Piece>,
}

impl Machine {
    /// Makes a backup, which works from [`Jobs::start`](super::Jobs::start) on but keeps
    /// what is there now.
    ///
    /// # Errors
    ///
    /// A name is bad, or the nodes differ in size.
    pub(crate) fn make_backup(
        &mut self,
        settings: Settings,
        plan: BackupPlan,
    ) -> Result<JobKey, Error> {
        let id = settings.id.clone();
        let (source, target) = (plan.source.clone(), plan.target.clone());
        let length = self.blocks.length(&source);
        if length != self.blocks.length(&target) {
            let text = "Source and target image have different sizes";
            return Err(Error::new(text));
        }
        if self.blocks.node(&target).is_some_and(|node| node.read_only) {
            return Err(Error::new("Could not create node: Block node is read-only"));
        }
        self.jobs.check_id(&id)?;
        let mut todo = Granules::new(GRANULARITY, length);
        match (&plan.sync, &plan.bitmap) {
            (MirrorSyncMode::Incremental | MirrorSyncMode::Bitmap, Some((name, _))) => {
                let node = self.blocks.node(&source);
                if let Some(bitmap) = node.and_then(|node| node.bitmap(name)) {
                    todo.merge(&bitmap.set);
                }
            }
            _ => todo.fill(),
        }
        let target_id = self.blocks.id(&target);
        let filter = Filter {
            copy_before: target_id.map(|node| (node, job_bitmap(&id, todo))),
            copy_after: None,
        };
        let name = plan.filter_name.as_deref();
        let filter = self.insert_filter(name, "copy-before-write", &source, filter);
        let filter =
            filter.map_err(|e| Error::new(format!("Could not create node: {}", e.desc())))?;
        let work = Backup {
            id: id.clone(),
            filter: filter.clone(),
            scanned: 0,
            has_total: false,
            piece: None,
            plan,
        };
        let bitmap = work.plan.bitmap.clone();
        let key = match self.jobs.make(settings, Box::new(work)) {
            Ok(key) => key,
            Err(error) => {
                self.remove_filter(&filter);
                return Err(error);
            }
        };
        if let Some((name, _)) = bitmap {
            self.freeze_bitmap(&id, &source, &name, length);
        }
        let reason = in_use("backup");
        for node in [target, filter] {
            self.blocks.block_ops(&node, &id, &reason, &[]);
        }
        Ok(key)
    }

    /// Has another bitmap take what is written from now on.
    fn freeze_bitmap(&mut self, id: &str, node: &str, name: &str, length: u64) {
        let Some(node) = self.blocks.node_mut(node) else {
            return;
        };
        let Some(bitmap) = node.bitmap_mut(name) else {
            return;
        };
        bitmap.busy = true;
        let enabled = bitmap.enabled;
        let granularity = bitmap.set.granularity();
        let mut since = job_bitmap(id, Granules::new(granularity, length));
        since.enabled = enabled;
        node.bitmaps.insert(0, since);
    }
}

fn job_bitmap(id: &str, set: Granules) -> Bitmap {
    Bitmap {
        name: None,
        owner: Some(id.to_owned()),
        set,
        enabled: true,
        persistent: false,
        busy: false,
        inconsistent: false,
    }
}

impl Backup {
    /// What is still to be copied.
    fn todo<'a>(&self, blocks: &'a mut Blocks) -> Option<&'a mut Granules> {
        let filter = blocks.filter_mut(&self.filter)?;
        filter
            .copy_before
            .as_mut()
            .map(|(_, bitmap)| &mut bitmap.set)
    }

    /// Leaves out what is not in the top image. False as long as there is more to look at.
    fn scan(&mut self, blocks: &mut Blocks, end: u64) -> Result<bool, Failure> {
        let granularity = u64::from(GRANULARITY);
        for _ in 0..SCAN {
            if self.scanned >= end {
                return Ok(true);
            }
            let top = chain::unfiltered(blocks, &self.plan.source);
            let status = blocks.status(&top, self.scanned, end - self.scanned);
            let extent = status.map_err(Failure::read)?;
            let next = self.scanned + extent.length;
            if extent.kind == ExtentKind::Unallocated {
                // Only granules that are left out as a whole.
                let from = self.scanned.div_ceil(granularity) * granularity;
                let to = if next == end {
                    end
                } else {
                    next - next % granularity
                };
                if let Some(todo) = self.todo(blocks).filter(|_| to > from) {
                    todo.remove(from, to - from);
                }
            }
            self.scanned = next;
        }
        Ok(false)
    }

    fn copy(&mut self, cx: &mut Cx<'_>) -> Result<Step, Failure> {
        if self.piece.is_some() {
            return self.copy_data(cx);
        }
        let next = self.todo(cx.blocks).and_then(|todo| todo.next(0, CHUNK));
        let Some((offset, length)) = next else {
            return Ok(Step::Done);
        };
        // The filter shows what the disk has now, whatever was put below it meanwhile.
        let (source, target) = (&self.filter, &self.plan.target);
        let status = chain::status_above(cx.blocks, source, None, offset, length);
        let extent = status.map_err(Failure::read)?;
        if extent.kind != ExtentKind::Data && extent.length == length {
            let zeroed = cx.blocks.write_zeroes(target, offset, length);
            zeroed.map_err(Failure::write)?;
            if let Some(todo) = self.todo(cx.blocks) {
                todo.remove(offset, length);
            }
            return Ok(self.copied(cx.blocks, length));
        }
        self.piece = Some(Piece::new(offset, length));
        self.copy_data(cx)
    }

    /// Copies a part of the piece on its way. Granules that a write has had copied meanwhile
    /// have new bytes now, so they are left out.
    fn copy_data(&mut self, cx: &mut Cx<'_>) -> Result<Step, Failure> {
        let Some(piece) = self.piece else {
            return Ok(Step::Skipped);
        };
        let (offset, length) = piece.next();
        let end = offset + length;
        let mut at = offset;
        while let Some((from, length)) = self
            .todo(cx.blocks)
            .and_then(|todo| todo.next(at, end - at))
            .filter(|(from, _)| *from < end)
        {
            let length = length.min(end - from);
            let nodes = (&*self.filter, &*self.plan.target);
            chain::copy(cx.blocks, cx.buffer, nodes, from, length)?;
            if let Some(todo) = self.todo(cx.blocks) {
                todo.remove(from, length);
            }
            at = from + length;
        }
        let piece = piece.advanced(length);
        self.piece = Some(piece).filter(|piece| !piece.is_done());
        Ok(match self.piece {
            Some(_) => Step::Part,
            None => self.copied(cx.blocks, piece.length),
        })
    }

    fn copied(&self, blocks: &mut Blocks, length: u64) -> Step {
        let is_last = self.todo(blocks).is_none_or(|todo| todo.is_empty());
        if is_last {
            Step::Burst(length)
        } else {
            Step::Copied(length)
        }
    }

    fn work(&mut self, cx: &mut Cx<'_>) -> Result<Step, Failure> {
        let end = cx.blocks.length(&self.filter);
        if self.plan.sync == MirrorSyncMode::Top && !self.scan(cx.blocks, end)? {
            return Ok(Step::Skipped);
        }
        let left = |work: &Self, blocks: &mut Blocks| work.todo(blocks).map_or(0, |t| t.bytes());
        if !self.has_total {
            self.has_total = true;
            cx.progress.total = left(self, cx.blocks);
        }
        let step = if self.plan.sync == MirrorSyncMode::None {
            Ok(Step::Idle)
        } else {
            self.copy(cx)
        };
        let on_its_way = self.piece.map_or(0, |piece| piece.done());
        let left = left(self, cx.blocks) + on_its_way;
        cx.progress.current = cx.progress.total.saturating_sub(left);
        step
    }

    /// Brings the bitmap up to date, or leaves it as if the job had not been.
    fn settle_bitmap(&self, blocks: &mut Blocks, success: bool, left: Option<Granules>) {
        let Some((name, mode)) = &self.plan.bitmap else {
            return;
        };
        let Some(node) = blocks.node_mut(&self.plan.source) else {
            return;
        };
        let own = |b: &Bitmap| b.owner.as_deref() == Some(&*self.id);
        let since = node.bitmaps.iter().position(own);
        let since = since.map(|at| node.bitmaps.remove(at).set);
        let Some(bitmap) = node.bitmap_mut(name) else {
            return;
        };
        bitmap.busy = false;
        let renew = match mode {
            BitmapSyncMode::OnSuccess => success,
            BitmapSyncMode::Always => true,
            BitmapSyncMode::Never => false,
        };
        if let Some(mut since) = since.filter(|_| renew) {
            if let Some(left) = left.filter(|_| !success) {
                since.merge(&left);
            }
            bitmap.set = since;
        }
    }
}

impl Work for Backup {
    fn step(&mut self, mut cx: Cx<'_>) -> Step {
        self.work(&mut cx).unwrap_or_else(Step::Failed)
    }

    fn policy(&self, operation: IoOperationType) -> BlockdevOnError {
        match operation {
            IoOperationType::Read => self.plan.on_source_error,
            IoOperationType::Write => self.plan.on_target_error,
        }
    }

    fn clean(&mut self, disks: &mut dyn Disks, success: bool) {
        let left = self.todo(disks.blocks()).map(|todo| todo.clone());
        disks.remove_filter(&self.filter);
        self.settle_bitmap(disks.blocks(), success, left);
        disks.release(&self.id);
        if self.plan.is_own_target {
            disks.blocks().close(&self.plan.target);
        }
    }
}
