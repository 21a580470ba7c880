//! PCI: `query-pci` and `info pci`, both from the devices on the bus.

use super::hmp::Cx;
use crate::model::qdev::{
    class_name, pci_facts, PciFacts, RegionKind, PCI_DEVICE, SUBSYSTEM_VENDOR,
};
use crate::model::qom::ObjectId;
use crate::schema::{
    PciCommands, PciDeviceClass, PciDeviceId, PciDeviceInfo, PciInfo, PciMemoryRegion,
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
        Ok(m.buses("PCI").iter().map(info).collect())
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
        .filter_map(|id| Some(function(m, id, pci_facts(m.class_name(id))?)))
        .collect();
    devices.sort_by_key(|d| (d.slot, d.function));
    devices
}

/// No firmware has run, so no region has a place.
fn function(m: &Machine, id: ObjectId, facts: &PciFacts) -> PciDeviceInfo {
    let address = m.int_property(id, "addr");
    let regions = facts.regions.iter().map(|region| {
        let memory = region.kind != RegionKind::Io;
        let prefetch = matches!(region.kind, RegionKind::Prefetch | RegionKind::Prefetch64);
        PciMemoryRegion {
            bar: region.bar.into(),
            r#type: if memory { "memory" } else { "io" }.to_owned(),
            address: -1,
            size: region.size as i64,
            prefetch: memory.then_some(prefetch),
            mem_type_64: memory.then_some(region.kind == RegionKind::Prefetch64),
        }
    });
    PciDeviceInfo {
        bus: 0,
        slot: address >> 3,
        function: address & 7,
        class_info: PciDeviceClass {
            desc: class_name(facts.class).map(str::to_owned),
            class: facts.class.into(),
        },
        id: PciDeviceId {
            device: facts.device.into(),
            vendor: facts.vendor.into(),
            subsystem: Some(facts.subsystem.into()),
            subsystem_vendor: Some(SUBSYSTEM_VENDOR.into()),
        },
        irq: (facts.pin != 0).then_some(0),
        irq_pin: facts.pin.into(),
        qdev_id: m.device_id(id).unwrap_or_default().to_owned(),
        pci_bridge: None,
        regions: regions.collect(),
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
    for region in &device.regions {
        let kind = match (region.mem_type_64, region.prefetch) {
            (None, _) => "I/O",
            (Some(false), Some(true)) => "32 bit prefetchable memory",
            (Some(false), _) => "32 bit memory",
            (Some(true), _) => "64 bit prefetchable memory",
        };
        text += &format!("      BAR{}: {kind} (not mapped)\n", region.bar);
    }
    text + &format!("      id \"{}\"\n", device.qdev_id)
}
