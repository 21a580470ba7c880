//! Copies, bitmaps and changes of nodes: `block-copy.json`, `block-bitmaps.json`,
//! `block-graph.json`. Commands check what they are given as QEMU does; the work itself is
//! refused.

use super::jobs::{run_job, with_jobs};
use super::{backups, chains, machine_snapshots, mirrors, snapshots};
use crate::model::block::no_node;
use crate::model::qom::device_not_found;
use crate::schema::{
    BlockBitmapsCommands, BlockCommit, BlockCopyCommands, BlockDirtyBitmap, BlockDirtyBitmapAdd,
    BlockDirtyBitmapMerge, BlockDirtyBitmapSha256, BlockGraphCommands, BlockStream, BlockdevBackup,
    BlockdevMirror, BlockdevOptions, BlockdevSnapshot, BlockdevSnapshotInternal, JobType,
    LatencyHistogram, SnapshotInfo, XDbgBlockGraph, XDbgBlockGraphNode, XDbgBlockGraphNodeType,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl BlockCopyCommands for Machine {
    fn qmp_blockdev_snapshot(rt: &mut Rt, arg: BlockdevSnapshot) -> Result<(), Error> {
        with_jobs(rt, |m| {
            m.jobs.drained(|_| true);
            let snapshot = snapshots::take(m, &arg)?;
            snapshots::keep(m, &snapshot);
            Ok(())
        })
    }

    fn qmp_change_backing_file(
        rt: &mut Rt,
        device: String,
        image_node_name: String,
        backing_file: String,
    ) -> Result<(), Error> {
        chains::change_backing_file(rt, &device, &image_node_name, &backing_file)
    }

    fn qmp_block_commit(rt: &mut Rt, arg: BlockCommit) -> Result<(), Error> {
        chains::block_commit(rt, arg)
    }

    fn qmp_blockdev_backup(rt: &mut Rt, arg: BlockdevBackup) -> Result<(), Error> {
        backups::alone(rt, |m| backups::make_blockdev_backup(m, arg, None))
    }

    fn qmp_blockdev_mirror(rt: &mut Rt, arg: BlockdevMirror) -> Result<(), Error> {
        mirrors::blockdev_mirror(rt, arg)
    }

    fn qmp_block_stream(rt: &mut Rt, arg: BlockStream) -> Result<(), Error> {
        chains::block_stream(rt, arg)
    }

    fn qmp_blockdev_snapshot_internal_sync(
        rt: &mut Rt,
        arg: BlockdevSnapshotInternal,
    ) -> Result<(), Error> {
        Err(no_internal_snapshots(rt, &arg.device))
    }

    fn qmp_blockdev_snapshot_delete_internal_sync(
        rt: &mut Rt,
        device: String,
        id: Option<String>,
        name: Option<String>,
    ) -> Result<SnapshotInfo, Error> {
        rt.state.blocks.find(&device, &device)?;
        if id.is_none() && name.is_none() {
            return Err(Error::new("Name or id must be provided"));
        }
        let (id, name) = (id.as_deref(), name.as_deref());
        Err(Error::new(format!(
            "Snapshot with id '{}' and name '{}' does not exist on device '{device}'",
            id.unwrap_or("(null)"),
            name.unwrap_or("(null)"),
        )))
    }

    fn qmp_snapshot_save(
        rt: &mut Rt,
        job_id: String,
        tag: String,
        vmstate: String,
        devices: Vec<String>,
    ) -> Result<(), Error> {
        run_job(rt, job_id, JobType::SnapshotSave, move |rt| {
            machine_snapshots::save(rt, Some(&tag), false, Some(&vmstate), Some(&devices))
        })
    }

    fn qmp_snapshot_load(
        rt: &mut Rt,
        job_id: String,
        tag: String,
        vmstate: String,
        devices: Vec<String>,
    ) -> Result<(), Error> {
        run_job(rt, job_id, JobType::SnapshotLoad, move |rt| {
            machine_snapshots::load(rt, &tag, Some(&vmstate), Some(&devices))
        })
    }

    fn qmp_snapshot_delete(
        rt: &mut Rt,
        job_id: String,
        tag: String,
        devices: Vec<String>,
    ) -> Result<(), Error> {
        run_job(rt, job_id, JobType::SnapshotDelete, move |rt| {
            machine_snapshots::delete(rt, &tag, Some(&devices))
        })
    }
}

fn no_internal_snapshots(rt: &Rt, device: &str) -> Error {
    match rt.state.blocks.find(device, device) {
        Err(error) => error,
        Ok(node) => Error::new(format!(
            "Block format '{}' used by device '{device}' does not support internal snapshots",
            node.driver.as_str()
        )),
    }
}

/// The error about a bitmap of a node: no node has any.
fn no_bitmap(rt: &Rt, node: &str, name: &str) -> Error {
    Error::new(if rt.state.blocks.node(node).is_some() {
        format!("Dirty bitmap '{name}' not found")
    } else {
        format!("Node '{node}' not found")
    })
}

impl BlockBitmapsCommands for Machine {
    fn qmp_block_dirty_bitmap_add(rt: &mut Rt, arg: BlockDirtyBitmapAdd) -> Result<(), Error> {
        rt.state.blocks.find(&arg.node, &arg.node)?;
        Err(Error::new(if arg.name.is_empty() {
            "Bitmap name cannot be empty"
        } else {
            "this machine has no bitmaps"
        }))
    }

    fn qmp_block_dirty_bitmap_remove(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        Err(no_bitmap(rt, &arg.node, &arg.name))
    }

    fn qmp_block_dirty_bitmap_clear(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        Err(no_bitmap(rt, &arg.node, &arg.name))
    }

    fn qmp_block_dirty_bitmap_enable(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        Err(no_bitmap(rt, &arg.node, &arg.name))
    }

    fn qmp_block_dirty_bitmap_disable(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        Err(no_bitmap(rt, &arg.node, &arg.name))
    }

    fn qmp_block_dirty_bitmap_merge(rt: &mut Rt, arg: BlockDirtyBitmapMerge) -> Result<(), Error> {
        Err(no_bitmap(rt, &arg.node, &arg.target))
    }

    fn qmp_x_debug_block_dirty_bitmap_sha256(
        rt: &mut Rt,
        arg: BlockDirtyBitmap,
    ) -> Result<BlockDirtyBitmapSha256, Error> {
        Err(no_bitmap(rt, &arg.node, &arg.name))
    }
}

impl BlockGraphCommands for Machine {
    /// No operation is ever done, so no interval counts anything.
    fn qmp_block_latency_histogram_set(rt: &mut Rt, arg: LatencyHistogram) -> Result<(), Error> {
        let mut drives = rt.state.drives().into_iter();
        let drive = drives.find(|drive| drive.qdev.as_ref() == Some(&arg.id));
        drive.map(|_| ()).ok_or_else(|| device_not_found(&arg.id))
    }

    fn qmp_x_debug_query_block_graph(rt: &mut Rt) -> Result<XDbgBlockGraph, Error> {
        let node = |(number, name): (i64, &str)| XDbgBlockGraphNode {
            id: number,
            r#type: XDbgBlockGraphNodeType::BlockDriver,
            name: name.to_owned(),
        };
        let names: Vec<_> = rt.state.blocks.nodes().map(|n| n.name.as_str()).collect();
        Ok(XDbgBlockGraph {
            nodes: (1..).zip(names.into_iter().rev()).map(node).collect(),
            edges: Vec::new(),
        })
    }

    fn qmp_blockdev_reopen(rt: &mut Rt, options: Vec<BlockdevOptions>) -> Result<(), Error> {
        options.iter().try_for_each(|options| {
            let name = options.node_name.as_deref();
            let name = name.ok_or_else(|| Error::new("node-name not specified"))?;
            let node = rt.state.blocks.node(name).ok_or_else(|| no_node(name))?;
            if node.driver == options.driver() {
                return Ok(());
            }
            Err(Error::new("Cannot change the option 'driver'"))
        })
    }

    fn qmp_blockdev_set_active(
        rt: &mut Rt,
        node_name: Option<String>,
        _active: bool,
    ) -> Result<(), Error> {
        let Some(name) = node_name else {
            return Ok(());
        };
        let node = rt.state.blocks.node(&name);
        node.map(|_| ()).ok_or_else(|| no_node(&name))
    }

    /// Nothing is ever written, so no write goes beyond the limit.
    fn qmp_block_set_write_threshold(
        rt: &mut Rt,
        node_name: String,
        _write_threshold: u64,
    ) -> Result<(), Error> {
        let node = rt.state.blocks.node(&node_name);
        let missing = || Error::new(format!("Device '{node_name}' not found"));
        node.map(|_| ()).ok_or_else(missing)
    }

    fn qmp_x_blockdev_change(
        rt: &mut Rt,
        parent: String,
        child: Option<String>,
        node: Option<String>,
    ) -> Result<(), Error> {
        rt.state.blocks.find(&parent, &parent)?;
        Err(match (child, node) {
            (None, None) => Error::new("Either child or node must be specified"),
            (Some(_), Some(_)) => Error::new("The parameters child and node are in conflict"),
            (Some(child), None) => {
                Error::new(format!("Node '{parent}' does not have child '{child}'"))
            }
            (None, Some(node)) => match rt.state.blocks.node(&node) {
                None => Error::new(format!("Node '{node}' not found")),
                Some(_) => Error::new(format!("The node {parent} does not support adding a child")),
            },
        })
    }
}
