//! Machine types: the boards there are, and their parts.
//!
//! A board is a [`MachineClass`]: a type of objects, whose properties `-machine`
//! sets, and the facts in `query-machines`. There is the empty machine `none`, and
//! two families of PCs, each in all versions, and a few others; what is known of them is a
//! table that `tests/record/tables.py` records.

mod build;
mod class;
mod properties;
mod smp;

use std::sync::OnceLock;

use crate::model::backends::{GENERIC_PC_MACHINE, MACHINE};
use crate::model::qom::ObjectType;
use qmonitor::Profile;

pub use build::CpuSlot;
pub use class::{CompatProperty, Family, MachineClass};
pub use smp::{Place, Topology};

/// A line for each machine type, and below it what its version changes.
fn table(profile: Profile) -> &'static str {
    if profile.has_newer_types() {
        include_str!("../../facts/11.1/machines.txt")
    } else {
        include_str!("../../facts/machines.txt")
    }
}

/// The empty machine. It is declared here so that the table need not be read for it.
pub static NONE: MachineClass = MachineClass {
    profile: Profile::V10_0,
    name: "none",
    alias: "",
    description: "empty machine",
    family: Family::Empty,
    cpu_max: 1,
    flags: "",
    default_cpu_type: "",
    default_ram_id: "ram",
    newer: "",
    changes: "",
    object: ObjectType::new("none-machine", &MACHINE),
};

/// Reads a line of the table, and the lines below it.
fn read(profile: Profile, block: &'static str) -> MachineClass {
    let (line, changes) = block.split_once('\n').unwrap_or((block, ""));
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let name = next();
    let family = match name {
        "isapc" => Family::Isa,
        "microvm" => Family::Microvm,
        _ if name.starts_with("pc-i440fx-") => Family::I440fx,
        _ if name.starts_with("pc-q35-") => Family::Q35,
        _ => Family::Empty,
    };
    let parent = match family {
        Family::Empty => &MACHINE,
        _ => &GENERIC_PC_MACHINE,
    };
    MachineClass {
        profile,
        name,
        alias: next(),
        cpu_max: next().parse().unwrap_or_default(),
        flags: next(),
        default_cpu_type: next(),
        default_ram_id: next(),
        description: next(),
        newer: next(),
        family,
        changes,
        object: ObjectType {
            more: Some(properties::more),
            ..ObjectType::new(format!("{name}-machine").leak(), parent)
        },
    }
}

/// The table in blocks: a line that begins without a tab begins a block.
fn blocks(table: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = table;
    std::iter::from_fn(move || {
        let ends = |at: &usize| !rest[at + 1..].starts_with('\t');
        let end = rest.match_indices('\n').map(|(at, _)| at).find(ends)?;
        let (block, after) = rest.split_at(end);
        rest = after.strip_prefix('\n').unwrap_or(after);
        Some(block)
    })
}

/// All machine types but the empty one, in the order of their list.
fn recorded(profile: Profile) -> &'static [MachineClass] {
    static CLASSES: [OnceLock<Vec<MachineClass>>; Profile::ALL.len()] =
        [const { OnceLock::new() }; Profile::ALL.len()];
    CLASSES[profile as usize].get_or_init(|| {
        let all = blocks(table(profile)).map(|block| read(profile, block));
        all.filter(|c| c.name != NONE.name).collect()
    })
}

/// All machine types.
pub fn all_classes(profile: Profile) -> impl Iterator<Item = &'static MachineClass> {
    let recorded = recorded(profile);
    let (others, last) = recorded.split_at(recorded.len().saturating_sub(1));
    // The empty machine is the last but one.
    others.iter().chain([&NONE]).chain(last)
}

/// The machine type of that name or alias.
pub fn find_class(profile: Profile, name: &str) -> Option<&'static MachineClass> {
    if name == NONE.name {
        return Some(&NONE);
    }
    let is_named = |c: &&MachineClass| c.name == name || c.alias == name && !name.is_empty();
    recorded(profile).iter().find(is_named)
}

/// The machine type of a program of this name if its user chooses none: under a name of
/// QEMU's programs it is QEMU's, so that scripts for QEMU find the machine they expect.
pub fn default_class(profile: Profile, program: &str) -> &'static MachineClass {
    let name = program.rsplit('/').next().unwrap_or(program);
    let of_qemu = || recorded(profile).iter().find(|c| c.is_default_of_qemu());
    let is_qemu = name.starts_with("qemu-system-");
    is_qemu.then(of_qemu).flatten().unwrap_or(&NONE)
}

