//! Types of devices that only the tables know, and the properties that declared types leave
//! out.
//!
//! The tables tell names, parents, buses and properties. Which buses a device provides, and
//! how it comes and goes, is told here by the names of types and of their ancestors.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex};

use super::bus::{CCID, FLOPPY, HDA, IDE, NVME, PCI, PCIE, SCSI, SD, USB, VIRTIO_SERIAL};
use super::required::required;
use super::{
    after_realize, floppy, ide, scsi, set_typed, usb, virtio_serial, DeviceClass, Realize,
};
use crate::model::block::set_drive;
use crate::model::dimm;
use crate::model::facts::{type_facts, PropertyFacts, TypeFacts};
use crate::model::qom::{set_link, Getter, ObjectId, ObjectType, Property, Setter};
use crate::model::virtio_mem;
use crate::model::Machine;
use qmonitor::qapi::Error;
use qmonitor::Profile;

/// The properties that a declared type leaves out, in the order of the table.
pub(super) fn more(class: &'static ObjectType) -> &'static [Property] {
    static MORE: LazyLock<Mutex<HashMap<&str, &[Property]>>> = LazyLock::new(Mutex::default);
    let mut more = MORE.lock().unwrap_or_else(|e| e.into_inner());
    more.entry(class.name)
        .or_insert_with(|| Box::leak(left_out(class)))
}

/// The same, for a caller that keeps them in a form of its own.
///
/// They are kept for good, so they come without the spare room of the list they were
/// collected in.
pub(crate) fn left_out(class: &'static ObjectType) -> Box<[Property]> {
    let declared = |name| class.declared_property(name).is_some();
    let mut all = properties_of(class.name, TypeFacts::all_properties);
    all.retain(|p| !declared(p.name));
    all.into_boxed_slice()
}

/// Makes a type that only the table knows, below one that exists.
pub(crate) fn object_type(facts: &'static TypeFacts, parent: &'static ObjectType) -> ObjectType {
    let properties = properties_of(facts.name, |facts| facts.own_properties().collect());
    let class = device_class_of(facts.name);
    ObjectType {
        is_abstract: facts.is_abstract(),
        properties: Box::leak(properties.into_boxed_slice()),
        class: class.map(|class| class as _),
        ..ObjectType::new(facts.name, parent)
    }
}

/// The properties of a type in all QEMUs.
fn properties_of(name: &str, which: fn(&'static TypeFacts) -> Vec<PropertyFacts>) -> Vec<Property> {
    let facts = Profile::ALL.map(|profile| type_facts(profile, name));
    let [old, new] = facts.map(|facts| facts.map(which).unwrap_or_default());
    let names = |list: &[PropertyFacts]| list.iter().map(|p| p.name).collect::<HashSet<_>>();
    let (in_old, in_new) = (names(&old), names(&new));
    let is_gone = |p: &PropertyFacts| !new.is_empty() && !in_new.contains(p.name);
    let is_new = |p: &PropertyFacts| !old.is_empty() && !in_old.contains(p.name);
    let mut all = Vec::new();
    for p in &old {
        let mut property = property(*p);
        let later = new.iter().find(|q| q.name == p.name).map(|q| q.default);
        if let (Some(property), Some(later)) = (&mut property, later) {
            let differs = !later.is_empty() && later != p.default;
            if differs && matches!(property.get, Getter::Json(_)) {
                property.get = Getter::Versions([p.default, later]);
            }
        }
        all.extend(property.map(|q| if is_gone(p) { q.before(NEWER) } else { q }));
    }
    for p in new.iter().filter(|p| !in_old.contains(p.name)) {
        let property = property(*p);
        all.extend(property.map(|q| if is_new(p) { q.since(NEWER) } else { q }));
    }
    all
}

/// The QEMU whose tables are the later ones.
const NEWER: Profile = Profile::V11_1;

/// Properties with checks of their own.
const CHECKED: &[Property] = &[
    dimm::LABEL_SIZE,
    virtio_mem::BLOCK_SIZE,
    virtio_mem::REQUESTED_SIZE,
];

/// The property of a device, if it is no part of it and not made for old scripts.
fn property(facts: PropertyFacts) -> Option<Property> {
    let PropertyFacts {
        name,
        type_name,
        default,
        ..
    } = facts;
    if type_name.starts_with("child<") || name.starts_with("legacy-") {
        return None;
    }
    let checked = CHECKED
        .iter()
        .find(|p| (p.name, p.type_name) == (name, type_name));
    if let Some(checked) = checked {
        return Some(*checked);
    }
    let (get, set): (Getter, Option<Setter>) = match (name, type_name) {
        ("size", _) if default.is_empty() => (Getter::Int(0), None),
        (_, "link<irq>") => (Getter::Link, None),
        (_, link) if link.starts_with("link<") => (Getter::Link, Some(set_link)),
        ("drive", _) => (Getter::Str(""), Some(set_drive)),
        _ if !default.is_empty() => (Getter::Json(default), Some(set_typed)),
        (_, "bool") => (Getter::Bool(false), Some(set_typed)),
        (_, "str" | "string") => (Getter::Str(""), Some(set_typed)),
        _ => (Getter::Int(0), Some(set_typed)),
    };
    let property = Property::new(name, type_name, get, set);
    Some(property.describe(facts.description).frozen(after_realize))
}

/// Types of devices, the type of the bus they provide, and how many.
const PROVIDED: &[(&str, &ObjectType, usize)] = &[
    ("pcie-port", &PCIE, 1),
    ("base-pci-bridge", &PCI, 1),
    ("pxb", &PCI, 1),
    ("pxb-pcie", &PCIE, 1),
    ("base-xhci", &USB, 1),
    ("pci-xhci", &USB, 1),
    ("pci-ehci-usb", &USB, 1),
    ("pci-uhci-usb", &USB, 1),
    ("pci-ohci", &USB, 1),
    ("lsi53c895a", &SCSI, 1),
    ("megasas-base", &SCSI, 1),
    ("mptsas1068", &SCSI, 1),
    ("pvscsi", &SCSI, 1),
    ("am53c974", &SCSI, 1),
    ("usb-storage-dev", &SCSI, 1),
    ("usb-uas", &SCSI, 1),
    ("virtio-scsi-pci-base", &SCSI, 1),
    ("virtio-serial-pci-base", &VIRTIO_SERIAL, 1),
    ("intel-hda-generic", &HDA, 1),
    ("sdhci-pci", &SD, 1),
    ("ich9-ahci", &IDE, 6),
    ("pci-ide", &IDE, 2),
    ("isa-ide", &IDE, 1),
    ("isa-fdc", &FLOPPY, 1),
    ("nvme", &NVME, 1),
    ("usb-ccid", &CCID, 1),
];

/// The buses that go to the guest's system one device at a time, at once.
const AT_ONCE: &[&str] = &["usb-bus", "SCSI", "virtio-serial-bus", "ccid-bus"];

/// What devices of a type need and provide, if users can plug them.
pub(super) fn device_class_of(name: &str) -> Option<&'static DeviceClass> {
    static MADE: LazyLock<Mutex<HashMap<&str, &DeviceClass>>> = LazyLock::new(Mutex::default);
    let facts = Profile::ALL
        .into_iter()
        .find_map(|profile| type_facts(profile, name));
    let facts = facts.filter(|facts| facts.is_pluggable())?;
    let made = || MADE.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(class) = made().get(name) {
        return Some(class);
    }
    let class = Box::leak(Box::new(device_class(facts)));
    made().insert(facts.name, class);
    Some(class)
}

/// The rules of a type.
fn realize_by_type(name: &str) -> Option<Realize> {
    match name {
        "virtio-mem-pci" => Some(virtio_mem::realize_mem),
        "pxb-pcie" => Some(refuse_plain_pci),
        "virtio-pmem-pci" => Some(virtio_mem::realize_pmem),
        _ => None,
    }
}

/// A root of PCI Express needs a bus of that kind.
fn refuse_plain_pci(m: &mut Machine, _: ObjectId, bus: ObjectId) -> Result<(), Error> {
    let is_express = m.object(bus).is_some_and(|o| o.class().is_a("PCIE"));
    if is_express {
        return Ok(());
    }
    Err(Error::new("pxb-pcie devices cannot reside on a PCI bus"))
}

/// The rules of a bus for all devices on it.
fn realize_by_bus(bus: &str) -> Option<Realize> {
    match bus {
        "usb-bus" => Some(usb::choose_port),
        "IDE" => Some(ide::choose_unit),
        "floppy-bus" => Some(floppy::choose_unit),
        "SCSI" => Some(scsi::choose_place),
        "virtio-serial-bus" => Some(virtio_serial::choose_port),
        _ => None,
    }
}

fn device_class(facts: &'static TypeFacts) -> DeviceClass {
    let provided = PROVIDED.iter().find(|(name, ..)| facts.is_a(name));
    let buses = provided.map_or_else(Vec::new, |(_, bus, count)| vec![*bus; *count]);
    let backend = facts
        .all_properties()
        .into_iter()
        .find(|p| p.name == "virtio-backend");
    let backend = backend.and_then(|p| p.type_name.strip_prefix("child<")?.strip_suffix('>'));
    DeviceClass {
        backend: backend.map(|class| ("virtio-backend", class)),
        provides: buses.leak(),
        goes_at_once: AT_ONCE.contains(&facts.bus),
        hotpluggable: !facts.is_fixed(),
        realize: realize_by_type(facts.name).or_else(|| realize_by_bus(facts.bus)),
        required: required(facts.name),
        ..DeviceClass::on(facts.bus)
    }
}
