//! The configuration registers of functions on PCI, as far as firmware looks for devices:
//! who made them, what they are, and where their regions are.

use crate::model::qdev::{pci_facts, PciFacts, RegionKind};
use crate::model::qom::ObjectId;
use crate::model::Machine;

/// The registers of four bytes each that are known.
const ID: u32 = 0x00;
const COMMAND: u32 = 0x04;
const CLASS: u32 = 0x08;
const FIRST_REGION: u32 = 0x10;
const SUBSYSTEM: u32 = 0x2c;
const INTERRUPT: u32 = 0x3c;

/// Bits of a register that can be written.
fn writable(facts: &PciFacts, register: u32) -> u32 {
    match register {
        COMMAND => 0x0547,
        INTERRUPT => 0xff,
        _ => {
            let region = region(facts, register);
            region.map_or(0, |(_, size)| (!(size - 1)) as u32)
        }
    }
}

/// The kind and size of the region whose address is in a register.
fn region(facts: &PciFacts, register: u32) -> Option<(RegionKind, u64)> {
    let bar = register.checked_sub(FIRST_REGION)? / 4;
    let mut regions = facts.regions.iter();
    let region = regions.find(|region| u32::from(region.bar) == bar)?;
    Some((region.kind, region.size))
}

/// The bits of a register that are always the same.
fn fixed(facts: &PciFacts, register: u32) -> u32 {
    let pair = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
    match register {
        ID => pair(facts.device, facts.vendor),
        CLASS => pair(facts.class, 0),
        SUBSYSTEM => facts
            .subsystem
            .map_or(0, |(vendor, device)| pair(device, vendor)),
        INTERRUPT => u32::from(facts.pin) << 8,
        register => match region(facts, register) {
            Some((RegionKind::Io, _)) => 1,
            Some((RegionKind::Memory { prefetch, wide }, _)) => {
                u32::from(prefetch) << 3 | u32::from(wide) << 2
            }
            None => 0,
        },
    }
}

impl Machine {
    /// The function that is chosen, if there is one.
    fn chosen_function(&self) -> Option<(ObjectId, PciFacts)> {
        let address = self.qtest.pci.address;
        let (bus, function) = (address >> 16 & 0xff, i64::from(address >> 8 & 0xff));
        // Firmware has given no other bus a number.
        if !self.qtest.pci.is_enabled() || bus != 0 {
            return None;
        }
        let root = *self.buses("PCI").first()?;
        let mut devices = self.devices_on(root).into_iter();
        let id = devices.find(|id| self.int_property(*id, "addr") == function)?;
        Some((id, pci_facts(self.class_name(id))?))
    }

    /// What the data register holds from byte `first` on.
    pub(super) fn pci_config_read(&self, first: u32) -> u32 {
        let Some((id, facts)) = self.chosen_function() else {
            return u32::MAX;
        };
        let register = self.qtest.pci.register();
        let written = self.qtest.pci.written.get(&(id, register));
        let value = written.copied().unwrap_or(0) | fixed(&facts, register);
        value >> (8 * first)
    }

    /// Writes `width` bytes to the data register.
    pub(super) fn pci_config_write(&mut self, first: u32, width: u32, value: u32) {
        let Some((id, facts)) = self.chosen_function() else {
            return;
        };
        let register = self.qtest.pci.register();
        let shift = 8 * first;
        let mask = (u32::MAX >> (32 - 8 * width) << shift) & writable(&facts, register);
        let written = self.qtest.pci.written.entry((id, register)).or_insert(0);
        *written = *written & !mask | (value << shift) & mask;
    }
}
