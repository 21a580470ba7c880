//! Memory behind virtio: `virtio-mem-pci` and `virtio-pmem-pci`. A guest takes as much of the
//! first as it is asked to; no guest is there, so nothing is ever taken.

use super::qom::{Getter, ObjectId, Property, Set};
use super::Machine;
use qmonitor::qapi::Error;

/// The least size of a block, and that of one if the user does not say.
const MIN_BLOCK: u64 = 1 << 20;
const DEFAULT_BLOCK: u64 = 2 << 20;

/// The properties that are checked when they are set.
pub(super) const BLOCK_SIZE: Property =
    Property::new("block-size", "size", Getter::Int(0), Some(set_block_size));
pub(super) const REQUESTED_SIZE: Property = Property::new(
    "requested-size",
    "size",
    Getter::Int(0),
    Some(set_requested_size),
);

fn set_block_size(set: Set<'_>) -> Result<(), Error> {
    if set.is_complete() {
        return Err(Error::new("'block-size' cannot be changed"));
    }
    let size = set.input.size()?;
    if size < MIN_BLOCK {
        return Err(Error::new(format!(
            "'block-size' property has to be at least 0x{MIN_BLOCK:x}"
        )));
    }
    if !size.is_power_of_two() {
        let desc = "'block-size' property has to be a power of two";
        return Err(Error::new(desc));
    }
    set.store(size)
}

fn set_requested_size(set: Set<'_>) -> Result<(), Error> {
    let size = set.input.size()?;
    if set.is_complete() {
        let block = set.machine.size_property(set.id, "block-size");
        if size % block != 0 {
            return Err(Error::new(format!(
                "'requested-size' has to be multiples of 'block-size' (0x{block:x})"
            )));
        }
        let memdev = set.machine.link(set.id, "memdev");
        let most = memdev.and_then(|memdev| set.machine.backend_size(memdev));
        let most = most.unwrap_or(0);
        if size > most {
            return Err(Error::new(format!(
                "'requested-size' cannot exceed the memory backend size(0x{most:x})"
            )));
        }
    }
    set.store(size)
}

/// Completes a `virtio-mem-pci`.
///
/// # Errors
///
/// No place is left for its memory, or a property is wrong.
pub(super) fn realize_mem(m: &mut Machine, id: ObjectId, _: ObjectId) -> Result<(), Error> {
    m.room_for_memory()?;
    let memdev = m.memdev_of(id)?;
    let size = m.backend_size(memdev).unwrap_or(0);
    if m.size_property(id, "block-size") == 0 {
        m.store_by_name(id, "block-size", DEFAULT_BLOCK);
    }
    let block = m.size_property(id, "block-size");
    let align = m.memory_alignment(memdev).max(block);
    let wanted = m.size_property(id, "memaddr");
    let name = m.object(memdev).map_or("", |object| object.name());
    let busy = format!("'memdev' property specifies a busy memdev: {name}");
    if size % block != 0 && size % m.memory_alignment(memdev) == 0 {
        return Err(Error::new(format!(
            "'memdev' property memdev size has to be multiples of'block-size' (0x{block:x})"
        )));
    }
    let address = m.place_memory(wanted, size, align)?;
    if m.is_memory_used(memdev) {
        return Err(Error::new(busy));
    }
    let node = m.int_property(id, "node");
    if !m.is_node(node) {
        let nodes = m.node_count();
        return Err(Error::new(format!(
            "'node' property has value '{node}', which exceedsthe number of numa nodes: {nodes}"
        )));
    }
    if m.size_property(id, "requested-size") % block != 0 {
        return Err(Error::new(format!(
            "'requested-size' property has to be multiples of 'block-size' (0x{block:x})"
        )));
    }
    m.store_by_name(id, "memaddr", address);
    Ok(())
}

/// Completes a `virtio-pmem-pci`.
///
/// # Errors
///
/// No place is left for its memory, or the memory has a user.
pub(super) fn realize_pmem(m: &mut Machine, id: ObjectId, _: ObjectId) -> Result<(), Error> {
    m.room_for_memory()?;
    let memdev = m.memdev_of(id)?;
    let size = m.backend_size(memdev).unwrap_or(0);
    let wanted = m.size_property(id, "memaddr");
    let address = m.place_memory(wanted, size, m.memory_alignment(memdev))?;
    if m.is_memory_used(memdev) {
        return Err(m.busy(memdev));
    }
    m.store_by_name(id, "memaddr", address);
    Ok(())
}
