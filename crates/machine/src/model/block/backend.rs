//! Back ends with a name of their own, which `-drive` and `drive_add` make.
//!
//! A device of `-blockdev` times names a node; one of `-drive` times names a back end, and
//! the node in it may come and go.

use super::IoLimits;
use qmonitor::qapi::Error;

/// The kind of device that a back end is for (`if=`), in the order of QEMU's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// For a device that the user makes.
    None,
    /// A disk or drive of the board's IDE or SATA controller.
    Ide,
    #[allow(missing_docs)]
    Scsi,
    /// A drive of the board's floppy controller.
    Floppy,
    /// The memory of the firmware.
    Pflash,
    /// Flash memory on the board, which no PC has.
    Mtd,
    #[allow(missing_docs)]
    Sd,
    /// A disk of its own.
    Virtio,
    #[allow(missing_docs)]
    Xen,
}

const INTERFACES: [(&str, Interface); 9] = [
    ("none", Interface::None),
    ("ide", Interface::Ide),
    ("scsi", Interface::Scsi),
    ("floppy", Interface::Floppy),
    ("pflash", Interface::Pflash),
    ("mtd", Interface::Mtd),
    ("sd", Interface::Sd),
    ("virtio", Interface::Virtio),
    ("xen", Interface::Xen),
];

impl Interface {
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let row = INTERFACES.iter().find(|(known, _)| *known == name);
        row.map(|(_, interface)| *interface)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        INTERFACES[self as usize].0
    }

    /// How many units a bus has; `None` if there are no buses. `ide` is what the board has.
    pub fn units(self, ide: u32) -> Option<u32> {
        match self {
            Interface::Ide => Some(ide),
            Interface::Scsi => Some(7),
            _ => None,
        }
    }

    /// Whether it has words of its own for disks and drives of discs.
    pub fn tells_media(self) -> bool {
        matches!(self, Interface::Ide | Interface::Scsi)
    }
}

/// A back end.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What it is for, and where there.
    pub interface: Interface,
    #[allow(missing_docs)]
    pub bus: u32,
    #[allow(missing_docs)]
    pub unit: u32,
    /// Whether discs go in.
    pub is_cdrom: bool,
    /// The node in it.
    pub node: Option<String>,
    /// How fast it may be.
    pub limits: IoLimits,
    /// The name of the group that shares the limits.
    pub group: Option<String>,
    /// Whether a part of the board took it without being told.
    pub is_claimed: bool,
    /// The age of the newest object when it was made, and its place among the back ends:
    /// lists are in the order of making.
    pub age: (u64, usize),
}

/// What clients have done to the drive of a device.
#[derive(Debug, Clone, Default)]
pub struct Medium {
    /// The name of the back end that a user took away: it is in use until the device goes.
    pub(crate) lost: Option<String>,
    /// The node in it since then, if that was changed.
    pub node: Option<Option<String>>,
    /// Whether its tray is open.
    pub tray_open: bool,
    /// Limits between the intervals that reads, writes, appends and flushes are counted in.
    pub histograms: [Option<Vec<u64>>; 4],
}

/// All back ends, the oldest first.
#[derive(Debug, Default)]
pub struct Backends {
    list: Vec<Backend>,
}

impl Backends {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// Its name or its place is taken.
    pub fn add(&mut self, backend: Backend) -> Result<(), Error> {
        let name = &backend.name;
        if self.get(name).is_some() {
            return Err(Error::new(format!("Duplicate ID '{name}' for drive")));
        }
        self.list.push(backend);
        Ok(())
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&Backend> {
        self.list.iter().find(|b| b.name == name)
    }

    #[allow(missing_docs)]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Backend> {
        self.list.iter_mut().find(|b| b.name == name)
    }

    /// The one at that place.
    pub fn at(&self, interface: Interface, bus: u32, unit: u32) -> Option<&Backend> {
        let place = (interface, bus, unit);
        let mut list = self.list.iter();
        list.find(|b| (b.interface, b.bus, b.unit) == place)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Backend> {
        self.list.iter()
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) -> Option<Backend> {
        let at = self.list.iter().position(|b| b.name == name)?;
        Some(self.list.remove(at))
    }

    /// Gives the back ends that have a node another one.
    pub(super) fn replace_node(&mut self, from: &str, to: &str) {
        for backend in &mut self.list {
            if backend.node.as_deref() == Some(from) {
                backend.node = Some(to.to_owned());
            }
        }
    }

    /// The one that a node is in.
    pub fn user(&self, node: &str) -> Option<&Backend> {
        let mut list = self.list.iter();
        list.find(|b| b.node.as_deref() == Some(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_qemus_numbers() {
        for (number, (name, interface)) in INTERFACES.iter().enumerate() {
            assert_eq!(*interface as usize, number);
            assert_eq!(Interface::parse(name), Some(*interface));
            assert_eq!(interface.name(), *name);
        }
        assert_eq!(Interface::parse("foo"), None);
        assert_eq!(Interface::Ide.units(2), Some(2));
        assert_eq!(Interface::None.units(2), None);
    }
}
