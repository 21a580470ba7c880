//! What the devices on PCI say of themselves: a table that `tests/record/shapes.py` records.

use std::sync::OnceLock;

static TABLE: &str = include_str!("../../facts/pci.txt");

/// A region that a function occupies, once firmware has given it a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) bar: u8,
    pub(crate) size: u64,
    pub(crate) kind: RegionKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegionKind {
    /// Ports.
    Io,
    /// Memory.
    Memory {
        /// It may be read ahead.
        prefetch: bool,
        /// Its address has 64 bits.
        wide: bool,
    },
}

/// What one type of devices says of itself.
#[derive(Debug)]
pub(crate) struct PciFacts {
    pub(crate) class: u16,
    /// The name of the class; may be empty.
    pub(crate) class_name: &'static str,
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    /// Vendor and device of the board, which bridges do not tell.
    pub(crate) subsystem: Option<(u16, u16)>,
    /// The interrupt pin; 0 is none.
    pub(crate) pin: u8,
    pub(crate) regions: Vec<Region>,
    /// Where the ranges of a bridge begin before firmware sets them: of ports, memory, and
    /// memory that may be read ahead.
    pub(crate) bridge: Option<[u64; 3]>,
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or_default()
}

fn region(word: &str) -> Option<Region> {
    let at = word.find(|c: char| !c.is_ascii_digit())?;
    let (bar, rest) = word.split_at(at);
    let (kind, size) = rest.split_at(1);
    let memory = |prefetch, wide| RegionKind::Memory { prefetch, wide };
    Some(Region {
        bar: bar.parse().ok()?,
        size: number(size),
        kind: match kind {
            "m" => memory(false, false),
            "p" => memory(true, false),
            "M" => memory(false, true),
            "P" => memory(true, true),
            _ => RegionKind::Io,
        },
    })
}

fn read(line: &'static str) -> PciFacts {
    let mut fields = line.split('\t').skip(1);
    let mut next = || fields.next().unwrap_or_default();
    let id = |text| number(text) as u16;
    let (class, class_name) = (id(next()), next());
    let (vendor, device) = (id(next()), id(next()));
    let (subvendor, subsystem) = (next(), next());
    let pin = next().parse().unwrap_or_default();
    let regions = next().split(' ').filter_map(region).collect();
    let mut ranges = next()
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(number);
    PciFacts {
        class,
        class_name,
        vendor,
        device,
        subsystem: (!subvendor.is_empty()).then(|| (id(subvendor), id(subsystem))),
        pin,
        regions,
        bridge: ranges.next().map(|ports| {
            let mut range = || ranges.next().unwrap_or_default();
            [ports, range(), range()]
        }),
    }
}

/// What a type of devices says of itself; `None` for types that are not on PCI and for unknown
/// types.
pub(crate) fn pci_facts(driver: &str) -> Option<PciFacts> {
    static LINES: OnceLock<Vec<&str>> = OnceLock::new();
    let lines = LINES.get_or_init(|| TABLE.lines().collect());
    let name = |line: &&'static str| line.split('\t').next().unwrap_or(line);
    let at = lines.binary_search_by(|line| name(line).cmp(driver)).ok()?;
    Some(read(lines[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_say_who_they_are() {
        let disk = pci_facts("virtio-blk-pci").unwrap();
        assert_eq!((disk.vendor, disk.device, disk.pin), (0x1af4, 0x1001, 1));
        assert_eq!(disk.subsystem, Some((0x1af4, 2)));
        let ports = Region {
            bar: 0,
            size: 128,
            kind: RegionKind::Io,
        };
        assert_eq!(disk.regions[0], ports);
        let port = pci_facts("pcie-root-port").unwrap();
        assert_eq!(port.bridge, Some([0xf000, 0xfff0_0000, 0xfff0_0000]));
        assert!(port.subsystem.is_none());
        assert!(pci_facts("usb-tablet").is_none());
    }
}
