//! Buses: where devices sit.

use super::DeviceClass;
use crate::model::backends::{BUS, SYSTEM_BUS};
use crate::model::qom::{ObjectId, ObjectType};
use crate::model::Machine;
use qmonitor::qapi::Error;

pub(crate) static TYPES: &[&ObjectType] = &[
    &PCI,
    &PCIE,
    &ISA,
    &IDE,
    &SCSI,
    &USB,
    &VIRTIO_SERIAL,
    &I2C,
    &HDA,
    &SD_BUS,
    &SD,
    &FLOPPY,
    &NVME,
    &CCID,
    &VIRTIO,
    &VIRTIO_PCI_BUS,
    &VIRTIO_MMIO_BUS,
];

/// PCI, of any kind.
pub(crate) static PCI: ObjectType = ObjectType::new("PCI", &BUS);
/// PCI Express.
pub(crate) static PCIE: ObjectType = ObjectType::new("PCIE", &PCI);
pub(super) static ISA: ObjectType = ObjectType::new("ISA", &BUS);
pub(super) static IDE: ObjectType = ObjectType::new("IDE", &BUS);
pub(super) static SCSI: ObjectType = ObjectType::new("SCSI", &BUS);
pub(super) static USB: ObjectType = ObjectType::new("usb-bus", &BUS);
pub(super) static VIRTIO_SERIAL: ObjectType = ObjectType::new("virtio-serial-bus", &BUS);
pub(super) static HDA: ObjectType = ObjectType::new("HDA", &BUS);
static SD_BUS: ObjectType = ObjectType::new("sd-bus", &BUS);
pub(super) static SD: ObjectType = ObjectType::new("sdhci-bus", &SD_BUS);
pub(super) static FLOPPY: ObjectType = ObjectType::new("floppy-bus", &BUS);
pub(super) static NVME: ObjectType = ObjectType::new("nvme-bus", &BUS);
pub(super) static CCID: ObjectType = ObjectType::new("ccid-bus", &BUS);
static VIRTIO: ObjectType = ObjectType::new("virtio-bus", &BUS);
/// The bus between a virtio device and its interface on PCI.
static VIRTIO_PCI_BUS: ObjectType = ObjectType::new("virtio-pci-bus", &VIRTIO);
static VIRTIO_MMIO_BUS: ObjectType = ObjectType::new("virtio-mmio-bus", &VIRTIO);
pub(super) static I2C: ObjectType = ObjectType::new("i2c-bus", &BUS);

impl Machine {
    /// Whether devices on a bus neither come nor go while the machine exists. Of PCI
    /// Express, that is the root; its ports take devices.
    pub(super) fn is_fixed_bus(&self, bus: ObjectId) -> bool {
        let class = self.object(bus).map_or(&BUS, |o| o.class());
        let is_root = || {
            self.parent(bus)
                .is_none_or(|parent| !self.is_pci_device(parent))
        };
        [
            &ISA,
            &IDE,
            &I2C,
            &HDA,
            &FLOPPY,
            &SD_BUS,
            &NVME,
            &VIRTIO,
            &SYSTEM_BUS,
        ]
        .iter()
        .any(|t| class.is_a(t.name))
            || class.is_a(PCIE.name) && is_root()
    }

    fn is_pci_device(&self, id: ObjectId) -> bool {
        self.object(id)
            .is_some_and(|o| o.class().is_a("pci-device"))
    }

    /// Whether a bus is behind a port of PCI Express, which has one slot.
    pub(super) fn is_behind_port(&self, bus: ObjectId) -> bool {
        let parent = self.parent(bus).and_then(|id| self.object(id));
        parent.is_some_and(|o| o.class().is_a("pcie-port"))
    }

    /// All buses of a type, and of those derived from it, in the order of the tree.
    pub(crate) fn buses(&self, typename: &str) -> Vec<ObjectId> {
        let mut found = Vec::new();
        let mut todo = vec![self.machine_object];
        while let Some(id) = todo.pop() {
            if self.object(id).is_some_and(|o| o.class().is_a(typename)) {
                found.push(id);
            }
            let children: Vec<_> = self.children(id).map(|(_, child)| child).collect();
            todo.extend(children.into_iter().rev());
        }
        found
    }

