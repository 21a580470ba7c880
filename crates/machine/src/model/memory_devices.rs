//! Memory that comes as a device, and where it goes: a range of addresses above the memory
//! that the machine starts with.
//!
//! The range is as large as `maxmem` allows, and has room for the alignment of each slot.
//! A device takes the first gap, unless it asks for an address.

use std::ops::Range;

use super::board::Family;
use super::qom::ObjectId;
use super::Machine;
use qmonitor::qapi::{Error, QNum, QObject};

/// The kinds of such devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemoryKind {
    /// `pc-dimm`
    Module,
    /// `nvdimm`
    Nvdimm,
    /// `virtio-mem-pci`
    VirtioMem,
    /// `virtio-pmem-pci`
    VirtioPmem,
}

/// Such a device, in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryDevice {
    pub(crate) id: ObjectId,
    pub(crate) kind: MemoryKind,
    pub(crate) address: u64,
    /// How many addresses it takes.
    pub(crate) size: u64,
    pub(crate) memdev: ObjectId,
}

const GIB: u64 = 1 << 30;

/// Memory is aligned to the large pages of the host, and that of a file to its small ones.
const LARGE_PAGE: u64 = 2 << 20;
const PAGE: u64 = 4096;

impl MemoryKind {
    fn of(class: &str) -> Option<Self> {
        Some(match class {
            "pc-dimm" => MemoryKind::Module,
            "nvdimm" => MemoryKind::Nvdimm,
            "virtio-mem-pci" => MemoryKind::VirtioMem,
            "virtio-pmem-pci" => MemoryKind::VirtioPmem,
            _ => return None,
        })
    }

    fn address_property(self) -> &'static str {
        match self {
            MemoryKind::Module | MemoryKind::Nvdimm => "addr",
            MemoryKind::VirtioMem | MemoryKind::VirtioPmem => "memaddr",
        }
    }
}

impl Machine {
    /// What memory device an object is.
    pub(crate) fn memory_kind(&self, id: ObjectId) -> Option<MemoryKind> {
        MemoryKind::of(self.class_name(id))
    }

    /// A number that cannot be negative.
    pub(crate) fn size_property(&self, id: ObjectId, name: &str) -> u64 {
        match self.property(id, name) {
            Some(QObject::Num(QNum::I64(n))) => u64::try_from(n).unwrap_or(0),
            Some(QObject::Num(QNum::U64(n))) => n,
            _ => 0,
        }
    }

    /// All memory devices, by their addresses; of those at the same one, the latest first.
    pub(crate) fn memory_devices(&self) -> Vec<MemoryDevice> {
        let containers = ["peripheral", "peripheral-anon"].into_iter();
        let containers = containers.filter_map(|name| self.child(self.machine_object, name));
        let devices = containers.flat_map(|container| self.children(container));
        let mut devices: Vec<_> = devices
            .filter(|(_, id)| self.is_realized(*id))
            .filter_map(|(_, id)| self.memory_device(id))
            .collect();
        devices.sort_unstable_by_key(|d| (d.address, std::cmp::Reverse(self.age(d.id))));
        devices
    }

    fn memory_device(&self, id: ObjectId) -> Option<MemoryDevice> {
        let kind = self.memory_kind(id)?;
        let memdev = self.link(id, "memdev")?;
        let size = self.backend_size(memdev).unwrap_or(0);
        Some(MemoryDevice {
            id,
            kind,
            memdev,
            address: self.size_property(id, kind.address_property()),
            size: if kind == MemoryKind::Nvdimm {
                self.nvdimm_size(id, size)
            } else {
                size
            },
        })
    }

    /// How much memory the devices give the guest, in bytes. None is there that would take
    /// some of `virtio-mem`.
    pub(crate) fn plugged_memory(&self) -> u64 {
        let devices = self.memory_devices().into_iter();
        let given = devices.filter(|device| device.kind != MemoryKind::VirtioMem);
        given.map(|device| device.size).sum()
    }

    /// How much memory modules give the guest, in bytes: that is what a balloon can take.
    pub(crate) fn module_memory(&self) -> u64 {
        let devices = self.memory_devices().into_iter();
        let modules = devices.filter(|device| device.kind == MemoryKind::Module);
        modules.map(|device| device.size).sum()
    }

    /// How much memory of devices a node has, in bytes. Persistent memory counts for the first.
    pub(crate) fn plugged_memory_of_node(&self, node: u16) -> u64 {
        let devices = self.memory_devices().into_iter();
        let here = devices.filter(|device| match device.kind {
            MemoryKind::VirtioMem => false,
            MemoryKind::VirtioPmem => node == 0,
            MemoryKind::Module | MemoryKind::Nvdimm => {
                self.int_property(device.id, "node") == i64::from(node)
            }
        });
        here.map(|device| device.size).sum()
    }

