//! Machine types: the boards there are, and their parts.
//!
//! A board is a [`MachineClass`]: a type of objects, whose properties `-machine`
//! sets, and the facts in `query-machines`. There is the empty machine `none`, and
//! two families of PCs, each in all versions, which differ only in numbers and
//! defaults here.

mod build;
mod class;
mod smp;

use crate::model::backends::{GENERIC_PC_MACHINE, MACHINE};
use crate::model::cpu::models::find_model;
use crate::model::qom::ObjectType;

pub use build::CpuSlot;
pub use class::{Family, MachineClass};
pub use smp::{Place, Topology};

impl MachineClass {
    /// The type of its processors if the user names no model.
    pub fn default_cpu_type(&self) -> Option<&'static str> {
        let model = self.default_cpu_model().and_then(find_model);
        model.map(|model| model.object.name)
    }
}

/// The empty machine.
pub static NONE: MachineClass = MachineClass {
    name: "none",
    alias: None,
    description: "empty machine",
    family: Family::Empty,
    cpu_max: 1,
    numa_mem_supported: false,
    deprecated: false,
    object: ObjectType::new("none-machine", &MACHINE),
};

/// A table of one family. Versions up to 7.0 are deprecated and versions up to
/// 5.0 can have nodes with plain amounts of memory.
macro_rules! pcs {
    ($family:ident, $prefix:literal, $title:literal, $alias:literal;
     $($version:literal $cpu_max:literal $age:ident),* $(,)?) => {
        [$(MachineClass {
            name: concat!($prefix, $version),
            alias: if matches!(Age::$age, Age::Newest) { Some($alias) } else { None },
            description: $title,
            family: Family::$family,
            cpu_max: $cpu_max,
            numa_mem_supported: matches!(Age::$age, Age::Numa),
            deprecated: matches!(Age::$age, Age::Numa | Age::Old),
            object: ObjectType::new(concat!($prefix, $version, "-machine"), &GENERIC_PC_MACHINE),
        }),*]
    };
}

enum Age {
    Newest,
    Recent,
    Old,
    Numa,
}

static I440FX: [MachineClass; 30] = pcs!(
    I440fx, "pc-i440fx-", "Standard PC (i440FX + PIIX, 1996)", "pc";
    "10.0" 255 Newest, "9.2" 255 Recent, "9.1" 255 Recent, "9.0" 255 Recent, "8.2" 255 Recent,
    "8.1" 255 Recent, "8.0" 255 Recent, "7.2" 255 Recent, "7.1" 255 Recent, "7.0" 255 Old,
    "6.2" 255 Old, "6.1" 255 Old, "6.0" 255 Old, "5.2" 255 Old, "5.1" 255 Old, "5.0" 255 Numa,
    "4.2" 255 Numa, "4.1" 255 Numa, "4.0" 255 Numa, "3.1" 255 Numa, "3.0" 255 Numa,
    "2.12" 255 Numa, "2.11" 255 Numa, "2.10" 255 Numa, "2.9" 255 Numa, "2.8" 255 Numa,
    "2.7" 255 Numa, "2.6" 255 Numa, "2.5" 255 Numa, "2.4" 255 Numa,
);

static Q35: [MachineClass; 31] = pcs!(
    Q35, "pc-q35-", "Standard PC (Q35 + ICH9, 2009)", "q35";
    "10.0" 4096 Newest, "9.2" 4096 Recent, "9.1" 4096 Recent, "9.0" 4096 Recent,
    "8.2" 1024 Recent, "8.1" 1024 Recent, "8.0" 288 Recent, "7.2" 288 Recent, "7.1" 288 Recent,
    "7.0" 288 Old, "6.2" 288 Old, "6.1" 288 Old, "6.0" 288 Old, "5.2" 288 Old, "5.1" 288 Old,
    "5.0" 288 Numa, "4.2" 288 Numa, "4.1" 288 Numa, "4.0.1" 288 Numa, "4.0" 288 Numa,
    "3.1" 288 Numa, "3.0" 288 Numa, "2.12" 288 Numa, "2.11" 288 Numa, "2.10" 288 Numa,
    "2.9" 288 Numa, "2.8" 288 Numa, "2.7" 255 Numa, "2.6" 255 Numa, "2.5" 255 Numa,
    "2.4" 255 Numa,
);

/// All machine types.
pub fn all_classes() -> impl Iterator<Item = &'static MachineClass> {
    std::iter::once(&NONE).chain(&I440FX).chain(&Q35)
}

/// The machine type of that name or alias.
pub fn find_class(name: &str) -> Option<&'static MachineClass> {
    all_classes().find(|c| c.name == name || c.alias == Some(name))
}

/// The text of `-machine help`.
pub fn machine_help() -> String {
    let mut text = String::from("Supported machines are:\n");
    for class in all_classes() {
        let description = class.description;
        if let Some(alias) = class.alias {
            let line = format!("{alias:<20} {description} (alias of {})\n", class.name);
            text.push_str(&line);
        }
        let note = match (class.name, class.deprecated) {
            ("none", _) => " (default)",
            (_, true) => " (deprecated)",
            (_, false) => "",
        };
        text.push_str(&format!("{:<20} {description}{note}\n", class.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_lead_to_one_class() {
        for (name, class) in [
            ("none", "none"),
            ("pc", "pc-i440fx-10.0"),
            ("q35", "pc-q35-10.0"),
            ("pc-q35-4.0.1", "pc-q35-4.0.1"),
        ] {
            assert_eq!(find_class(name).unwrap().name, class);
        }
        assert!(find_class("pc-i440fx").is_none());
        let mut names: Vec<_> = all_classes().map(|c| c.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn versions_differ_in_what_qemu_says_of_them() {
        let facts = |name| {
            let c = find_class(name).unwrap();
            (c.cpu_max, c.numa_mem_supported, c.deprecated)
        };
        assert_eq!(facts("pc-i440fx-5.0"), (255, true, true));
        assert_eq!(facts("pc-i440fx-7.0"), (255, false, true));
        assert_eq!(facts("pc-q35-8.1"), (1024, false, false));
        assert_eq!(facts("none"), (1, false, false));
    }

    #[test]
    fn help_names_aliases_and_the_default() {
        let help = machine_help();
        for line in [
            "none                 empty machine (default)\n",
            "pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-10.0)\n",
            "pc-q35-2.5           Standard PC (Q35 + ICH9, 2009) (deprecated)\n",
        ] {
            assert!(help.contains(line), "{line}");
        }
    }
}
