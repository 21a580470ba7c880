//! Members that a visit has not asked for, and which of several an error names.
//!
//! QEMU enters the members of an object in a table of GLib and takes out each that is
//! visited; the error names the first that a walk of the table finds. So the order of both
//! counts.

use crate::hash_order::first_left;
use crate::qapi::qobject::{order, Name, Ties};
use crate::qapi::{QDict, QObject};

/// The members of an object that is visited: those that were visited, in that order, then
/// the others as they came.
pub(super) struct Members {
    all: Vec<(Name, QObject)>,
    visited: usize,
    /// The members that were visited before others in front of them: where each was put, and
    /// where it had been. Most are visited as they came, so there is mostly none.
    moved: Vec<(usize, usize)>,
}

/// A member, as an error needs to know it.
enum State<'a> {
    Left(&'a QObject),
    /// It was the visit of this number.
    Visited(usize),
}

impl Members {
    pub(super) fn of(dict: QDict) -> Self {
        Members {
            all: dict.into_members(),
            visited: 0,
            moved: Vec::new(),
        }
    }

    /// Those that were not visited.
    #[inline]
    fn left(&self) -> &[(Name, QObject)] {
        self.all.get(self.visited..).unwrap_or_default()
    }

    /// Whether there are any.
    #[inline]
    pub(super) fn has_left(&self) -> bool {
        self.visited < self.all.len()
    }

    /// The place among them of the one of that name.
    #[inline]
    fn position(&self, name: &str) -> Option<usize> {
        let is_it = |(key, _): &(Name, QObject)| key.as_bytes() == name.as_bytes();
        self.left().iter().position(is_it)
    }

    /// The value of that name, if it was not visited.
    pub(super) fn get(&self, name: &str) -> Option<&QObject> {
        let at = self.position(name)?;
        Some(&self.left()[at].1)
    }

    /// Takes it.
    #[inline]
    pub(super) fn take(&mut self, name: &str) -> Option<QObject> {
        let ahead = self.position(name)?;
        if ahead > 0 {
            self.bring_forward(self.visited + ahead);
        }
        let (_, value) = self.all.get_mut(self.visited)?;
        self.visited += 1;
        Some(std::mem::replace(value, QObject::Null))
    }

    #[inline(never)]
    fn bring_forward(&mut self, from: usize) {
        self.all[self.visited..=from].rotate_right(1);
        self.moved.push((self.visited, from));
    }

    /// All members as they came.
    fn as_they_came(&self) -> impl Iterator<Item = (&Name, State<'_>)> {
        let mut places: Vec<usize> = (0..self.all.len()).collect();
        for (to, from) in self.moved.iter().rev() {
            places[*to..=*from].rotate_left(1);
        }
        places.into_iter().map(|place| {
            let (name, value) = &self.all[place];
            let state = if place < self.visited {
                State::Visited(place)
            } else {
                State::Left(value)
            };
            (name, state)
        })
    }

    /// The unexpected member that an error names, if there is one.
    pub(super) fn first_unexpected(&self) -> Option<String> {
        let members = self.as_they_came();
        let members: Vec<_> = members.map(|(name, state)| (name.clone(), state)).collect();
        let places = order(&members, Ties::NewestFirst);
        let members: Vec<_> = places.map(|place| &members[place]).collect();
        let mut removed: Vec<(usize, usize)> = Vec::new();
        for (index, (_, state)) in members.iter().enumerate() {
            if let State::Visited(visit) = state {
                removed.push((*visit, index));
            }
        }
        removed.sort_unstable();
        let names = members.iter().map(|(name, _)| name.as_str());
        let first = first_left(names, removed.into_iter().map(|(_, index)| index))?;
        Some(members[first].0.as_str().to_owned())
    }

    /// The key of option text `key=value,...` that an error names, if one is left. Such keys
    /// are in no dictionary in QEMU but in the table at once: `a.b` for `{"a": {"b": "1"}}`.
    pub(super) fn first_invalid(&self) -> Option<String> {
        let mut keys = Vec::new();
        let mut removed = Vec::new();
        for (name, state) in self.as_they_came() {
            match state {
                State::Left(value) => push_keys(&mut keys, name.as_str().to_owned(), value),
                State::Visited(visit) => {
                    removed.push((visit, keys.len()));
                    keys.push(name.as_str().to_owned());
                }
            }
        }
        removed.sort_unstable();
        let removed = removed.into_iter().map(|(_, index)| index);
        let first = first_left(keys.iter().map(String::as_str), removed)?;
        Some(keys.swap_remove(first))
    }
}

/// The unexpected argument that an error names, of a command that takes none.
pub(in crate::qapi) fn first_argument(args: &QDict) -> Option<&str> {
    let names: Vec<&str> = args.hashed().map(|(name, _)| name).collect();
    let first = first_left(names.iter().copied(), std::iter::empty())?;
    Some(names[first])
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
