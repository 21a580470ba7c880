//! What a machine type is.

use crate::model::qom::ObjectType;

/// How the parts of a board are wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Nothing but an address space (`none`).
    Empty,
    /// A PC of 1996: PCI, an IDE controller (`pc-i440fx`).
    I440fx,
    /// A PC of 2009: PCI Express, an AHCI controller (`pc-q35`).
    Q35,
}

/// A machine type (QEMU's `MachineClass`).
pub struct MachineClass {
    /// Its name.
    pub name: &'static str,
    /// Another name.
    pub alias: Option<&'static str>,
    /// Its line in `-machine help`.
    pub description: &'static str,
    /// How it is wired.
    pub family: Family,
    /// How many processors it can have.
    pub cpu_max: u32,
    /// Whether `-numa node,mem=SIZE` is allowed.
    pub numa_mem_supported: bool,
    /// Whether it is going away.
    pub deprecated: bool,
    /// The type of its object.
    pub object: ObjectType,
}

impl MachineClass {
    /// The model of its processors if the user names none.
    pub fn default_cpu_model(&self) -> Option<&'static str> {
        self.is_pc().then_some("qemu64")
    }

    /// The id of the memory that the machine gets without `memory-backend`.
    pub fn default_ram_id(&self) -> &'static str {
        match self.family {
            Family::Empty => "ram",
            Family::I440fx | Family::Q35 => "pc.ram",
        }
    }

    /// How much memory it has if the user does not say, in bytes.
    pub fn default_ram_size(&self) -> Option<u64> {
        self.is_pc().then_some(128 << 20)
    }

    /// Whether it is a PC, with ACPI and places for processors.
    pub fn is_pc(&self) -> bool {
        self.family != Family::Empty
    }
}

impl std::fmt::Debug for MachineClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
