//! What a type of devices is, and the properties that users set.

use crate::model::qom::{Getter, ObjectId, ObjectType, Property, Set, OBJECT};
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};

/// The facts about a type of devices (QEMU's `DeviceClass` and those derived from it).
pub struct DeviceClass {
    /// The type of the bus it goes on.
    pub bus: &'static str,
    /// The name and the type of a child behind the interface, which carries the buses.
    pub backend: Option<(&'static str, &'static str)>,
    /// The types of the buses it provides.
    pub provides: &'static [&'static ObjectType],
    /// Required properties, and the error if one is missing.
    pub required: &'static [(&'static str, &'static str)],
    /// Whether it goes as soon as it is unplugged. Others wait for the guest's consent,
    /// and there is no guest.
    pub goes_at_once: bool,
    /// Whether it can be added while the machine exists.
    pub hotpluggable: bool,
    /// Checks the properties together, and chooses those that were left open.
    pub realize: Option<Realize>,
}

/// Completes a device that is to sit on a bus.
pub type Realize = fn(&mut Machine, ObjectId, ObjectId) -> Result<(), Error>;

impl DeviceClass {
    /// Devices that sit on such a bus and provide nothing.
    pub const fn on(bus: &'static str) -> Self {
        DeviceClass {
            bus,
            backend: None,
            provides: &[],
            required: &[],
            goes_at_once: false,
            hotpluggable: true,
            realize: None,
        }
    }
}

pub(crate) static TYPES: &[&ObjectType] = &[&DEVICE];

/// The type that all types of devices are derived from.
pub(crate) static DEVICE: ObjectType = ObjectType::new_abstract(
    "device",
    &OBJECT,
    &[
        Property::new("parent_bus", "link<bus>", Getter::Link, None),
        Property::new("realized", "bool", Getter::Bool(false), None),
        Property::new("hotplugged", "bool", Getter::Bool(false), None),
        Property::new("hotpluggable", "bool", Getter::Bool(true), None),
    ],
);

/// A property that users set before the device is realized, and its default.
pub(crate) const fn property(
    name: &'static str,
    type_name: &'static str,
    default: Getter,
) -> Property {
    Property::new(name, type_name, default, Some(set_typed)).frozen(after_realize)
}

/// The types whose values are words.
const WORDS: &[(&str, &[&str])] = &[
    ("OnOffAuto", &["auto", "on", "off"]),
    (
        "BlockdevOnError",
        &["report", "ignore", "enospc", "stop", "auto"],
    ),
    ("LostTickPolicy", &["discard", "delay", "slew"]),
    ("FloppyDriveType", &["144", "288", "120", "none", "auto"]),
    ("PCIELinkSpeed", &["2_5", "5", "8", "16", "32", "64"]),
    ("PCIELinkWidth", &["1", "2", "4", "8", "12", "16", "32"]),
    (
        "BiosAtaTranslation",
        &["auto", "none", "lba", "large", "rechs"],
    ),
];

/// Puts a value of the property's own type into the cell (`qdev_prop_set`).
pub(super) fn set_typed(set: Set<'_>) -> Result<(), Error> {
    let input = set.input;
    let words = WORDS.iter().find(|(t, _)| *t == set.property.type_name);
    if let Some((_, words)) = words {
        let word = input.string()?;
        if !words.contains(&word.as_str()) {
            let name = set.property.name;
            let desc = format!("Parameter '{name}' does not accept value '{word}'");
            return Err(Error::new(desc));
        }
        return set.store(word);
    }
    let name = set.property.name;
    if matches!(name, "mac" | "macaddr") {
        return set_mac(set);
    }
    let expects = |what| Error::new(format!("Parameter '{name}' expects {what}"));
    let value: QObject = match set.property.type_name {
        "bool" => input.boolean()?.into(),
        "int" => input.int()?.into(),
        "int32" => i64::from(i32::try_from(input.int()?).map_err(|_| expects("int32_t"))?).into(),
        "uint8" => i64::from(u8::try_from(input.uint64()?).map_err(|_| expects("uint8_t"))?).into(),
        "uint16" => {
            i64::from(u16::try_from(input.uint64()?).map_err(|_| expects("uint16_t"))?).into()
        }
        "uint32" => input.uint32()?.into(),
        "uint64" => input.uint64()?.into(),
        "size" => input.size()?.into(),
        _ => input.string()?.into(),
    };
    set.store(value)
}

/// Six bytes in hexadecimal, with the same sign between all.
fn set_mac(set: Set<'_>) -> Result<(), Error> {
    let text = set.input.string()?;
    let is_byte = |byte: &str| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok();
    let parts = |sign| text.split(sign).filter(|byte| is_byte(byte)).count();
    if text.len() != 17 || parts(':') != 6 && parts('-') != 6 {
        let (class, name) = (set.class_name(), set.property.name);
        let desc = format!("Property '{class}.{name}' doesn't take value '{text}'");
        return Err(Error::new(desc));
    }
    set.store(text)
}

pub(crate) fn after_realize(m: &Machine, id: ObjectId, property: &Property) -> Error {
    let (name, class) = (property.name, m.class_name(id));
    let device = match m.device_id(id) {
        Some(id) => format!("device '{id}'"),
        None => "anonymous device".to_owned(),
    };
    Error::new(format!(
        "Attempt to set property '{name}' on {device} (type '{class}') after it was realized"
    ))
}
