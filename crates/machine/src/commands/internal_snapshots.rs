//! Snapshots inside images, of one disk alone.

use super::block_info::snapshot_info;
use super::job_args::{device_node, root_node};
use crate::model::block::BlockOp;
use crate::schema::SnapshotInfo;
use crate::Machine;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

fn find(rt: &Rt, device: &str) -> Result<String, Error> {
    if rt.state.blocks.backends.get(device).is_some() {
        return root_node(&rt.state, device);
    }
    let missing = |_| {
        Error::new(format!(
            "Cannot find device='{device}' nor node-name='{device}'"
        ))
    };
    device_node(&rt.state, device).map_err(missing)?;
    root_node(&rt.state, device)
}

/// Makes a snapshot (`blockdev-snapshot-internal-sync`).
///
/// # Errors
///
/// There is no such disk, it is only read or has no snapshots, or the name is bad or in use.
pub(super) fn take(rt: &mut Rt, device: &str, name: &str) -> Result<(), Error> {
    let node = find(rt, device)?;
    rt.state.blocks.check_op(&node, BlockOp::InternalSnapshot)?;
    let blocks = &rt.state.blocks;
    let found = blocks.find(device, &node)?;
    if found.read_only {
        return Err(Error::new(format!("Device '{device}' is read only")));
    }
    if found.qcow2().is_none() {
        return Err(Error::new(format!(
            "Block format '{}' used by device '{device}' does not support internal snapshots",
            found.driver_name()
        )));
    }
    if name.is_empty() {
        return Err(Error::new("Name is empty"));
    }
    if blocks.snapshots(&node).iter().any(|s| s.name == name) {
        return Err(Error::new(format!(
            "Snapshot with name '{name}' already exists on device '{device}'"
        )));
    }
    let clock = |kind| rt.main_loop().clock_get_ns(kind).unsigned_abs();
    let (host, vm_clock) = (clock(ClockType::Host), clock(ClockType::Virtual));
    let second = 1_000_000_000;
    let part = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let date = (part(host / second), part(host % second));
    let taken = rt
        .state
        .blocks
        .snapshot_save(&node, name, date, vm_clock, 0);
    taken.map(|_| ()).map_err(|e| {
        let text = format!("Failed to create snapshot '{name}' on device '{device}'");
        Error::from_io(text, &e)
    })
}

/// Takes a snapshot away (`blockdev-snapshot-delete-internal-sync`).
///
/// # Errors
///
/// There is no such disk or snapshot.
pub(super) fn delete(
    rt: &mut Rt,
    device: &str,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<SnapshotInfo, Error> {
    let node = find(rt, device)?;
    if id.is_none() && name.is_none() {
        return Err(Error::new("Name or id must be provided"));
    }
    rt.state
        .blocks
        .check_op(&node, BlockOp::InternalSnapshotDelete)?;
    let blocks = &rt.state.blocks;
    if blocks.find(device, &node)?.qcow2().is_none() {
        return Err(Error::new(
            "Failed to get a snapshot list: Operation not supported",
        ));
    }
    let mut list = blocks.snapshots(&node).iter();
    let found =
        list.find(|s| id.is_none_or(|id| s.id == id) && name.is_none_or(|name| s.name == name));
    let number = found.map(|s| s.id.clone()).ok_or_else(|| {
        Error::new(format!(
            "Snapshot with id '{}' and name '{}' does not exist on device '{device}'",
            id.unwrap_or("null"),
            name.unwrap_or("null"),
        ))
    })?;
    let gone = rt.state.blocks.snapshot_delete(&node, &number);
    let gone = gone.map_err(|e| Error::from_io("Failed to delete snapshot", &e))?;
    Ok(snapshot_info(&gone))
}
