//! Names of a dictionary's members.

use std::fmt;

use super::order::{bucket, short_bucket};

/// A name, in place if it is as short as nearly all are: an allocation for each
/// name would dominate the cost of small objects.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    /// The bytes of a text; zeros behind them.
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

/// With this a name is as large as a `String`.
const SHORT: usize = 22;

impl Name {
    #[inline]
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Name(Repr::Short(text.len() as u8, bytes))
            }
            None => Name(Repr::Long(text.into())),
        }
    }

    /// The name in these bytes, if they are few. They must be ASCII.
    #[inline]
    pub(crate) fn short_ascii(text: &[u8]) -> Option<Self> {
        debug_assert!(text.is_ascii());
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Name(Repr::Short(text.len() as u8, bytes)))
    }

    /// The name's bytes, which are UTF-8.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Long(text) => text.as_bytes(),
        }
    }

    /// Where it is in QEMU's hash table.
    #[inline(always)]
    pub(super) fn bucket(&self) -> u32 {
        match &self.0 {
            Repr::Short(len, bytes) => short_bucket(*len, bytes),
            Repr::Long(text) => bucket(text.as_bytes()),
        }
    }

    /// The name. It costs a check of the bytes; to compare, use those.
    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Long(text) => text,
            Repr::Short(..) => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
        }
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Name::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_kept() {
        for text in ["é", "\0"] {
            for len in 0..40 {
                let text = text.repeat(len);
                let name = Name::new(&text);
                assert_eq!(name.as_str(), text);
                assert_eq!(name.as_bytes(), text.as_bytes());
                assert_eq!(String::from(name), text);
                assert_ne!(Name::new(&text), Name::new(&(text + "\0")));
            }
        }
        assert_eq!(size_of::<Option<Name>>(), size_of::<String>());
    }
}
