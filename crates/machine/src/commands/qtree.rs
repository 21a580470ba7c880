//! `info qtree`: buses and the devices on them, with their properties.

use super::hmp::Cx;
use crate::model::qdev::address_text;
use crate::model::qom::ObjectId;
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

    /// The devices on the main bus, the latest first. Those that users plug come without its
    /// name.
    fn system_devices(&self) -> Vec<ObjectId> {
        let m = self.m;
        let mut found = Vec::new();
        let mut todo = vec![m.machine_object];
        while let Some(id) = todo.pop() {
            let class = m.object(id).map(|o| o.class());
            let on_system = class.is_some_and(|c| c.is_a("sys-bus-device"));
            let bus = m.link(id, "parent_bus");
            if on_system && bus.is_none_or(|bus| m.class_name(bus) == "System") {
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
            self.details(inner, id);
        }
        let buses: Vec<_> = m
            .children(id)
            .filter(|(_, child)| m.is_bus(*child))
            .collect();
        let backend = m.child(id, "virtio-backend");
        let behind = backend.into_iter().flat_map(|id| m.children(id));
        let behind: Vec<_> = behind.filter(|(_, child)| m.is_bus(*child)).collect();
        // The latest bus comes first. Those of a virtio device are below its part behind PCI.
        for (name, bus) in buses.into_iter().rev() {
            let class = m.class_name(bus);
            if class == "virtio-pci-bus" || !behind.iter().any(|(_, other)| *other == bus) {
                self.bus(inner, name, bus);
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

    /// The lines of a device as QEMU shows them, with the values that were set.
    fn details(&mut self, indent: usize, id: ObjectId) {
        let m = self.m;
        for line in m.page_lines(id) {
            let line = match line.split_once(" = ") {
                Some((name, default)) => match m.page_value(id, name) {
                    Some(value) => format!("{name} = {}", value_text(default, &value)),
                    None => line.to_owned(),
                },
                None => self.address_line(id, line),
            };
            self.line(indent, &line);
        }
    }

    /// A line that tells where the device is.
    fn address_line(&self, id: ObjectId, line: &str) -> String {
        let m = self.m;
        if let Some((class, rest)) = line.split_once(", addr 00:") {
            let rest = rest.split_once(',').map_or("", |(_, rest)| rest);
            let address = address_text(m.int_property(id, "addr"));
            return format!("{class}, addr 00:{address},{rest}");
        }
        if let Some((_, rest)) = line.split_once(", speed ") {
            let port = m.str_property(id, "port");
            let (speed, rest) = (m.usb_speed(id), rest.split_once(',').map_or("", |(_, r)| r));
            return format!("addr 0.0, port {port}, speed {speed},{rest}");
        }
        if let Some((_, rest)) = line.split_once(", guest ") {
            let port = m.int_property(id, "nr");
            return format!("port {port}, guest {rest}");
        }
        if line.starts_with("mmio ") {
            return m.address_line(id).unwrap_or(line).to_owned();
        }
        line.to_owned()
    }
}

fn latest_first(m: &Machine, mut devices: Vec<ObjectId>) -> Vec<ObjectId> {
    devices.sort_unstable_by_key(|id| std::cmp::Reverse(m.age(*id)));
    devices
}

/// A value as the page shows it, in the form that another one has.
fn value_text(like: &str, value: &QObject) -> String {
    match value {
        QObject::Num(QNum::I64(address)) if !like.contains(['(', '"']) => address_text(*address),
        QObject::Num(QNum::I64(number)) if like.ends_with("B)") => {
            format!("{number} ({})", size_text(*number as u64))
        }
        QObject::Num(QNum::I64(number)) => format!("{number} ({number:#x})"),
        QObject::Num(QNum::U64(number)) => format!("{number} ({number:#x})"),
        QObject::String(text) if like.starts_with('"') => format!("\"{text}\""),
        QObject::String(text) => text.clone(),
        QObject::Bool(on) => on.to_string(),
        _ => String::new(),
    }
}

/// A size with three digits and a unit (`size_to_str`).
fn size_text(size: u64) -> String {
    const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {}B", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_form_of_the_recorded_ones() {
        let number = |n: i64| QObject::from(n);
        for (like, value, text) in [
            ("512 (512 B)", number(4096), "4096 (4 KiB)"),
            ("4 (4 B)", number(3_221_225_472), "3221225472 (3 GiB)"),
            ("1 (0x1)", number(-1), "-1 (0xffffffffffffffff)"),
            ("00.0", number(11), "01.3"),
            ("\"\"", "x".into(), "\"x\""),
            ("false", true.into(), "true"),
        ] {
            assert_eq!(value_text(like, &value), text);
        }
        assert_eq!(size_text(1_600_000), "1.53 MiB");
        assert_eq!(size_text(1023), "1 KiB");
    }
}
