//! Facts about all types of QEMU: tables that `tests/record/tables.py` records.
//!
//! There is one set for each profile: QEMU 10.0's, and the differences of 11.1. They are
//! read when the first question is asked. Types that do something in this machine
//! are declared in code; what is known of the others, and what the declared ones leave out,
//! comes from here.

use std::collections::HashMap;
use std::sync::OnceLock;

use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::QObject;
use qmonitor::Profile;

/// The tables of a QEMU. Those of 11.1 have only what differs from 10.0.
struct Texts {
    types: &'static str,
    properties: &'static str,
    order: &'static str,
}

static OLD: Texts = Texts {
    types: include_str!("../facts/types.txt"),
    properties: include_str!("../facts/properties.txt"),
    order: include_str!("../facts/order.txt"),
};

static NEW: Texts = Texts {
    types: include_str!("../facts/11.1/types.txt"),
    properties: include_str!("../facts/11.1/properties.txt"),
    order: include_str!("../facts/11.1/order.txt"),
};

/// What is known of a QEMU's types.
struct Tables {
    /// By name.
    types: Vec<Row>,
}

/// A line about a type, which is taken apart when the first question about it is asked: a
/// start asks about few.
struct Row {
    profile: Profile,
    line: &'static str,
    facts: OnceLock<Box<TypeFacts>>,
}

impl Row {
    fn facts(&self) -> &TypeFacts {
        let read = || Box::new(TypeFacts::read(self.profile, self.line));
        self.facts.get_or_init(read)
    }
}

impl Tables {
    fn of(profile: Profile) -> &'static Tables {
        static ALL: [OnceLock<Tables>; Profile::ALL.len()] =
            [const { OnceLock::new() }; Profile::ALL.len()];
        ALL[profile as usize].get_or_init(|| {
            let types = if profile.has_newer_types() {
                merged(OLD.types.lines(), NEW.types)
            } else {
                OLD.types.lines().collect()
            };
            let row = |line| Row {
                profile,
                line,
                facts: OnceLock::new(),
            };
            Tables {
                types: types.into_iter().map(row).collect(),
            }
        })
    }
}

/// How often the name of a type was moved on in a QEMU's table of types.
fn steps_of(profile: Profile, name: &str) -> u32 {
    static ALL: [OnceLock<HashMap<&str, u32>>; Profile::ALL.len()] =
        [const { OnceLock::new() }; Profile::ALL.len()];
    let texts = if profile.has_newer_types() {
        &NEW
    } else {
        &OLD
    };
    let read = || texts.order.lines().flat_map(steps).collect();
    let all = ALL[profile as usize].get_or_init(read);
    all.get(name).copied().unwrap_or(0)
}

/// A number of steps, and the names that took so many.
fn steps(line: &'static str) -> impl Iterator<Item = (&'static str, u32)> {
    let mut words = line.split(' ');
    let number = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    words.map(move |name| (name, number))
}

/// The first field of a line.
fn first_field(line: &'static str) -> &'static str {
    line.split('\t').next().unwrap_or(line)
}

/// The lines of a table, whose first fields are sorted, with the changes of a later one.
pub(crate) fn merged(
    older: impl Iterator<Item = &'static str>,
    newer: &'static str,
) -> Vec<&'static str> {
    let mut gone: Vec<_> = newer.lines().filter_map(|l| l.strip_prefix('-')).collect();
    gone.sort_unstable();
    let mut new: Vec<_> = newer.lines().filter(|l| !l.starts_with('-')).collect();
    new.sort_unstable_by_key(|line| first_field(line));
    let mut new = new.into_iter().peekable();
    let mut all = Vec::new();
    for line in older {
        let name = first_field(line);
        while let Some(added) = new.next_if(|added| first_field(added) < name) {
            all.push(added);
        }
        if let Some(changed) = new.next_if(|changed| first_field(changed) == name) {
            all.push(changed);
        } else if gone.binary_search(&name).is_err() {
            all.push(line);
        }
    }
    all.extend(new);
    all
}

/// What is known of a type.
#[derive(Debug)]
pub struct TypeFacts {
    /// Whose it is.
    profile: Profile,
    /// Its name.
    pub name: &'static str,
    /// The type it is derived from.
    pub parent: Option<&'static str>,
    flags: &'static str,
    interfaces: &'static str,
    /// The type of the bus that devices of this type sit on; may be empty.
    pub bus: &'static str,
    /// Another name of a type of devices; may be empty.
    pub alias: &'static str,
    /// A word for people about a type of devices; may be empty.
    pub description: &'static str,
    /// The titles that a type of devices is listed under.
    titles: &'static str,
    properties: &'static str,
}

/// What is known of a property.
#[derive(Debug, Clone, Copy)]
pub struct PropertyFacts {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub type_name: &'static str,
    /// Its default as JSON; may be empty.
    pub default: &'static str,
    /// A word for people; may be empty.
    pub description: &'static str,
}

