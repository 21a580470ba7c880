//! The properties of the machines that are PCs, of all versions.
//!
//! They can be set and read, and have no other effect: nothing in the machine
//! would notice whether it has a high precision timer.

use super::system::{flag, text, MACHINE};
use crate::model::qom::{set_size, set_str, set_value, Getter, ObjectType, Property, Setter};
use crate::schema::OnOffAuto;

pub(crate) static TYPES: &[&ObjectType] = &[&X86_MACHINE, &GENERIC_PC_MACHINE];

static X86_MACHINE: ObjectType = ObjectType::new_abstract(
    "x86-machine",
    &MACHINE,
    &[
        choice("smm", "system management mode"),
        choice("acpi", "ACPI"),
        choice("pit", "the timer of 1981"),
        choice("pic", "the interrupt controllers of 1981"),
        text("x-oem-id", "maker in ACPI tables, six bytes at most"),
        text("x-oem-table-id", "name of ACPI tables, eight bytes at most"),
    ],
);

/// The type that those of all PCs are derived from.
pub(crate) static GENERIC_PC_MACHINE: ObjectType = ObjectType::new_abstract(
    "generic-pc-machine",
    &X86_MACHINE,
    &[
        size("max-fw-size", 8 << 20, "most that firmware can have"),
        size("max-ram-below-4g", 3584 << 20, "most memory below 4 GiB"),
        flag("default-bus-bypass-iommu", Getter::Bool(false), ""),
        choice("vmport", "the port of VMware"),
        flag("sata", Getter::Bool(true), "whether there is a SATA bus"),
        flag("smbus", Getter::Bool(true), "whether there is an SMBus"),
        flag(
            "hpet",
            Getter::Bool(true),
            "whether there is a high precision timer",
        ),
        flag(
            "i8042",
            Getter::Bool(true),
            "whether there is a keyboard controller",
        ),
        flag("fd-bootchk", Getter::Bool(true), ""),
        flag(
            "hmat",
            Getter::Bool(false),
            "whether nodes tell how fast they are",
        ),
        flag(
            "nvdimm",
            Getter::Bool(false),
            "whether modules that keep their contents can be plugged in",
        ),
        flag("cxl", Getter::Bool(false), "whether there is CXL memory"),
        Property::new(
            "nvdimm-persistence",
            "string",
            Getter::Str(""),
            Some(set_str),
        ),
        Property::new("pcspk-audiodev", "str", Getter::Str(""), Some(set_str)),
        Property::new(
            "smbios-entry-point-type",
            "str",
            Getter::Str("auto"),
            Some(set_str),
        )
        .describe("which entry point SMBIOS has: 32, 64 or auto"),
    ],
);

const fn choice(name: &'static str, description: &'static str) -> Property {
    let set = Some(set_value::<OnOffAuto> as Setter);
    Property::new(name, "OnOffAuto", Getter::Str("auto"), set).describe(description)
}

const fn size(name: &'static str, default: i64, description: &'static str) -> Property {
    Property::new(name, "size", Getter::Int(default), Some(set_size)).describe(description)
}
