//! `info qtree`: buses and the devices on them, with their properties.

use super::hmp::Cx;
use crate::model::qdev::{
    address_text, class_name, pci_facts, DeviceClass, RegionKind, DEVICE, SUBSYSTEM_VENDOR,
};
use crate::model::qom::{ObjectId, Property};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::Flag;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::{QNum, QObject};

/// The sub-command of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new(
        "qtree",
        "[-b]",
        "show device tree (-b: brief, omit properties)",
    )
    .args(&[HmpArg::new("brief", Flag('b'))]),
    hmp_info_qtree,
)];

fn hmp_info_qtree(hmp: Cx, args: &HmpArgs) {
    let mut page = Page {
        m: &hmp.rt.state,
        details: !args.flag("brief"),
        text: String::new(),
    };
    page.line(0, "bus: main-system-bus");
    page.line(2, "type System");
    for device in page.system_devices() {
        page.device(2, device);
    }
    let text = page.text;
    hmp.print(text);
}

struct Page<'a> {
    m: &'a Machine,
    details: bool,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, indent: usize, line: &str) {
        self.text += &format!("{:indent$}{line}\n", "");
    }

    /// The devices that sit on no other bus, the latest first. Processors have a bus of
    /// their own, which this page leaves out.
    fn system_devices(&self) -> Vec<ObjectId> {
        let m = self.m;
        let mut found = Vec::new();
        let mut todo = vec![m.machine_object];
        while let Some(id) = todo.pop() {
            let class = m.object(id).map(|o| o.class());
            let on_system = class
                .is_some_and(|c| c.is_a(DEVICE.name) && !c.is_a("cpu") && !c.is_a("virtio-device"));
            let bus = m.link(id, "parent_bus");
            let plugged = class.and_then(|c| c.class::<DeviceClass>());
            let nowhere = plugged.is_some_and(|device| device.bus.is_empty());
            if on_system && !nowhere && bus.is_none_or(|bus| m.class_name(bus) == "System") {
                found.push(id);
            }
            todo.extend(m.children(id).map(|(_, child)| child));
        }
        latest_first(m, found)
    }

    fn device(&mut self, indent: usize, id: ObjectId) {
        let m = self.m;
        let name = m.device_id(id).unwrap_or_default();
        let class = m.class_name(id);
        self.line(indent, &format!("dev: {class}, id \"{name}\""));
        let inner = indent + 2;
        if self.details {
            self.properties(inner, id);
        }
        for (name, child) in m.children(id) {
            let class = m.object(child).map(|o| o.class());
            if class.is_some_and(|c| c.is_a("bus")) {
                self.bus(inner, name, child);
            } else if class.is_some_and(|c| c.is_a("virtio-device")) {
                self.line(inner, "bus: virtio-bus");
                self.line(inner + 2, "type virtio-pci-bus");
                self.device(inner + 2, child);
            }
        }
    }

    fn bus(&mut self, indent: usize, name: &str, bus: ObjectId) {
        let m = self.m;
        self.line(indent, &format!("bus: {name}"));
        self.line(indent + 2, &format!("type {}", m.class_name(bus)));
        for device in latest_first(m, m.devices_on(bus)) {
            self.device(indent + 2, device);
        }
    }

    /// The properties that users set, those of the type itself first.
    fn properties(&mut self, indent: usize, id: ObjectId) {
        let m = self.m;
        let Some(class) = m.object(id).map(|o| o.class()) else {
            return;
        };
        for class in class.ancestry() {
            for property in class.properties.iter().filter(|p| p.set.is_some()) {
                if let Some(value) = m.property(id, property.name) {
                    let value = value_text(property, &value);
                    self.line(indent, &format!("{} = {value}", property.name));
                }
            }
        }
        self.on_pci(indent, id);
    }

    fn on_pci(&mut self, indent: usize, id: ObjectId) {
        let Some(facts) = pci_facts(self.m.class_name(id)) else {
            return;
        };
        let class = class_name(facts.class)
            .map_or_else(|| format!("Class {:04x}", facts.class), str::to_owned);
        let address = address_text(self.m.int_property(id, "addr"));
        self.line(
            indent,
            &format!(
                "class {class}, addr 00:{address}, pci id {:04x}:{:04x} (sub {SUBSYSTEM_VENDOR:04x}:{:04x})",
                facts.vendor, facts.device, facts.subsystem
            ),
        );
        for region in facts.regions {
            let kind = if region.kind == RegionKind::Io {
                "i/o"
            } else {
                "mem"
            };
            let (bar, last) = (region.bar, region.size - 2);
            let line = format!("bar {bar}: {kind} at 0xffffffffffffffff [{last:#x}]");
            self.line(indent, &line);
        }
    }
}

fn latest_first(m: &Machine, mut devices: Vec<ObjectId>) -> Vec<ObjectId> {
    devices.sort_unstable_by_key(|id| std::cmp::Reverse(m.age(*id)));
    devices
}

/// A value as the page shows it; numbers have a second form.
fn value_text(property: &Property, value: &QObject) -> String {
    match value {
        QObject::Num(QNum::I64(address)) if property.name == "addr" => address_text(*address),
        QObject::String(text) => format!("\"{text}\""),
        QObject::Bool(on) => on.to_string(),
        QObject::Num(QNum::I64(number)) => format!("{number} ({number:#x})"),
        QObject::Num(QNum::U64(number)) => format!("{number} ({number:#x})"),
        _ => String::new(),
    }
}