impl TypeFacts {
    fn read(profile: Profile, line: &'static str) -> Self {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        TypeFacts {
            profile,
            name: next(),
            parent: Some(next()).filter(|parent| !parent.is_empty()),
            flags: next(),
            interfaces: next(),
            bus: next(),
            alias: next(),
            description: next(),
            titles: next(),
            properties: next(),
        }
    }

    /// Whether there can be no object of just this type.
    pub fn is_abstract(&self) -> bool {
        self.flags.contains('a')
    }

    /// Whether users can plug devices of this type.
    pub fn is_pluggable(&self) -> bool {
        self.flags.contains('p')
    }

    /// Whether devices of this type can be plugged only before the machine runs.
    pub fn is_fixed(&self) -> bool {
        self.flags.contains('f')
    }

    /// Whether it is no type of objects, but a list of functions that types have.
    pub fn is_interface(&self) -> bool {
        self.ancestry().any(|t| t.name == "interface")
    }

    /// The titles of the lists that name it.
    pub fn titles(&self) -> impl Iterator<Item = &'static str> {
        self.titles.split('|').filter(|title| !title.is_empty())
    }

    /// The type itself, its parent, and so on.
    pub fn ancestry(&self) -> impl Iterator<Item = &TypeFacts> {
        std::iter::successors(Some(self), |t| type_facts(self.profile, t.parent?))
    }

    /// Whether it is the named type, derived from it, or has it as an interface.
    pub fn is_a(&self, name: &str) -> bool {
        let mut all = self.ancestry();
        // As QEMU casts, only a type with one interface is a plain `interface`.
        all.any(|t| t.name == name)
            || match name {
                "interface" => self.interfaces().count() == 1,
                name => self.interfaces().any(|i| i == name),
            }
    }

    fn interfaces(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.ancestry()
            .flat_map(|t| t.interfaces.split_ascii_whitespace())
    }

    /// The properties that the parent has not.
    pub fn own_properties(&self) -> impl Iterator<Item = PropertyFacts> {
        let words = match self.properties.strip_prefix('=') {
            Some(other) => type_facts(self.profile, other).map_or("", |t| t.properties),
            None => self.properties,
        };
        words
            .split(' ')
            .filter(|w| !w.is_empty())
            .flat_map(numbers)
            .filter_map(property)
    }

    /// All properties, those of the first ancestor first.
    pub fn all_properties(&self) -> Vec<PropertyFacts> {
        let mut ancestry: Vec<_> = self.ancestry().collect();
        let alone = ancestry.iter().position(|t| t.flags.contains('o'));
        ancestry.truncate(alone.map_or(usize::MAX, |at| at + 1));
        let all = ancestry.iter().rev();
        all.flat_map(|t| t.own_properties()).collect()
    }
}

impl PropertyFacts {
    /// The default, if it has one.
    pub fn default_value(&self) -> Option<QObject> {
        qobject_from_json(self.default.as_bytes()).ok()
    }
}

/// The numbers that `3` or `3-5` stands for.
fn numbers(word: &str) -> std::ops::RangeInclusive<usize> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let number = |digits: &str| digits.parse().unwrap_or_default();
    number(first)..=number(last)
}

fn property(number: usize) -> Option<PropertyFacts> {
    // The later table goes on where the earlier one ends, so one list serves all.
    static ALL: OnceLock<Box<[&str]>> = OnceLock::new();
    let read = || {
        OLD.properties
            .lines()
            .chain(NEW.properties.lines())
            .collect()
    };
    let mut fields = ALL.get_or_init(read).get(number)?.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    Some(PropertyFacts {
        name: next(),
        type_name: next(),
        default: next(),
        description: next(),
    })
}

/// All types, by name.
pub fn all_type_facts(profile: Profile) -> impl Iterator<Item = &'static TypeFacts> {
    Tables::of(profile).types.iter().map(Row::facts)
}

/// The place of a type in QEMU's table of types, a hash table; `qom-list-types` begins
/// with the last place.
pub fn place_of_type(profile: Profile, name: &str) -> u32 {
    let add = |hash: u32, byte: u8| hash.wrapping_mul(33).wrapping_add(byte.into());
    let hash = name.bytes().fold(5381, add);
    let steps = steps_of(profile, name);
    (hash.wrapping_mul(11) % 1021 + steps * (steps + 1) / 2) & 1023
}

/// What is known of the type of that name.
pub fn type_facts(profile: Profile, name: &str) -> Option<&'static TypeFacts> {
    let all = &Tables::of(profile).types;
    let at = all.binary_search_by(|row| first_field(row.line).cmp(name));
    all.get(at.ok()?).map(Row::facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_know_their_ancestors_interfaces_and_properties() {
        let disk = type_facts(Profile::V10_0, "virtio-blk-pci").unwrap();
        assert!(disk.is_a("pci-device") && disk.is_a("conventional-pci-device"));
        assert!(!disk.is_abstract() && disk.is_pluggable());
        let all = disk.all_properties();
        let default = |name| {
            let found = all.iter().find(|p| p.name == name).unwrap();
            (found.type_name, found.default)
        };
        assert_eq!(default("num-queues"), ("uint16", "65535"));
        assert_eq!(default("romsize"), ("uint32", "4294967295"));
        assert!(type_facts(Profile::V10_0, "nmi").unwrap().is_interface());
        assert!(type_facts(Profile::V10_0, "nosuch").is_none());
    }

    #[test]
    fn later_tables_change_earlier_ones() {
        let all = merged("a\t1\nb\t1\nd\t1\n".lines(), "-b\nc\t2\nd\t2\n");
        assert_eq!(all, ["a\t1", "c\t2", "d\t2"]);
        let has = |profile, name| type_facts(profile, name).is_some();
        assert!(!has(Profile::V10_0, "sp-mem") && has(Profile::V11_1, "sp-mem"));
        assert!(has(Profile::V10_0, "imx.usbphy") && !has(Profile::V11_1, "imx.usbphy"));
    }
}
