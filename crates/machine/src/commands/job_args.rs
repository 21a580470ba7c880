//! What the commands that start jobs on disks have in common: names of disks, and how a
//! job is to run.

use crate::model::block::BlockOp;
use crate::model::jobs::Settings;
use crate::schema::JobType;
use crate::Machine;
use qmonitor::qapi::Error;

/// The node that the name of a drive or of a node means.
///
/// # Errors
///
/// There is none.
pub(super) fn device_node(m: &Machine, name: &str) -> Result<String, Error> {
    if let Some(backend) = m.blocks.backends.get(name) {
        let empty = || Error::new(format!("Device '{name}' has no medium"));
        return backend.node.clone().ok_or_else(empty);
    }
    m.blocks.find(name, name).map(|node| node.name.clone())
}

/// As [`device_node`], for a node that nothing is above of.
///
/// # Errors
///
/// There is none, or something is above it.
pub(super) fn root_node(m: &Machine, name: &str) -> Result<String, Error> {
    let node = device_node(m, name)?;
    let is_filter = m.blocks.node(&node).is_some_and(|node| node.is_filter());
    let is_job = is_filter && m.blocks.refused_op(&node, BlockOp::Change).is_some();
    if is_job || m.blocks.parents(&node).next().is_some() {
        return Err(Error::new("Need a root block node"));
    }
    Ok(node)
}

/// A node by its own name.
///
/// # Errors
///
/// There is none.
pub(super) fn named_node(m: &Machine, name: &str) -> Result<String, Error> {
    m.blocks.find("", name).map(|node| node.name.clone())
}

/// How a job is to run, with the defaults: its name is that of the drive.
pub(super) fn settings(
    m: &Machine,
    kind: JobType,
    (job_id, device): (Option<String>, &str),
    speed: Option<i64>,
    auto_finalize: Option<bool>,
    auto_dismiss: Option<bool>,
) -> Settings {
    let drive = m
        .blocks
        .backends
        .get(device)
        .map(|drive| drive.name.clone());
    Settings {
        id: job_id.or(drive).unwrap_or_default(),
        kind,
        speed: speed.unwrap_or(0),
        auto_finalize: auto_finalize.unwrap_or(true),
        auto_dismiss: auto_dismiss.unwrap_or(true),
        group: None,
    }
}
