//! What schemas declare, as the compiler writes it down and as it is read.
//!
//! The compiler writes text, a line for each entity and for each of its parts. Tables of
//! structs would be thousands of pointers, and the loader puts each of them right at every
//! start, though few programs are ever asked for their schema. So the text is read when it
//! is needed first.
//!
//! ```text
//! enum RunState
//! value running
//! value colo +since-11-1
//! object StatusInfo
//! member running bool
//! member status RunState
//! command query-status q_empty StatusInfo
//! ```
//!
//! | line | behind the name |
//! |---|---|
//! | `enum` | |
//! | `value` | |
//! | `object` | |
//! | `member` | its type |
//! | `tag`, a union's discriminator | |
//! | `alternate` | |
//! | `case`, of a union or an alternate | its type |
//! | `command` | type of the arguments, type of what it returns |
//! | `event` | type of the data |
//!
//! Marks follow: `*` for a member that may be absent, `oob` for a command that can be executed
//! out of band, `+NAME` for each feature, and `?N` for a condition, the table's N-th. A
//! feature's condition stands right behind its name.

use std::sync::OnceLock;

/// The contribution of one schema.
#[derive(Debug)]
pub struct SchemaTable {
    text: &'static str,
    conditions: &'static [bool],
    entities: OnceLock<Vec<SchemaEntity>>,
}

/// A command, an event or a type.
#[derive(Debug)]
pub struct SchemaEntity {
    /// Its name in the schema.
    pub name: &'static str,
    /// Whether its condition holds.
    pub present: bool,
    /// Its features.
    pub features: Vec<SchemaFeature>,
    /// What it is.
    pub kind: SchemaKind,
}

/// The kinds of entities. Types are referred to by name, `int` for all
/// integers, `[NAME]` for arrays, `q_empty` for the empty object.
#[derive(Debug)]
pub enum SchemaKind {
    /// An enumeration.
    Enum(Vec<SchemaValue>),
    /// A struct or a union.
    Object {
        /// All members, those of base types first.
        members: Vec<SchemaMember>,
        /// A union's discriminator.
        tag: Option<&'static str>,
        /// A union's branches.
        variants: Vec<SchemaVariant>,
    },
    /// An alternate.
    Alternate(Vec<SchemaVariant>),
    /// A command.
    Command {
        /// Type of the arguments.
        arg: &'static str,
        /// Type of what it returns.
        ret: &'static str,
        /// Whether it can be executed out of band.
        allow_oob: bool,
    },
    /// An event.
    Event {
        /// Type of the data.
        arg: &'static str,
    },
}

/// A feature.
#[derive(Debug)]
pub struct SchemaFeature {
    /// Its name.
    pub name: &'static str,
    /// Whether its condition holds.
    pub present: bool,
}

/// A value of an enumeration.
#[derive(Debug)]
pub struct SchemaValue {
    /// Its name.
    pub name: &'static str,
    /// Whether its condition holds.
    pub present: bool,
    /// Its features.
    pub features: Vec<SchemaFeature>,
}

/// A member of an object.
#[derive(Debug)]
pub struct SchemaMember {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub typ: &'static str,
    /// Whether it may be absent.
    pub optional: bool,
    /// Whether its condition holds.
    pub present: bool,
    /// Its features.
    pub features: Vec<SchemaFeature>,
}

/// A branch of a union or an alternate.
#[derive(Debug)]
pub struct SchemaVariant {
    /// The discriminator's value.
    pub case: &'static str,
    /// Its type.
    pub typ: &'static str,
    /// Whether its condition holds.
    pub present: bool,
}

impl SchemaTable {
    /// A table of this text, which must be of the compiler's form, and the outcomes of its
    /// conditions.
    #[doc(hidden)]
    pub const fn new(text: &'static str, conditions: &'static [bool]) -> Self {
        SchemaTable {
            text,
            conditions,
            entities: OnceLock::new(),
        }
    }

