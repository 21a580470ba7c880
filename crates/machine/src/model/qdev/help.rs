//! What `-device help`, `-device TYPE,help` and `info qdm` list.

use super::aliases::type_of_alias;
use crate::model::facts::{all_type_facts, TypeFacts};
use crate::model::qom::PropertyListing;
use crate::model::types::device_list_properties;
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{Error, QObject};
use qmonitor::Profile;

/// The titles of the list, in order.
const TITLES: &[&str] = &[
    "Controller/Bridge/Hub",
    "USB",
    "Storage",
    "Network",
    "Input",
    "Display",
    "Sound",
    "Misc",
    "CPU",
    "Watchdog",
    "Uncategorized",
];

/// The types that users can add; with `all`, the others too.
pub(crate) fn device_list(profile: Profile, all: bool) -> String {
    let shown = |facts: &&TypeFacts| all || facts.is_pluggable();
    let mut types: Vec<_> = all_type_facts(profile).filter(shown).collect();
    types.sort_by_cached_key(|facts| facts.name.to_ascii_lowercase());
    let mut lists = Vec::new();
    for title in TITLES {
        let titled = types
            .iter()
            .filter(|facts| facts.titles().any(|t| t == *title));
        let lines: String = titled.map(|facts| line(facts)).collect();
        if !lines.is_empty() {
            lists.push(format!("{title} devices:\n{lines}"));
        }
    }
    lists.join("\n")
}

fn line(facts: &TypeFacts) -> String {
    let mut line = format!("name \"{}\"", facts.name);
    if !facts.bus.is_empty() {
        line += &format!(", bus {}", facts.bus);
    }
    if !facts.alias.is_empty() {
        line += &format!(", alias \"{}\"", facts.alias);
    }
    if !facts.description.is_empty() {
        line += &format!(", desc \"{}\"", facts.description);
    }
    if !facts.is_pluggable() {
        line += ", no-user";
    }
    line + "\n"
}

/// The properties that a type of devices can be given.
///
/// # Errors
///
/// There is no such type, or there can be no device of just this type.
pub(crate) fn device_help(profile: Profile, driver: &str) -> Result<String, Error> {
    let driver = type_of_alias(profile, driver);
    let properties = device_list_properties(profile, driver)?;
    let mut lines: Vec<_> = properties.iter().map(property_line).collect();
    lines.sort_unstable();
    Ok(if lines.is_empty() {
        format!("There are no options for {driver}.\n")
    } else {
        format!("{driver} options:\n{}", lines.concat())
    })
}

fn property_line(property: &PropertyListing) -> String {
    let mut line = format!("  {}=<{}>", property.name, property.type_name);
    if property.description.is_some() || property.default_value.is_some() {
        line = format!("{line:<24} - {}", property.description.unwrap_or_default());
    }
    if let Some(default) = &property.default_value {
        let text = match default {
            QObject::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
            QObject::String(text) => text.clone(),
            other => qobject_to_json(other, false),
        };
        line += &format!(" (default: {text})");
    }
    line + "\n"
}

/// The help that the options of `device_add` or `-device` ask for, if they do.
pub(crate) fn device_help_wanted(profile: Profile, options: &str) -> Option<Result<String, Error>> {
    if options.starts_with('{') {
        return None;
    }
    let mut items = options.split(',');
    let first = items.next().unwrap_or_default();
    let driver = first.strip_prefix("driver=").unwrap_or(first);
    let is_help = |item: &str| matches!(item, "help" | "?");
    if is_help(driver) {
        return Some(Ok(device_list(profile, false)));
    }
    items.any(is_help).then(|| device_help(profile, driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_types_or_what_a_type_can_be_given() {
        let wanted = |options| {
            let help = device_help_wanted(Profile::V10_0, options);
            help.map(|help| help.map_err(|e| e.to_string()))
        };
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
