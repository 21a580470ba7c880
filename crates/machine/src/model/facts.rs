//! Facts about all types of QEMU: tables that `tests/record/tables.py` records.
//!
//! They are read when the first question is asked. Types that do something in this machine
//! are declared in code; what is known of the others, and what the declared ones leave out,
//! comes from here.

use std::sync::OnceLock;

use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::QObject;

static TYPES: &str = include_str!("../facts/types.txt");
static PROPERTIES: &str = include_str!("../facts/properties.txt");

/// What is known of a type.
#[derive(Debug)]
pub struct TypeFacts {
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
    fn read(line: &'static str) -> Self {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        TypeFacts {
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
        std::iter::successors(Some(self), |t| type_facts(t.parent?))
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
            Some(other) => type_facts(other).map_or("", |t| t.properties),
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
    static LINES: OnceLock<Vec<&'static str>> = OnceLock::new();
    let lines = LINES.get_or_init(|| PROPERTIES.lines().collect());
    let mut fields = lines.get(number)?.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    Some(PropertyFacts {
        name: next(),
        type_name: next(),
        default: next(),
        description: next(),
    })
}

/// All types, by name.
pub fn all_type_facts() -> &'static [TypeFacts] {
    static ALL: OnceLock<Vec<TypeFacts>> = OnceLock::new();
    ALL.get_or_init(|| TYPES.lines().map(TypeFacts::read).collect())
}

/// What is known of the type of that name.
pub fn type_facts(name: &str) -> Option<&'static TypeFacts> {
    let all = all_type_facts();
    let at = all.binary_search_by(|t| t.name.cmp(name)).ok()?;
    all.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_know_their_ancestors_interfaces_and_properties() {
        let disk = type_facts("virtio-blk-pci").unwrap();
        assert!(disk.is_a("pci-device") && disk.is_a("conventional-pci-device"));
        assert!(!disk.is_abstract() && disk.is_pluggable());
        let all = disk.all_properties();
        let default = |name| {
            let found = all.iter().find(|p| p.name == name).unwrap();
            (found.type_name, found.default)
        };
        assert_eq!(default("num-queues"), ("uint16", "65535"));
        assert_eq!(default("romsize"), ("uint32", "4294967295"));
        assert!(type_facts("nmi").unwrap().is_interface());
        assert!(type_facts("nosuch").is_none());
    }
}
