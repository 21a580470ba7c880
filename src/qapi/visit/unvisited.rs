//! Members that a visit has not asked for, and which of several an error names.
//!
//! QEMU enters the members of an object in a table of GLib and takes out each that is
//! visited; the error names the first that a walk of the table finds. So the order of both
//! counts.

use crate::hash_order::first_left;
use crate::qapi::qobject::{order, Name, Ties};
use crate::qapi::{QDict, QObject};

/// The place of a value that a visit takes away.
pub(super) enum Slot {
    Here(QObject),
    /// The value is gone: it was the visit of this number.
    Taken(u32),
}

impl Slot {
    #[inline]
    pub(super) fn of(value: Option<QObject>) -> Self {
        value.map_or(Slot::Taken(0), Slot::Here)
    }

    #[inline]
    pub(super) fn value(&self) -> Option<&QObject> {
        match self {
            Slot::Here(value) => Some(value),
            Slot::Taken(_) => None,
        }
    }

    /// Takes the value; this is the visit of that number.
    #[inline]
    pub(super) fn take(&mut self, visit: u32) -> Option<QObject> {
        match std::mem::replace(self, Slot::Taken(visit)) {
            Slot::Here(value) => Some(value),
            Slot::Taken(_) => None,
        }
    }
}

/// The unexpected member that an error names, if there is one.
pub(super) fn first_unexpected(members: &[(Name, Slot)]) -> Option<&str> {
    members.iter().find(|(_, slot)| slot.value().is_some())?;
    let places = order(members, Ties::NewestFirst);
    let members: Vec<_> = places.map(|place| &members[place]).collect();
    let mut removed: Vec<(u32, usize)> = Vec::new();
    for (index, (_, slot)) in members.iter().enumerate() {
        if let Slot::Taken(visit) = slot {
            removed.push((*visit, index));
        }
    }
    removed.sort_unstable();
    let names = members.iter().map(|(name, _)| name.as_str());
    let first = first_left(names, removed.into_iter().map(|(_, index)| index))?;
    Some(members[first].0.as_str())
}

/// The unexpected argument that an error names, of a command that takes none.
pub(in crate::qapi) fn first_argument(args: &QDict) -> Option<&str> {
    let names: Vec<&str> = args.hashed().map(|(name, _)| name).collect();
    let first = first_left(names.iter().copied(), std::iter::empty())?;
    Some(names[first])
}

/// The key of option text `key=value,...` that an error names, if one is left. Such keys
/// are in no dictionary in QEMU but in the table at once: `a.b` for `{"a": {"b": "1"}}`.
pub(super) fn first_invalid(members: &[(Name, Slot)]) -> Option<String> {
    members.iter().find(|(_, slot)| slot.value().is_some())?;
    let mut keys = Vec::new();
    let mut removed = Vec::new();
    for (name, slot) in members {
        match slot {
            Slot::Here(value) => push_keys(&mut keys, name.as_str().to_owned(), value),
            Slot::Taken(visit) => {
                removed.push((*visit, keys.len()));
                keys.push(name.as_str().to_owned());
            }
        }
    }
    removed.sort_unstable();
    let removed = removed.into_iter().map(|(_, index)| index);
    let first = first_left(keys.iter().map(String::as_str), removed)?;
    Some(keys.swap_remove(first))
}

/// The keys that made this value.
pub(super) fn push_keys(keys: &mut Vec<String>, name: String, value: &QObject) {
    match value {
        QObject::Dict(dict) => {
            let members = dict.iter();
            members.for_each(|(key, value)| push_keys(keys, format!("{name}.{key}"), value));
        }
        QObject::List(list) => {
            let elements = list.iter().enumerate();
            elements.for_each(|(i, value)| push_keys(keys, format!("{name}.{i}"), value));
        }
        _ => keys.push(name),
    }
}
