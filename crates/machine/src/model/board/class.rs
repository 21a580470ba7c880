//! What a machine type is.

use crate::model::qom::ObjectType;
use qmonitor::Profile;

/// How the parts of a board are wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Nothing but an address space (`none`).
    Empty,
    /// A PC before PCI (`isapc`).
    Isa,
    /// A PC of 1996: PCI, an IDE controller (`pc-i440fx`).
    I440fx,
    /// A PC of 2009: PCI Express, an AHCI controller (`pc-q35`).
    Q35,
    /// A PC without PCI for small guests (`microvm`).
    Microvm,
}

/// A machine type (QEMU's `MachineClass`), as it is in the table.
pub struct MachineClass {
    /// Which QEMU's it is.
    pub(super) profile: Profile,
    /// Its name.
    pub name: &'static str,
    /// Another name; may be empty.
    pub alias: &'static str,
    /// Its line in `-machine help`.
    pub description: &'static str,
    /// How it is wired.
    pub family: Family,
    /// How many processors it can have.
    pub cpu_max: u32,
    pub(super) flags: &'static str,
    /// The type of its processors if the user names none; empty if it has none.
    pub(super) default_cpu_type: &'static str,
    /// The id of the memory that the machine gets without `memory-backend`.
    pub default_ram_id: &'static str,
    /// The next newer version, and how many of its compatibility properties come before and
    /// after those in `changes`.
    pub(super) newer: &'static str,
    /// Lines of a tab, a type, a property and a value as JSON.
    pub(super) changes: &'static str,
    /// The type of its object.
    pub object: ObjectType,
}

/// A value that a machine type gives a property of all objects of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompatProperty {
    /// The type.
    pub qom_type: &'static str,
    /// The name of the property.
    pub property: &'static str,
    /// The value, as a JSON string.
    pub value: &'static str,
}

impl MachineClass {
    /// The model of its processors if the user names none.
    pub fn default_cpu_model(&self) -> Option<&'static str> {
        self.default_cpu_type.strip_suffix("-x86_64-cpu")
    }

    /// Whether users can add such a device to its main bus.
    pub(crate) fn takes_on_main_bus(&self, driver: &str) -> bool {
        let all: &[&str] = match self.family {
            Family::I440fx => &["ramfb", "uefi-vars-x64", "vmbus-bridge"],
            Family::Q35 => &[
                "amd-iommu",
                "intel-iommu",
                "ramfb",
                "uefi-vars-x64",
                "vmbus-bridge",
            ],
            Family::Microvm => &["ramfb"],
            Family::Empty | Family::Isa => &[],
        };
        all.contains(&driver)
    }

    /// The name that the table of shapes has for what is in `/machine/unattached` besides devices.
    pub(crate) fn shape_of_unattached(&self) -> Option<&'static str> {
        match self.family {
            Family::Empty => None,
            Family::Isa => Some("unattached-isapc"),
            Family::I440fx => Some("unattached-pc"),
            Family::Q35 => Some("unattached-q35"),
            Family::Microvm => Some("unattached-microvm"),
        }
    }

    /// The type of its processors if the user names no model.
    pub fn default_cpu_type(&self) -> Option<&'static str> {
        Some(self.default_cpu_type).filter(|name| !name.is_empty())
    }

    /// How much memory it has if the user does not say, in bytes.
    pub fn default_ram_size(&self) -> Option<u64> {
        self.is_pc().then_some(128 << 20)
    }

    /// Whether it is a PC, with places for processors.
    pub fn is_pc(&self) -> bool {
        self.family != Family::Empty
    }

    /// Whether `-numa node,mem=SIZE` is allowed.
    pub fn numa_mem_supported(&self) -> bool {
        self.flags.contains('n')
    }

    /// Whether it gets a node for memory that is plugged in.
    pub(crate) fn has_node_for_modules(&self) -> bool {
        matches!(self.family, Family::I440fx | Family::Q35) && !self.is_older_than((2, 11))
    }

    /// Whether virtio disks and host adapters have a queue for each processor.
    pub(crate) fn has_queue_for_each_cpu(&self) -> bool {
        !self.is_older_than((5, 2))
    }

    /// Whether its version is older than that; one without a version is not.
    fn is_older_than(&self, version: (u32, u32)) -> bool {
        let text = self.name.rsplit('-').next().unwrap_or_default();
        let mut numbers = text.split('.').map_while(|n| n.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) => (major, minor) < version,
            _ => false,
        }
    }

    /// Whether it is going away.
    pub fn is_deprecated(&self) -> bool {
        self.flags.contains('o')
    }

    /// Whether QEMU starts it if the user names no machine. See [`super::default_class`].
    pub fn is_default_of_qemu(&self) -> bool {
        self.flags.contains('d')
    }

    /// Whether processors can be plugged.
    pub fn has_hotpluggable_cpus(&self) -> bool {
        self.flags.contains('h')
    }

    /// Whether it can have ACPI.
    pub fn has_acpi(&self) -> bool {
        self.flags.contains('a')
    }
}

impl std::fmt::Debug for MachineClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
