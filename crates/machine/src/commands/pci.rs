//! PCI: `query-pci` and `info pci`, both from the devices on the bus.

use super::hmp::Cx;
use crate::model::qdev::{pci_facts, PciFacts, RegionKind, PCI_DEVICE};
use crate::model::qom::ObjectId;
use crate::schema::{
    PciBridgeInfo, PciBusInfo, PciCommands, PciDeviceClass, PciDeviceId, PciDeviceInfo, PciInfo,
    PciMemoryRange, PciMemoryRegion,
};
use crate::Machine;
use qmonitor::monitor::hmp::{HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl PciCommands for Machine {
    fn qmp_query_pci(rt: &mut Runtime<Self>) -> Result<Vec<PciInfo>, Error> {
        let m = &rt.state;
        let info = |bus: &ObjectId| PciInfo {
            bus: 0,
            devices: functions(m, *bus),
        };
        // Firmware has given no other bus a number.
        Ok(m.buses("PCI").first().into_iter().map(info).collect())
    }
}

/// The functions on a bus, by address.
fn functions(m: &Machine, bus: ObjectId) -> Vec<PciDeviceInfo> {
    let mut devices: Vec<PciDeviceInfo> = m
        .devices_on(bus)
        .into_iter()
        .filter(|id| {
            m.object(*id)
                .is_some_and(|o| o.class().is_a(PCI_DEVICE.name))
        })
        .filter_map(|id| Some(function(m, id, &pci_facts(m.class_name(id))?)))
        .collect();
    devices.sort_by_key(|d| (d.slot, d.function));
    devices
}

/// No firmware has run, so no region has a place.
fn function(m: &Machine, id: ObjectId, facts: &PciFacts) -> PciDeviceInfo {
    let address = m.int_property(id, "addr");
    let regions = facts.regions.iter().map(|region| {
        let (prefetch, mem_type_64) = match region.kind {
            RegionKind::Io => (None, None),
            RegionKind::Memory { prefetch, wide } => (Some(prefetch), Some(wide)),
        };
        PciMemoryRegion {
            bar: region.bar.into(),
            r#type: prefetch.map_or("io", |_| "memory").to_owned(),
            address: -1,
            size: region.size as i64,
            prefetch,
            mem_type_64,
        }
    });
    PciDeviceInfo {
        bus: 0,
        slot: address >> 3,
        function: address & 7,
        class_info: PciDeviceClass {
            desc: Some(facts.class_name.to_owned()).filter(|name| !name.is_empty()),
            class: facts.class.into(),
        },
        id: PciDeviceId {
            device: facts.device.into(),
            vendor: facts.vendor.into(),
            subsystem: facts.subsystem.map(|(_, device)| device.into()),
            subsystem_vendor: facts.subsystem.map(|(vendor, _)| vendor.into()),
        },
        irq: (facts.pin != 0).then_some(0),
        irq_pin: facts.pin.into(),
        qdev_id: m.device_id(id).unwrap_or_default().to_owned(),
        pci_bridge: facts.bridge.map(bridge),
        regions: regions.collect(),
    }
}

/// A bridge whose bus has no number yet, and whose ranges end where the least ones would.
fn bridge([ports, memory, prefetch]: [u64; 3]) -> PciBridgeInfo {
    let range = |base: u64, limit| PciMemoryRange {
        base: base as i64,
        limit,
    };
    PciBridgeInfo {
        bus: PciBusInfo {
            number: 0,
            secondary: 0,
            subordinate: 0,
            io_range: range(ports, 0xfff),
            memory_range: range(memory, 0xf_ffff),
            prefetchable_range: range(prefetch, 0xf_ffff),
        },
        devices: None,
    }
}

/// The sub-command of `info`.
pub(super) const INFO: &[HmpPair<Machine>] =
    &[(HmpRow::new("pci", "", "show PCI info"), hmp_info_pci)];

fn hmp_info_pci(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_pci(hmp.rt);
    for bus in hmp.handle_error(result).unwrap_or_default() {
        let page: String = bus.devices.iter().map(function_text).collect();
        hmp.print(page);
    }
}

fn function_text(device: &PciDeviceInfo) -> String {
    let class = match &device.class_info.desc {
        Some(desc) => desc.clone(),
        None => format!("Class {:04}", device.class_info.class),
    };
    let id = &device.id;
    let mut text = format!(
        "  Bus {:2}, device {:3}, function {}:\n    {class}: PCI device {:04x}:{:04x}\n",
        device.bus, device.slot, device.function, id.vendor, id.device
    );
    if let (Some(vendor), Some(subsystem)) = (id.subsystem_vendor, id.subsystem) {
        text += &format!("      PCI subsystem {vendor:04x}:{subsystem:04x}\n");
    }
    if let Some(irq) = device.irq {
        let pin = char::from(b'A' + (device.irq_pin - 1) as u8);
        text += &format!("      IRQ {irq}, pin {pin}\n");
    }
    if let Some(bridge) = &device.pci_bridge {
        let bus = &bridge.bus;
        text += &format!("      BUS {}.\n", bus.number);
        text += &format!("      secondary bus {}.\n", bus.secondary);
        text += &format!("      subordinate bus {}.\n", bus.subordinate);
        let range = |kind, range: &PciMemoryRange, width: usize| {
            let (base, limit) = (range.base, range.limit);
            format!("      {kind} range [{base:#0width$x}, {limit:#0width$x}]\n")
        };
        text += &range("IO", &bus.io_range, 6);
        text += &range("memory", &bus.memory_range, 10);
        text += &range("prefetchable memory", &bus.prefetchable_range, 10);
    }
    for region in &device.regions {
        let kind = match (region.mem_type_64, region.prefetch) {
            (None, _) => "I/O",
            (Some(false), Some(true)) => "32 bit prefetchable memory",
            (Some(false), _) => "32 bit memory",
            (Some(true), Some(true)) => "64 bit prefetchable memory",
            (Some(true), _) => "64 bit memory",
        };
        text += &format!("      BAR{}: {kind} (not mapped)\n", region.bar);
    }
    text + &format!("      id \"{}\"\n", device.qdev_id)
}
