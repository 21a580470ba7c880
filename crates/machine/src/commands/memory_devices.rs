//! Memory that comes as a device: `query-memory-devices`, and what ACPI tells of slots.

use super::hmp::Cx;
use crate::model::memory_devices::{MemoryDevice, MemoryKind};
use crate::schema::{
    ACPIOSTInfo, ACPISlotType, MemoryDeviceInfo, PCDIMMDeviceInfo, PCDIMMDeviceInfoWrapper,
    VirtioMEMDeviceInfo, VirtioMEMDeviceInfoWrapper, VirtioPMEMDeviceInfo,
    VirtioPMEMDeviceInfoWrapper,
};
use crate::Machine;
use qmonitor::monitor::hmp::HmpArgs;

/// A number as the schema has it.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The devices, by their addresses.
pub(super) fn infos(m: &Machine) -> Vec<MemoryDeviceInfo> {
    let devices = m.memory_devices().into_iter();
    devices.map(|device| info(m, &device)).collect()
}

fn info(m: &Machine, device: &MemoryDevice) -> MemoryDeviceInfo {
    match device.kind {
        MemoryKind::Module => MemoryDeviceInfo::Dimm(module(m, device)),
        MemoryKind::Nvdimm => MemoryDeviceInfo::Nvdimm(module(m, device)),
        MemoryKind::VirtioMem => MemoryDeviceInfo::VirtioMem(VirtioMEMDeviceInfoWrapper {
            data: virtio_mem(m, device),
        }),
        MemoryKind::VirtioPmem => MemoryDeviceInfo::VirtioPmem(VirtioPMEMDeviceInfoWrapper {
            data: VirtioPMEMDeviceInfo {
                id: m.device_id(device.id).map(str::to_owned),
                memaddr: int(device.address),
                size: int(device.size),
                memdev: m.canonical_path(device.memdev),
            },
        }),
    }
}

fn module(m: &Machine, device: &MemoryDevice) -> PCDIMMDeviceInfoWrapper {
    let id = device.id;
    PCDIMMDeviceInfoWrapper {
        data: PCDIMMDeviceInfo {
            id: m.device_id(id).map(str::to_owned),
            addr: int(device.address),
            size: int(device.size),
            slot: m.int_property(id, "slot"),
            node: m.int_property(id, "node"),
            memdev: m.canonical_path(device.memdev),
            hotplugged: m.bool_property(id, "hotplugged"),
            hotpluggable: true,
        },
    }
}

fn virtio_mem(m: &Machine, device: &MemoryDevice) -> VirtioMEMDeviceInfo {
    let id = device.id;
    VirtioMEMDeviceInfo {
        id: m.device_id(id).map(str::to_owned),
        memaddr: int(device.address),
        requested_size: m.int_property(id, "requested-size"),
        size: m.int_property(id, "size"),
        max_size: int(device.size),
        block_size: m.int_property(id, "block-size"),
        node: m.int_property(id, "node"),
        memdev: m.canonical_path(device.memdev),
    }
}

/// `info memory-devices`
pub(super) fn hmp_info(hmp: Cx, _args: &HmpArgs) {
    for info in infos(&hmp.rt.state) {
        let text = match &info {
            MemoryDeviceInfo::Dimm(module) => module_page("dimm", &module.data),
            MemoryDeviceInfo::Nvdimm(module) => module_page("nvdimm", &module.data),
            MemoryDeviceInfo::VirtioMem(wrapper) => {
                let it = &wrapper.data;
                format!(
                    "{}  memaddr: 0x{:x}\n  node: {}\n  requested-size: {}\n  size: {}\n  \
                     max-size: {}\n  block-size: {}\n  memdev: {}\n",
                    head("virtio-mem", it.id.as_deref()),
                    it.memaddr,
                    it.node,
                    it.requested_size,
                    it.size,
                    it.max_size,
                    it.block_size,
                    it.memdev
                )
            }
            MemoryDeviceInfo::VirtioPmem(wrapper) => {
                let it = &wrapper.data;
                let head = head("virtio-pmem", it.id.as_deref());
                format!(
                    "{head}  memaddr: 0x{:x}\n  size: {}\n  memdev: {}\n",
                    it.memaddr, it.size, it.memdev
                )
            }
            _ => continue,
        };
        hmp.print(text);
    }
}

fn head(kind: &str, id: Option<&str>) -> String {
    format!("Memory device [{kind}]: \"{}\"\n", id.unwrap_or_default())
}

fn module_page(kind: &str, it: &PCDIMMDeviceInfo) -> String {
    format!(
        "{}  addr: 0x{:x}\n  slot: {}\n  node: {}\n  size: {}\n  memdev: {}\n  hotplugged: \
         {}\n  hotpluggable: {}\n",
        head(kind, it.id.as_deref()),
        it.addr,
        it.slot,
        it.node,
        it.size,
        it.memdev,
        it.hotplugged,
        it.hotpluggable
    )
}

/// The slots of the board. An `nvdimm` in one is no device that ACPI's table of modules has.
pub(super) fn slots(m: &Machine) -> Vec<ACPIOSTInfo> {
    let used = m.used_slots();
    let device = |slot: u64| {
        let module = used.iter().find(|(at, _)| u64::try_from(*at) == Ok(slot));
        let module = module.map(|(_, id)| *id);
        let module = module.filter(|id| m.memory_kind(*id) == Some(MemoryKind::Module));
        module.and_then(|id| m.device_id(id)).map(str::to_owned)
    };
    let place = |slot| ACPIOSTInfo {
        device: device(slot),
        slot: slot.to_string(),
        slot_type: ACPISlotType::DIMM,
        source: 0,
        status: 0,
    };
    (0..m.memory_slots).map(place).collect()
}
