//! Modules of memory (`pc-dimm`, `nvdimm`): a slot, a node, and a place among the addresses.

use super::board::Family;
use super::qom::{Getter, ObjectId, Property, Set};
use super::Machine;
use crate::model::memory_devices::MemoryKind;
use qmonitor::qapi::Error;

/// The least size of the label of an `nvdimm`.
const MIN_LABEL: u64 = 128 << 10;

/// What an `nvdimm` gives is a multiple of this.
const NVDIMM_ALIGN: u64 = 2 << 20;

/// The property `label-size`, which is checked when it is set.
pub(super) const LABEL_SIZE: Property =
    Property::new("label-size", "int", Getter::Int(0), Some(set_label_size));

fn set_label_size(set: Set<'_>) -> Result<(), Error> {
    let size = set.input.size()?;
    if size < MIN_LABEL {
        return Err(Error::new(format!(
            "Property '{}.label-size' (0x{size:x}) is required at least 0x{MIN_LABEL:x}",
            set.class_name()
        )));
    }
    set.store(size)
}

impl Machine {
    /// What is left of the memory of an `nvdimm` without its label.
    pub(super) fn nvdimm_size(&self, id: ObjectId, size: u64) -> u64 {
        let rest = size.saturating_sub(self.size_property(id, "label-size"));
        rest - rest % NVDIMM_ALIGN
    }

    /// Whether ACPI tells the system in the machine of modules.
    fn tells_of_modules(&self) -> bool {
        self.str_property(self.machine_object, "acpi") != "off"
    }

    /// Completes a module, in a slot of the board if the board has some.
    ///
    /// # Errors
    ///
    /// No slot or place is left, or a property is wrong.
    pub(super) fn dimm_realize(&mut self, id: ObjectId) -> Result<(), Error> {
        if matches!(self.class.family, Family::I440fx | Family::Q35) {
            self.dimm_plug(id)?;
        }
        let memdev = self.memdev_of(id)?;
        let node = self.int_property(id, "node");
        if !self.is_node(node) {
            return Err(Error::new(format!(
                "'DIMM property node has value {node}' which exceeds the number of numa nodes: {}",
                self.node_count()
            )));
        }
        if self.is_memory_used(memdev) {
            return Err(self.busy(memdev));
        }
        self.check_label(id, memdev)?;
        let size = self.dimm_size(id, memdev);
        self.store_by_name(id, "size", size);
        Ok(())
    }

    fn dimm_size(&self, id: ObjectId, memdev: ObjectId) -> u64 {
        let size = self.backend_size(memdev).unwrap_or(0);
        if self.memory_kind(id) == Some(MemoryKind::Nvdimm) {
            self.nvdimm_size(id, size)
        } else {
            size
        }
    }

    /// The memory behind a device.
    ///
    /// # Errors
    ///
    /// The device has none.
    pub(super) fn memdev_of(&self, id: ObjectId) -> Result<ObjectId, Error> {
        let memdev = self.link(id, "memdev");
        memdev.ok_or_else(|| Error::new("'memdev' property must be set"))
    }

    /// The error about memory that has a user.
    pub(super) fn busy(&self, memdev: ObjectId) -> Error {
        let name = self.object(memdev).map_or("", |object| object.name());
        Error::new(format!("can't use already busy memdev: {name}"))
    }

    fn check_label(&self, id: ObjectId, memdev: ObjectId) -> Result<(), Error> {
        if self.memory_kind(id) != Some(MemoryKind::Nvdimm) || self.dimm_size(id, memdev) > 0 {
            return Ok(());
        }
        let name = self.object(memdev).map_or("", |object| object.name());
        Err(Error::new(format!(
            "the size of memdev {name} (0x{:x}) is too small to contain nvdimm label (0x{:x}) and \
             aligned PMEM (0x{NVDIMM_ALIGN:x})",
            self.backend_size(memdev).unwrap_or(0),
            self.size_property(id, "label-size")
        )))
    }

    /// Gives a module a slot and an address.
    fn dimm_plug(&mut self, id: ObjectId) -> Result<(), Error> {
        if !self.tells_of_modules() {
            return Err(Error::new(
                "memory hotplug is not enabled: missing acpi device or acpi disabled",
            ));
        }
        let is_nvdimm = self.memory_kind(id) == Some(MemoryKind::Nvdimm);
        if is_nvdimm && !self.bool_property(self.machine_object, "nvdimm") {
            let desc = "nvdimm is not enabled: missing 'nvdimm' in '-M'";
            return Err(Error::new(desc));
        }
        let slot = self.free_slot(self.int_property(id, "slot"))?;
        let memdev = self.memdev_of(id)?;
        self.check_label(id, memdev)?;
        let wanted = self.size_property(id, "addr");
        let size = self.dimm_size(id, memdev);
        let address = self.place_memory(wanted, size, self.memory_alignment(memdev))?;
        self.store_by_name(id, "slot", slot);
        self.store_by_name(id, "addr", address);
        Ok(())
    }

    /// The slot that is asked for, or the first that is free.
    fn free_slot(&self, wanted: i64) -> Result<i64, Error> {
        let slots = i64::try_from(self.memory_slots).unwrap_or(i64::MAX);
        if slots == 0 {
            let desc = "no slots where allocated, please specify the 'slots' option";
            return Err(Error::new(desc));
        }
        let used: Vec<i64> = self
            .used_slots()
            .into_iter()
            .map(|(slot, _)| slot)
            .collect();
        if wanted == -1 {
            let free = (0..slots).find(|slot| !used.contains(slot));
            return free.ok_or_else(|| Error::new("no free slots available"));
        }
        if !(0..slots).contains(&wanted) {
            return Err(Error::new(format!(
                "invalid slot number {wanted}, valid range is [0-{}]",
                slots - 1
            )));
        }
        if used.contains(&wanted) {
            return Err(Error::new(format!("slot {wanted} is busy")));
        }
        Ok(wanted)
    }

    /// The slots that have a module, and which.
    pub(crate) fn used_slots(&self) -> Vec<(i64, ObjectId)> {
        let modules = self
            .memory_devices()
            .into_iter()
            .filter(|device| matches!(device.kind, MemoryKind::Module | MemoryKind::Nvdimm));
        let slot = |id| (self.int_property(id, "slot"), id);
        modules.map(|device| slot(device.id)).collect()
    }

    /// Asks for a memory device to be let go; `None` if it goes as others do.
    pub(super) fn unplug_memory(&self, id: ObjectId) -> Option<Result<(), Error>> {
        let kind = self.memory_kind(id)?;
        let has_slots = matches!(self.class.family, Family::I440fx | Family::Q35);
        let refusal = match kind {
            MemoryKind::Module | MemoryKind::Nvdimm if !has_slots => {
                let class = self.class_name(id);
                format!("Device '{class}' can not be hotplugged on this machine")
            }
            MemoryKind::Nvdimm => "nvdimm device hot unplug is not supported yet.".to_owned(),
            // The system would have to let it go, and none is there.
            MemoryKind::Module => return Some(Ok(())),
            MemoryKind::VirtioMem if self.size_property(id, "requested-size") > 0 => {
                "virtio-mem device cannot get unplugged while 'requested-size' != '0'".to_owned()
            }
            MemoryKind::VirtioMem => return None,
            MemoryKind::VirtioPmem => {
                "this virtio based memory devices cannot be unplugged".to_owned()
            }
        };
        Some(Err(Error::new(refusal)))
    }
}