    /// Commands, events and types in the order of the schema.
    pub fn entities(&'static self) -> &'static [SchemaEntity] {
        self.entities.get_or_init(|| {
            let mut entities = Vec::new();
            for line in self.text.lines() {
                Line::read(line, self.conditions).add_to(&mut entities);
            }
            entities
        })
    }
}

/// A line of the text.
#[derive(Default)]
struct Line {
    kind: &'static str,
    name: &'static str,
    /// Up to two, else empty.
    types: [&'static str; 2],
    optional: bool,
    allow_oob: bool,
    present: bool,
    features: Vec<SchemaFeature>,
}

impl Line {
    fn read(line: &'static str, conditions: &[bool]) -> Self {
        let holds = |number: &str| {
            let number = number.parse().ok();
            number.and_then(|at: usize| conditions.get(at).copied()) == Some(true)
        };
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let types = match kind {
            "command" => 2,
            "member" | "case" | "event" => 1,
            _ => 0,
        };
        let mut read = Line {
            kind,
            name: words.next().unwrap_or_default(),
            present: true,
            ..Line::default()
        };
        for at in 0..types {
            read.types[at] = words.next().unwrap_or_default();
        }
        for word in words {
            if let Some(feature) = word.strip_prefix('+') {
                let (name, condition) = feature.split_once('?').unzip();
                read.features.push(SchemaFeature {
                    name: name.unwrap_or(feature),
                    present: condition.is_none_or(holds),
                });
            } else if let Some(condition) = word.strip_prefix('?') {
                read.present = holds(condition);
            } else {
                read.optional |= word == "*";
                read.allow_oob |= word == "oob";
            }
        }
        read
    }

    /// Adds the entity, or the part of the entity before it.
    fn add_to(self, entities: &mut Vec<SchemaEntity>) {
        let [typ, ret] = self.types;
        let kind = match self.kind {
            "enum" => SchemaKind::Enum(Vec::new()),
            "object" => SchemaKind::Object {
                members: Vec::new(),
                tag: None,
                variants: Vec::new(),
            },
            "alternate" => SchemaKind::Alternate(Vec::new()),
            "command" => SchemaKind::Command {
                arg: typ,
                ret,
                allow_oob: self.allow_oob,
            },
            "event" => SchemaKind::Event { arg: typ },
            _ => {
                if let Some(last) = entities.last_mut() {
                    self.add_part_to(&mut last.kind);
                }
                return;
            }
        };
        entities.push(SchemaEntity {
            name: self.name,
            present: self.present,
            features: self.features,
            kind,
        });
    }

    fn add_part_to(self, whole: &mut SchemaKind) {
        let Line { name, present, .. } = self;
        let [typ, _] = self.types;
        let variant = SchemaVariant {
            case: name,
            typ,
            present,
        };
        match (self.kind, whole) {
            ("value", SchemaKind::Enum(values)) => values.push(SchemaValue {
                name,
                present,
                features: self.features,
            }),
            ("member", SchemaKind::Object { members, .. }) => members.push(SchemaMember {
                name,
                typ,
                optional: self.optional,
                present,
                features: self.features,
            }),
            ("tag", SchemaKind::Object { tag, .. }) => *tag = Some(name),
            ("case", SchemaKind::Object { variants, .. } | SchemaKind::Alternate(variants)) => {
                variants.push(variant);
            }
            (kind, _) => unreachable!("the compiler writes no line '{kind}' here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_marks() {
        static TABLE: SchemaTable = SchemaTable::new(
            "object O +a +b?1 ?1\nmember m [int] * +c\nmember n str ?0\ntag m\ncase x T\ncommand c O q_empty oob\n",
            &[true, false],
        );
        let [object, command] = TABLE.entities() else {
            panic!("two entities");
        };
        let features: Vec<_> = object
            .features
            .iter()
            .map(|f| (f.name, f.present))
            .collect();
        assert_eq!((object.name, object.present), ("O", false));
        assert_eq!(features, [("a", true), ("b", false)]);
        let SchemaKind::Object {
            members,
            tag,
            variants,
        } = &object.kind
        else {
            panic!("an object");
        };
        let read: Vec<_> = members
            .iter()
            .map(|m| (m.name, m.typ, m.optional, m.present, m.features.len()))
            .collect();
        assert_eq!(
            read,
            [("m", "[int]", true, true, 1), ("n", "str", false, true, 0)]
        );
        assert_eq!(*tag, Some("m"));
        assert_eq!((variants[0].case, variants[0].typ), ("x", "T"));
        let SchemaKind::Command {
            arg,
            ret,
            allow_oob,
        } = command.kind
        else {
            panic!("a command");
        };
        assert_eq!((arg, ret, allow_oob), ("O", "q_empty", true));
        assert!(command.present && command.features.is_empty());
    }
}
