//! Ports of USB: those of controllers and of hubs.

use super::{DeviceClass, DEVICE};
use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

const HUB: &str = "usb-hub";

/// What devices call themselves.
const PRODUCTS: &[(&str, &str)] = &[
    ("usb-audio", "QEMU USB Audio"),
    ("usb-braille", "QEMU USB BAUM BRAILLE"),
    ("usb-ccid", "QEMU USB CCID"),
    (HUB, "QEMU USB Hub"),
    ("usb-kbd", "QEMU USB Keyboard"),
    ("usb-mouse", "QEMU USB Mouse"),
    ("usb-mtp", "QEMU USB MTP"),
    ("usb-net", "RNDIS/QEMU USB Network Device"),
    ("usb-serial", "QEMU USB SERIAL"),
    ("usb-storage", "QEMU USB MSD"),
    ("usb-tablet", "QEMU USB Tablet"),
    ("usb-uas", "USB Attached SCSI HBA"),
    ("usb-wacom-tablet", "QEMU PenPartner Tablet"),
];

/// What a type of devices calls itself.
pub(crate) fn product(class: &str) -> &str {
    let found = PRODUCTS.iter().find(|(name, _)| *name == class);
    found.map_or(class, |(_, product)| product)
}

impl Machine {
    /// How fast a device runs, in Mb/s: as fast as it and its controller can.
    pub(crate) fn usb_speed(&self, id: ObjectId) -> &'static str {
        let lines = self.page_lines(id);
        let mut speeds = lines.iter().filter_map(|line| line.split_once(", speed "));
        let own = speeds.next().and_then(|(_, rest)| rest.split(',').next());
        let own = own.unwrap_or("12");
        let controller = self.link(id, "parent_bus").and_then(|bus| self.parent(bus));
        let is_a = |name| {
            let class = controller.and_then(|id| self.object(id)).map(|o| o.class());
            class.is_some_and(|class| class.is_a(name))
        };
        let is_slow = is_a("pci-uhci-usb") || is_a("pci-ohci") || is_a("piix3-usb-uhci");
        match own {
            "480" | "5000" if is_slow => "12",
            "5000" if is_a("pci-ehci-usb") => "480",
            own => own,
        }
    }

    /// The devices on a bus of USB, a hub before those behind it.
    pub(crate) fn usb_devices_on(&self, bus: ObjectId) -> Vec<ObjectId> {
        let mut devices = self.devices_on(bus);
        let ports: Vec<_> = devices
            .iter()
            .map(|id| (self.str_property(*id, "port"), self.age(*id)))
            .collect();
        devices.sort_by_cached_key(|id| {
            let port = self.str_property(*id, "port");
            let hub = port.rsplit_once('.').map(|(hub, _)| hub);
            let hub = ports.iter().find(|(other, _)| Some(other.as_str()) == hub);
            (
                hub.map_or(0, |(_, age)| *age).max(self.age(*id)),
                hub.is_some(),
            )
        });
        devices
    }
}

/// Takes the port that a device asks for, or the first free one. The last port of a bus is
/// given to a hub first.
pub(super) fn choose_port(m: &mut Machine, id: ObjectId, bus: ObjectId) -> Result<(), Error> {
    let class = m.class_name(id);
    let wanted = m.str_property(id, "port");
    if wanted.is_empty() && class != HUB && free_ports(m, id, bus).len() == 1 {
        add_hub(m, bus)?;
    }
    let mut free = free_ports(m, id, bus).into_iter();
    let port = match wanted.as_str() {
        "" => free.next().ok_or_else(|| {
            let product = product(class);
            let text = format!("tried to attach usb device {product} to a bus with no free ports");
            Error::new(text)
        }),
        wanted => free.find(|port| port == wanted).ok_or_else(|| {
            let bus = m.object(bus).map_or("", |o| o.name());
            let text = format!("usb port {wanted} (bus {bus}) not found (in use?)");
            Error::new(text)
        }),
    }?;
    m.store_by_name(id, "port", port);
    Ok(())
}

/// The free ports of a bus, those of the controller first.
fn free_ports(m: &Machine, id: ObjectId, bus: ObjectId) -> Vec<String> {
    let mut devices = m.devices_on(bus);
    devices.retain(|device| *device != id);
    devices.sort_unstable_by_key(|device| m.age(*device));
    let port_of = |device: &ObjectId| m.str_property(*device, "port");
    let own = (1..=controller_ports(m, bus)).map(|port| port.to_string());
    let hubs = devices
        .iter()
        .filter(|device| m.class_name(**device) == HUB);
    let behind_hub = |hub: &ObjectId| {
        let (hub, count) = (port_of(hub), m.int_property(*hub, "ports"));
        (1..=count).map(move |port| format!("{hub}.{port}"))
    };
    let used: Vec<String> = devices.iter().map(port_of).collect();
    let all = own.chain(hubs.flat_map(behind_hub));
    all.filter(|port| !used.contains(port)).collect()
}

/// How many ports the controller of a bus has.
fn controller_ports(m: &Machine, bus: ObjectId) -> i64 {
    let Some(controller) = m.parent(bus) else {
        return 0;
    };
    let is_a = |name| m.object(controller).is_some_and(|o| o.class().is_a(name));
    if is_a("pci-xhci") {
        let number = |name| m.int_property(controller, name);
        number("p2").max(number("p3"))
    } else if is_a("pci-ehci-usb") {
        6
    } else if is_a("pci-ohci") {
        m.int_property(controller, "num-ports")
    } else {
        2
    }
}

/// Makes a hub on the last port of a bus. A controller of fast devices alone takes none.
fn add_hub(m: &mut Machine, bus: ObjectId) -> Result<(), Error> {
    let controller = m.parent(bus).and_then(|id| m.object(id));
    if controller.is_some_and(|o| o.class().is_a("pci-ehci-usb")) {
        return Ok(());
    }
    let class = m.device_type(HUB).unwrap_or(&DEVICE);
    let Some(device) = class.class::<DeviceClass>() else {
        return Ok(());
    };
    let hub = m.object_new(class);
    m.add_unattached(hub);
    m.device_realize(hub, device, bus, false)
}