impl MachineClass {
    /// Whether the highest leaves of `CPUID` follow from all features.
    pub(crate) fn raises_cpu_levels(&self) -> bool {
        let is_switch = |p: &CompatProperty| p.property == "full-cpuid-auto-level";
        self.newer.is_empty() || !self.compat_properties().iter().any(is_switch)
    }

    /// The values that differ from those of the newest version.
    pub fn compat_properties(&self) -> Vec<CompatProperty> {
        let mut words = self.newer.split(' ');
        let newer = words
            .next()
            .filter(|name| !name.is_empty())
            .and_then(|name| find_class(self.profile, name));
        let newer = newer.map_or_else(Vec::new, MachineClass::compat_properties);
        let mut number = || words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let (head, tail): (usize, usize) = (number(), number());
        let mut all: Vec<_> = newer.iter().take(head).copied().collect();
        all.extend(self.changes.lines().filter_map(compat_property));
        all.extend(&newer[newer.len().saturating_sub(tail)..]);
        all
    }
}

fn compat_property(line: &'static str) -> Option<CompatProperty> {
    let mut words = line.strip_prefix('\t')?.splitn(3, ' ');
    Some(CompatProperty {
        qom_type: words.next()?,
        property: words.next()?,
        value: words.next()?,
    })
}

/// The text of `-machine help` of a program of this name.
pub fn machine_help(profile: Profile, program: &str) -> String {
    let by_default = default_class(profile, program).name;
    let mut text = String::from("Supported machines are:\n");
    for class in all_classes(profile) {
        let (name, alias, description) = (class.name, class.alias, class.description);
        if !alias.is_empty() {
            text += &format!("{alias:<20} {description} (alias of {name})\n");
        }
        let note = if name == by_default {
            " (default)"
        } else if class.is_deprecated() {
            " (deprecated)"
        } else {
            ""
        };
        text += &format!("{name:<20} {description}{note}\n");
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
            assert_eq!(find_class(Profile::V10_0, name).unwrap().name, class);
        }
        let newer = find_class(Profile::V11_1, "pc").unwrap();
        assert_eq!(newer.name, "pc-i440fx-11.1");
        assert!(find_class(Profile::V10_0, "pc-i440fx").is_none());
        let mut names: Vec<_> = all_classes(Profile::V10_0).map(|c| c.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn versions_differ_in_what_qemu_says_of_them() {
        let facts = |name| {
            let c = find_class(Profile::V10_0, name).unwrap();
            (c.cpu_max, c.numa_mem_supported(), c.is_deprecated())
        };
        assert_eq!(facts("pc-i440fx-5.0"), (255, true, true));
        assert_eq!(facts("pc-i440fx-7.0"), (255, false, true));
        assert_eq!(facts("pc-q35-8.1"), (1024, false, false));
        assert_eq!(facts("none"), (1, false, false));
    }

    #[test]
    fn the_default_is_that_of_the_programs_name() {
        for (profile, program, class) in [
            (Profile::V10_0, "qmonitor", "none"),
            (Profile::V10_0, "/tmp/qemu-system-x86_64", "pc-i440fx-10.0"),
            (Profile::V11_1, "qemu-system-x86_64", "pc-i440fx-11.1"),
        ] {
            assert_eq!(default_class(profile, program).name, class, "{program}");
        }
        let help = machine_help(Profile::V10_0, "qemu-system-x86_64");
        let line = "pc-i440fx-10.0       Standard PC (i440FX + PIIX, 1996) (default)\n";
        assert!(help.contains(line), "{help}");
        assert!(
            help.contains("none                 empty machine\n"),
            "{help}"
        );
    }

    #[test]
    fn help_names_aliases_and_the_default() {
        let help = machine_help(Profile::V10_0, "qmonitor");
        for line in [
            "none                 empty machine (default)\n",
            "pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-10.0)\n",
            "pc-q35-2.5           Standard PC (Q35 + ICH9, 2009) (deprecated)\n",
        ] {
            assert!(help.contains(line), "{line}");
        }
    }
}