    /// Whether a piece of memory has a user.
    pub(crate) fn is_memory_used(&self, memdev: ObjectId) -> bool {
        self.main_memory() == Some(memdev)
            || self.numa.memory().any(|used| used == memdev)
            || self.memory_devices().iter().any(|d| d.memdev == memdev)
    }

    /// Refuses a node that does not exist; a machine without nodes has one.
    pub(super) fn is_node(&self, node: i64) -> bool {
        usize::try_from(node).is_ok_and(|node| node < self.node_count())
    }

    pub(super) fn node_count(&self) -> usize {
        self.numa.nodes.len().max(1)
    }

    /// The alignment that a piece of memory needs.
    pub(super) fn memory_alignment(&self, memdev: ObjectId) -> u64 {
        if self.class_name(memdev) == "memory-backend-ram" {
            LARGE_PAGE
        } else {
            self.size_property(memdev, "align").max(PAGE)
        }
    }

    /// The memory behind the first 4 GiB that the machine starts with, in bytes.
    fn memory_above_4g(&self) -> u64 {
        let (ram, limit) = (
            self.ram_size(),
            self.size_property(self.machine_object, "max-ram-below-4g"),
        );
        // Memory that reaches the devices is cut at a whole GiB.
        let mut below = match self.class.family {
            Family::Q35 if ram >= 0xb000_0000 => 2 * GIB,
            Family::Q35 => 0xb000_0000,
            _ if ram >= 0xe000_0000 => 3 * GIB,
            _ => 0xe000_0000,
        };
        if limit > 0 {
            below = below.min(limit);
        }
        ram.saturating_sub(below)
    }

    /// Where memory devices go; `None` if the machine takes none.
    fn device_memory(&self) -> Option<Range<u64>> {
        let has_place = matches!(self.class.family, Family::I440fx | Family::Q35);
        let room = self.max_ram_size.checked_sub(self.ram_size())?;
        if !has_place || room == 0 {
            return None;
        }
        let base = (4 * GIB + self.memory_above_4g()).next_multiple_of(GIB);
        Some(base..base + room + self.memory_slots * GIB)
    }

    /// Where memory devices go.
    ///
    /// # Errors
    ///
    /// The machine takes none.
    pub(super) fn room_for_memory(&self) -> Result<Range<u64>, Error> {
        self.device_memory().ok_or_else(|| {
            Error::new(
                "the configuration is not prepared for memory devices (e.g., for memory \
                 hotplug), consider specifying the maxmem option",
            )
        })
    }

    /// Finds a place for a memory device, at `wanted` unless that is zero.
    ///
    /// # Errors
    ///
    /// The machine takes none, the address is wrong or in use, or no gap is large enough.
    pub(super) fn place_memory(&self, wanted: u64, size: u64, align: u64) -> Result<u64, Error> {
        let range = self.room_for_memory()?;
        let devices = self.memory_devices();
        let used: u64 = devices.iter().map(|device| device.size).sum();
        let total = self.max_ram_size - self.ram_size();
        if used + size > total {
            return Err(Error::new(format!(
                "not enough space, currently 0x{used:x} in use of total space for memory \
                 devices 0x{total:x}"
            )));
        }
        if size % align != 0 {
            return Err(Error::new(format!(
                "backend memory size must be multiple of 0x{align:x}"
            )));
        }
        if wanted != 0 {
            self.check_memory_address(wanted, size, align, &range)?;
        }
        let mut at = if wanted == 0 {
            range.start.next_multiple_of(align)
        } else {
            wanted
        };
        for other in devices {
            let end = other.address + other.size;
            if at >= end || other.address >= at + size {
                continue;
            }
            if wanted != 0 {
                let name = self.device_id(other.id).unwrap_or("(unnamed)");
                return Err(Error::new(format!(
                    "address range conflicts with memory device id='{name}'"
                )));
            }
            at = end.next_multiple_of(align);
        }
        if at + size > range.end {
            return Err(Error::new(
                "could not find position in guest address space for memory device - memory \
                 fragmented due to alignments",
            ));
        }
        Ok(at)
    }

    fn check_memory_address(
        &self,
        wanted: u64,
        size: u64,
        align: u64,
        range: &Range<u64>,
    ) -> Result<(), Error> {
        if wanted % align != 0 {
            return Err(Error::new(format!(
                "address must be aligned to 0x{align:x} bytes"
            )));
        }
        let end = wanted.checked_add(size);
        if wanted < range.start || end.is_none_or(|end| end > range.end) {
            return Err(Error::new(format!(
                "can't add memory device [0x{wanted:x}:0x{size:x}], usable range for memory \
                 devices [0x{:x}:0x{:x}]",
                range.start,
                range.end - range.start
            )));
        }
        Ok(())
    }
}
