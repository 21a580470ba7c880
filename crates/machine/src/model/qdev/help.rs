//! What `-device help`, `-device TYPE,help` and `info qdm` list.

use super::aliases::{alias_of, find_device_type};
use super::{DeviceClass, DEVICE};
use crate::model::qom::{Getter, ObjectType, Property};
use crate::model::types::all_types;
use qmonitor::qapi::{Error, ErrorClass};

/// The titles of the list, and the beginnings of the names that go below each. Others
/// are "Misc".
const CATEGORIES: &[(&str, &[&str])] = &[
    ("USB", &["piix3-usb-uhci"]),
    ("Storage", &["ide-", "scsi-", "virtio-blk", "virtio-scsi"]),
    (
        "Input",
        &[
            "isa-serial",
            "isa-parallel",
            "usb-",
            "virtconsole",
            "virtio-serial",
            "virtserial",
        ],
    ),
    ("Display", &["VGA"]),
    ("Misc", &[]),
    ("CPU", &[]),
];

fn category(class: &ObjectType) -> &'static str {
    if class.is_a("cpu") {
        return "CPU";
    }
    let begins = |names: &[&str]| names.iter().any(|name| class.name.starts_with(name));
    let found = CATEGORIES.iter().find(|(_, names)| begins(names));
    found.map_or("Misc", |(title, _)| title)
}

/// The types that users can add.
pub(crate) fn device_list() -> String {
    let mut types: Vec<&ObjectType> = all_types()
        .filter(|class| !class.is_abstract && class.is_a(DEVICE.name))
        .filter(|class| class.is_a("cpu") || class.class::<DeviceClass>().is_some())
        .collect();
    types.sort_by_key(|class| class.name.to_ascii_lowercase());
    let mut lists = Vec::new();
    for (title, _) in CATEGORIES {
        let lines = types.iter().filter(|class| category(class) == *title);
        let lines: String = lines.map(|class| line(class)).collect();
        lists.push(format!("{title} devices:\n{lines}"));
    }
    lists.join("\n")
}

fn line(class: &ObjectType) -> String {
    let mut line = format!("name \"{}\"", class.name);
    if let Some(device) = class.class::<DeviceClass>() {
        line += &format!(", bus {}", device.bus);
    }
    if let Some(alias) = alias_of(class.name) {
        line += &format!(", alias \"{alias}\"");
    }
    line + "\n"
}

/// The properties that a type of devices can be given.
///
/// # Errors
///
/// There is no such type, or there can be no device of just this type.
pub(crate) fn device_help(driver: &str) -> Result<String, Error> {
    let class = find_device_type(driver).filter(|class| class.is_a(DEVICE.name));
    let class = class.ok_or_else(|| {
        let desc = format!("Device '{driver}' not found");
        Error::with_class(ErrorClass::DeviceNotFound, desc)
    })?;
    if class.is_abstract {
        let desc = "Parameter 'typename' expects a non-abstract device type";
        return Err(Error::new(desc));
    }
    let mut properties = class.all_properties();
    properties.retain(|p| p.set.is_some());
    properties.sort_by_key(|p| p.name);
    let lines: String = properties.into_iter().map(property_line).collect();
    Ok(if lines.is_empty() {
        format!("There are no options for {}.\n", class.name)
    } else {
        format!("{} options:\n{lines}", class.name)
    })
}

fn property_line(property: &Property) -> String {
    let name = format!("  {}=<{}>", property.name, property.type_name);
    let default = match property.get {
        Getter::Bool(on) => if on { "on" } else { "off" }.to_owned(),
        Getter::Int(number) => number.to_string(),
        Getter::Str(word) if property.type_name == "OnOffAuto" => word.to_owned(),
        _ => String::new(),
    };
    let about = match property.type_name {
        "bool" => "on/off",
        "OnOffAuto" => "on/off/auto",
        _ => property.description,
    };
    match (about, default.as_str()) {
        ("", "") => format!("{name}\n"),
        (about, "") => format!("{name:<24} - {about}\n"),
        (about, default) => format!("{name:<24} - {about} (default: {default})\n"),
    }
}

/// The help that the options of `device_add` or `-device` ask for, if they do.
pub(crate) fn device_help_wanted(options: &str) -> Option<Result<String, Error>> {
    if options.starts_with('{') {
        return None;
    }
    let mut items = options.split(',');
    let first = items.next().unwrap_or_default();
    let driver = first.strip_prefix("driver=").unwrap_or(first);
    let is_help = |item: &str| matches!(item, "help" | "?");
    if is_help(driver) {
        return Some(Ok(device_list()));
    }
    items.any(is_help).then(|| device_help(driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_types_or_what_a_type_can_be_given() {
        let wanted =
            |options| device_help_wanted(options).map(|help| help.map_err(|e| e.to_string()));
        assert_eq!(wanted("virtio-rng-pci,id=help"), None);
        let list = wanted("help").unwrap().unwrap();
        for line in [
            "Storage devices:",
            "name \"virtio-blk-pci\", bus PCI, alias \"virtio-blk\"",
            "name \"qemu64-x86_64-cpu\"",
        ] {
            assert!(list.lines().any(|l| l == line), "{line}");
        }
        let help = wanted("virtio-rng,help,id=x").unwrap().unwrap();
        for line in [
            "virtio-rng-pci options:",
            "  ats=<bool>             - on/off (default: off)",
            "  disable-legacy=<OnOffAuto> - on/off/auto (default: auto)",
            "  failover_pair_id=<str>",
            "  max-bytes=<uint64>     -  (default: 9223372036854775807)",
            "  rng=<link<rng-backend>>",
        ] {
            assert!(help.lines().any(|l| l == line), "{line}");
        }
        let e = wanted("nosuch,help").unwrap().unwrap_err();
        assert_eq!(e, "Device 'nosuch' not found");
        let e = wanted("driver=device,?").unwrap().unwrap_err();
        assert_eq!(e, "Parameter 'typename' expects a non-abstract device type");
    }
}
