//! `-smbios`: the fields of the tables that tell a guest about its machine. Nothing reads
//! them here, so they are only checked.

use std::str::FromStr;

use super::option_groups::SMBIOS_OPTS;
use crate::Uuid;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{parse_option_number, qapi_bool_parse, QemuOpts};

/// The largest type of a table, and the largest speed of a processor in MHz.
const TYPE_MAX: u64 = 127;
const SPEED_MAX: u64 = 65535;

/// The fields of SMBIOS tables, by type.
const SMBIOS_FIELDS: &[(u64, &[&str])] = &[
    (0, &["vendor", "version", "date", "release", "uefi", "vm"]),
    (
        1,
        &[
            "manufacturer",
            "product",
            "version",
            "serial",
            "uuid",
            "sku",
            "family",
        ],
    ),
    (
        2,
        &[
            "manufacturer",
            "product",
            "version",
            "serial",
            "asset",
            "location",
        ],
    ),
    (3, &["manufacturer", "version", "serial", "asset", "sku"]),
    (
        4,
        &[
            "sock_pfx",
            "manufacturer",
            "version",
            "serial",
            "asset",
            "part",
            "max-speed",
            "current-speed",
            "processor-family",
            "processor-id",
        ],
    ),
    (
        8,
        &[
            "internal_reference",
            "external_reference",
            "connector_type",
            "port_type",
        ],
    ),
    (
        9,
        &[
            "slot_designation",
            "slot_type",
            "slot_data_bus_width",
            "current_usage",
            "slot_length",
            "slot_id",
            "slot_characteristics1",
            "slot_characteristics12",
            "pcidev",
        ],
    ),
    (11, &["value", "path"]),
    (
        17,
        &[
            "loc_pfx",
            "bank",
            "manufacturer",
            "serial",
            "asset",
            "part",
            "speed",
        ],
    ),
    (41, &["designation", "kind", "instance", "pcidev"]),
];

/// Fields that are numbers.
const NUMBERS: &[&str] = &[
    "max-speed",
    "current-speed",
    "processor-family",
    "processor-id",
    "connector_type",
    "port_type",
    "slot_type",
    "slot_data_bus_width",
    "current_usage",
    "slot_length",
    "slot_id",
    "slot_characteristics1",
    "slot_characteristics12",
    "speed",
    "instance",
];

/// Fields that are switches.
const SWITCHES: &[&str] = &["uefi", "vm"];

/// Checks the argument of `-smbios`.
///
/// # Errors
///
/// There is no such table or field, or a value is none.
pub(super) fn check(arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
    let opts = QemuOpts::parse(&SMBIOS_OPTS, arg, warnings)?;
    if let Some(path) = opts.get("file") {
        let readable = std::fs::metadata(path).is_ok_and(|m| m.len() >= 4);
        if !readable {
            return Err(Error::new(format!("Cannot read SMBIOS file {path}")));
        }
        return Ok(());
    }
    let Some(kind) = opts.get("type") else {
        return Err(Error::new("Must specify type= or file="));
    };
    let number = parse_option_number("type", kind)?;
    if number > TYPE_MAX {
        return Err(Error::new("out of range!"));
    }
    let Some((_, fields)) = SMBIOS_FIELDS.iter().find(|(known, _)| *known == number) else {
        let desc = format!("Don't know how to build fields for SMBIOS type {number}");
        return Err(Error::new(desc));
    };
    let mut names = opts.iter().map(|(name, _)| name);
    if let Some(name) = names.find(|name| *name != "type" && !fields.contains(name)) {
        return Err(Error::new(format!("Invalid parameter '{name}'")));
    }
    opts.iter()
        .try_for_each(|(name, value)| check_field(name, value))
}

fn check_field(name: &str, value: &str) -> Result<(), Error> {
    if SWITCHES.contains(&name) {
        qapi_bool_parse(name, value)?;
    }
    if NUMBERS.contains(&name) {
        let number = parse_option_number(name, value)?;
        if name.ends_with("-speed") && number > SPEED_MAX {
            let desc = format!("SMBIOS CPU speed is too large (> {SPEED_MAX})");
            return Err(Error::new(desc));
        }
    }
    match name {
        "uuid" if Uuid::from_str(value).is_err() => Err(Error::new("Invalid UUID")),
        "release" if !is_release(value) => Err(Error::new("Invalid release")),
        "path" => check_oem_string(value),
        _ => Ok(()),
    }
}

/// Two numbers with a dot between them; what follows them is not read.
fn is_release(text: &str) -> bool {
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    starts_with_digit(text) && rest.strip_prefix('.').is_some_and(starts_with_digit)
}

/// A string of the maker, from a file.
fn check_oem_string(path: &str) -> Result<(), Error> {
    let could_not = |e| Error::from_io(format!("Could not open '{path}'"), &e);
    let text = std::fs::read(path).map_err(could_not)?;
    if text.contains(&0) {
        let desc = format!("NUL in OEM strings value in {path}");
        return Err(Error::new(desc));
    }
    Ok(())
}
