//! External snapshots: a new image goes above a node, which keeps what it has.

use super::job_args::device_node;
use super::new_images::{new_overlay, NewOverlay};
use crate::model::block::BlockOp;
use crate::schema::{BlockdevDriver, BlockdevSnapshot, BlockdevSnapshotSync, NewImageMode};
use crate::Machine;
use qmonitor::qapi::Error;

/// A snapshot that was made and can be undone.
#[derive(Debug)]
pub(super) struct Snapshot {
    node: String,
    overlay: String,
    /// Whether the command opened the overlay.
    is_new: bool,
}

/// Puts a node above another one.
///
/// # Errors
///
/// A node is missing or in use, or one that cannot be above another.
pub(super) fn take(m: &mut Machine, arg: &BlockdevSnapshot) -> Result<Snapshot, Error> {
    let node = device_node(m, &arg.node)?;
    m.blocks.check_op(&node, BlockOp::ExternalSnapshot)?;
    let overlay = device_node(m, &arg.overlay)?;
    put_above(m, node, overlay, false)
}

fn put_above(
    m: &mut Machine,
    node: String,
    overlay: String,
    is_new: bool,
) -> Result<Snapshot, Error> {
    let is_below = m.blocks.parents(&overlay).any(|(_, role)| role == "file");
    if is_below || m.is_in_drive(&overlay) || m.jobs.holds(&overlay) {
        return Err(Error::new("The overlay is already in use"));
    }
    let above = m.blocks.find(&overlay, &overlay)?;
    if m.blocks.backing_of(above).is_some() {
        return Err(Error::new("The overlay already has a backing image"));
    }
    use BlockdevDriver::{Qcow, Qcow2, Qed, Vmdk};
    if !matches!(above.driver, Qcow | Qcow2 | Qed | Vmdk) {
        return Err(Error::new("The overlay does not support backing images"));
    }
    if m.blocks.is_below(&overlay, &node) {
        return Err(Error::new(format!(
            "Making '{node}' a backing child of '{overlay}' would create a cycle"
        )));
    }
    m.replace_node(&node, &overlay)?;
    m.blocks.set_backing(&overlay, Some(&node));
    Ok(Snapshot {
        node,
        overlay,
        is_new,
    })
}

/// Makes an image above a node.
///
/// # Errors
///
/// As [`take`], or the image cannot be made.
pub(super) fn take_new(m: &mut Machine, arg: &BlockdevSnapshotSync) -> Result<Snapshot, Error> {
    let device = arg.device.as_deref().unwrap_or_default();
    let name = arg.node_name.as_deref().unwrap_or_default();
    let node = match m.blocks.backends.get(device) {
        Some(_) => device_node(m, device)?,
        None => m.blocks.find(device, name)?.name.clone(),
    };
    let overlay = arg.snapshot_node_name.as_deref();
    if arg.node_name.is_some() && overlay.is_none() {
        return Err(Error::new("New overlay node-name missing"));
    }
    if overlay.is_some_and(|name| m.blocks.node(name).is_some()) {
        return Err(Error::new("New overlay node-name already in use"));
    }
    m.blocks.check_op(&node, BlockOp::ExternalSnapshot)?;
    let overlay = new_overlay(
        m,
        &NewOverlay {
            node: &node,
            filename: &arg.snapshot_file,
            format: arg.format.as_deref().unwrap_or("qcow2"),
            is_there: arg.mode == Some(NewImageMode::Existing),
            name: overlay,
        },
    )?;
    let taken = put_above(m, node, overlay.clone(), true);
    if taken.is_err() {
        m.blocks.close(&overlay);
    }
    taken
}

/// Keeps a snapshot: nothing writes the node below any more. An image that was made for
/// nothing goes.
pub(super) fn keep(m: &mut Machine, snapshot: &Snapshot) {
    let Snapshot {
        node,
        overlay,
        is_new,
    } = snapshot;
    // As in QEMU: a file that cannot be opened again stays open as it is.
    let _ = m.blocks.set_read_only(node, true);
    let is_used = m.is_in_drive(overlay) || m.blocks.parents(overlay).next().is_some();
    if *is_new && !is_used {
        m.blocks.close(overlay);
    }
}

/// Has everything use the node again that has used it before.
pub(super) fn undo(m: &mut Machine, snapshot: &Snapshot) {
    let Snapshot {
        node,
        overlay,
        is_new,
    } = snapshot;
    m.blocks.set_backing(overlay, None);
    let replaced = m.replace_node(overlay, node);
    debug_assert!(replaced.is_ok(), "both nodes exist");
    if *is_new {
        m.blocks.close(overlay);
    }
}