    /// Chooses the bus of a device: the named one, or else the first of its type.
    ///
    /// # Errors
    ///
    /// There is no such bus, or it is of another type.
    pub(super) fn choose_bus(
        &self,
        class: &DeviceClass,
        driver: &str,
        name: Option<&str>,
    ) -> Result<ObjectId, Error> {
        let Some(name) = name else {
            let bus = self.first_bus(class.bus);
            return bus.ok_or_else(|| {
                Error::new(format!(
                    "No '{}' bus found for device '{driver}'",
                    class.bus
                ))
            });
        };
        let named = |id: &ObjectId| self.object(*id).is_some_and(|o| o.name() == name);
        let bus = self.buses(BUS.name).into_iter().find(named);
        let bus = bus.ok_or_else(|| Error::new(format!("Bus '{name}' not found")))?;
        let bus_class = self.object(bus).map_or(&BUS, |o| o.class());
        if bus_class.is_a(class.bus) && self.is_full_bus(bus) {
            Err(Error::new(format!("Bus '{name}' is full")))
        } else if bus_class.is_a(class.bus) {
            Ok(bus)
        } else {
            Err(Error::new(format!(
                "Device '{driver}' can't go on {} bus",
                bus_class.name
            )))
        }
    }

    /// The bus of a type that is found first: those of the latest devices come first, but
    /// none before the bus that its own device sits on.
    fn first_bus(&self, typename: &str) -> Option<ObjectId> {
        let is_a = |id: ObjectId| self.object(id).is_some_and(|o| o.class().is_a(typename));
        let parent = |bus: ObjectId| {
            let owner = self.parent(bus)?;
            let device = self
                .link(owner, "parent_bus")
                .map_or(self.parent(owner), |_| Some(owner));
            self.link(device?, "parent_bus")
        };
        let mut todo: Vec<(Vec<u64>, ObjectId)> = Vec::new();
        let fits = |id: &ObjectId| is_a(*id) && !self.is_full_bus(*id);
        for bus in self.buses(typename).into_iter().filter(fits) {
            let chain = std::iter::successors(Some(bus), |bus| parent(*bus));
            let mut ages: Vec<_> = chain.map(|id| u64::MAX - self.age(id)).collect();
            ages.reverse();
            todo.push((ages, bus));
        }
        todo.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        todo.first().map(|(_, bus)| *bus)
    }

    /// Whether a bus that takes one device has it.
    fn is_full_bus(&self, bus: ObjectId) -> bool {
        let class = self.object(bus).map_or(&BUS, |o| o.class());
        let takes_one = class.is_a(VIRTIO.name) || class.is_a(CCID.name);
        takes_one && !self.devices_on(bus).is_empty()
    }

    /// The devices that sit on a bus.
    pub(crate) fn devices_on(&self, bus: ObjectId) -> Vec<ObjectId> {
        let mut found = Vec::new();
        let mut todo = vec![self.machine_object];
        while let Some(id) = todo.pop() {
            if self.link(id, "parent_bus") == Some(bus) {
                found.push(id);
            }
            todo.extend(self.children(id).map(|(_, child)| child));
        }
        found
    }

    /// Makes the buses that a device provides, below it or below its backend. They are
    /// named after its id, or else after their type.
    pub(super) fn provide_buses(&mut self, device: ObjectId, class: &DeviceClass) {
        let owner = match class.backend {
            Some((name, backend)) => self
                .device_type(backend)
                .map_or(device, |backend| self.add_backend(device, name, backend)),
            None => device,
        };
        let id = self.device_id(device).map(str::to_owned);
        for (i, bus) in class.provides.iter().enumerate() {
            let name = match &id {
                _ if bus.is_a(SD_BUS.name) => "sd-bus".to_owned(),
                Some(id) if bus.is_a(PCI.name) || bus.is_a(NVME.name) => id.clone(),
                Some(id) => format!("{id}.{i}"),
                None => self.automatic_bus_name(bus),
            };
            self.new_child(owner, &name, bus);
        }
    }

    /// Makes the part of a virtio device behind its interface.
    fn add_backend(
        &mut self,
        device: ObjectId,
        name: &str,
        backend: &'static ObjectType,
    ) -> ObjectId {
        let bus = self.new_child(device, "virtio-bus", &VIRTIO_PCI_BUS);
        let id = self.new_child(device, name, backend);
        self.set_parent_bus(id, bus);
        self.set_realized(id);
        id
    }

    /// `pci.0`, `ide.1`: the type in lower case and how many there are.
    fn automatic_bus_name(&self, bus: &ObjectType) -> String {
        let same = |id: &&ObjectId| self.class_name(**id) == bus.name;
        let buses = self.buses(bus.name);
        // The board names its own PCI bus.
        let count = buses.iter().filter(same).filter(|id| {
            !bus.is_a(PCI.name) || self.parent(**id).is_some_and(|p| self.is_pci_device(p))
        });
        let count = count.count();
        format!("{}.{count}", bus.name.to_ascii_lowercase())
    }
}
