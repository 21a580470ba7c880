//! The values of QMP: what the JSON parser makes and the visitors read.
//!
//! Why not `serde_json::Value`: here, as in QEMU, an integer beyond 64 bits becomes
//! a double and `1e400` an infinity, and clients get them back in `id`;
//! `serde_json::Number` has no infinity. A [`QDict`] also keeps the order of its
//! members. Embedders with data in serde's types can convert in both directions.

mod index;
mod name;
mod order;

use index::Index;
pub(crate) use name::Name;
pub use order::MemberOrder;
pub(crate) use order::{order, Places, Ties};

/// A JSON value (QEMU's `QObject`).
#[derive(Debug, Clone, PartialEq)]
pub enum QObject {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number; see [`QNum`].
    Num(QNum),
    /// A string; may hold U+0000.
    String(String),
    /// An array.
    List(Vec<QObject>),
    /// An object.
    Dict(QDict),
}

/// A number (QEMU's `QNum`): a signed integer if it fits, else an unsigned
/// one, else a double. Integers and doubles are different even if equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QNum {
    /// An integer that fits in 64 signed bits.
    I64(i64),
    /// An integer above `i64::MAX`; smaller ones are [`QNum::I64`].
    U64(u64),
    /// Anything written with a fraction or an exponent, or too large.
    Double(f64),
}

impl QNum {
    /// The number of an unsigned integer, in its one normal form.
    pub fn from_u64(value: u64) -> Self {
        i64::try_from(value).map_or(QNum::U64(value), QNum::I64)
    }
}

/// Members by name (QEMU's `QDict`). They are kept in the order of insertion and written in
/// that of QEMU's hash table, see [`MemberOrder`]. There may be up to 2^32 of them.
#[derive(Debug, Clone, Default)]
pub struct QDict {
    entries: Vec<(Name, QObject)>,
    /// Positions by name, present once a scan would cost more than hashing.
    index: Option<Box<Index>>,
}

/// A dictionary begins with room for so many.
const FIRST_MEMBERS: usize = 4;

/// A dictionary of at least this many members finds them through a hash table.
const INDEX_FROM: usize = 16;

impl QDict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty dictionary with room for so many members.
    pub(crate) fn with_capacity(members: usize) -> Self {
        QDict {
            entries: Vec::with_capacity(members),
            index: None,
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The member's position. Without one, the error is the hash of its name if
    /// there is an index.
    #[inline]
    fn locate(&self, key: &Name) -> Result<usize, Option<u32>> {
        match &self.index {
            Some(index) => {
                let hash = index::hash(key.as_bytes());
                let found = index.find(hash, |i| self.entries[i].0 == *key);
                found.ok_or(Some(hash))
            }
            None => {
                let found = self.entries.iter().position(|(k, _)| k == key);
                found.ok_or(None)
            }
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        let is_it = |i: usize| self.entries[i].0.as_bytes() == key.as_bytes();
        match &self.index {
            Some(index) => index.find(index::hash(key.as_bytes()), is_it),
            None => (0..self.entries.len()).find(|i| is_it(*i)),
        }
    }

    /// The member's value.
    pub fn get(&self, key: &str) -> Option<&QObject> {
        self.position(key).map(|i| &self.entries[i].1)
    }

    /// The member's value, for changing it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut QObject> {
        self.position(key).map(|i| &mut self.entries[i].1)
    }

    /// The member's value if it is a string.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(QObject::as_str)
    }

    /// Whether there is such a member.
    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Adds a member or replaces its value; returns the old value.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<QObject>) -> Option<QObject> {
        let key = Name::from(key.into());
        match self.locate(&key) {
            Ok(i) => Some(std::mem::replace(&mut self.entries[i].1, value.into())),
            Err(hash) => {
                self.push_new(key, value.into(), hash);
                None
            }
        }
    }

    /// Adds a member unless the name is taken; returns whether it did.
    #[inline(always)]
    pub(crate) fn try_insert(&mut self, key: Name, value: QObject) -> bool {
        if self.index.is_some() {
            return self.try_insert_indexed(key, value);
        }
        if self.entries.iter().any(|(known, _)| *known == key) {
            return false;
        }
        self.push_new(key, value, None);
        true
    }

    #[inline(never)]
    fn try_insert_indexed(&mut self, key: Name, value: QObject) -> bool {
        match self.locate(&key) {
            Ok(_) => false,
            Err(hash) => {
                self.push_new(key, value, hash);
                true
            }
        }
    }

    #[inline]
    fn push_new(&mut self, key: Name, value: QObject, hash: Option<u32>) {
        if self.entries.capacity() == 0 {
            // To grow takes more instructions than to begin.
            self.entries = Vec::with_capacity(FIRST_MEMBERS);
        }
        self.entries.push((key, value));
        match (&mut self.index, hash) {
            (Some(index), Some(hash)) => index.push(hash),
            _ if self.entries.len() >= INDEX_FROM => self.reindex(),
            _ => {}
        }
    }

    fn reindex(&mut self) {
        let names = self.entries.iter().map(|(name, _)| name.as_bytes());
        self.index = (self.entries.len() >= INDEX_FROM).then(|| Box::new(Index::new(names)));
    }

    /// Removes a member; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<QObject> {
        let i = self.position(key)?;
        let (_, value) = self.entries.remove(i);
        if self.index.is_some() {
            self.reindex();
        }
        Some(value)
    }

    /// The members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &QObject)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// The members in the order in which QEMU goes through them: it keeps them in a hash
    /// table, with the newest first where two are in the same bucket.
    ///
    /// ```
    /// use qmonitor::qapi::QDict;
    ///
    /// let version: QDict = [("major", 10), ("minor", 0), ("micro", 2)].into_iter().collect();
    /// let names: Vec<_> = version.hashed().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["micro", "minor", "major"]);
    /// ```
    pub fn hashed(&self) -> impl ExactSizeIterator<Item = (&str, &QObject)> {
        order(&self.entries, Ties::NewestFirst).map(|place| {
            let (name, value) = &self.entries[place];
            (name.as_str(), value)
        })
    }

    /// [`hashed`](Self::hashed), with the members taken out.
    pub fn into_hashed(self) -> IntoIter {
        let places = order(&self.entries, Ties::NewestFirst);
        let mut entries: Vec<_> = self.entries.into_iter().map(Some).collect();
        let sorted: Vec<_> = places.filter_map(|place| entries[place].take()).collect();
        IntoIter(sorted.into_iter())
    }

    /// The members in order.
    pub(crate) fn members(&self) -> &[(Name, QObject)] {
        &self.entries
    }

    /// The members in order.
    pub(crate) fn into_members(self) -> Vec<(Name, QObject)> {
        self.entries
    }
}

/// Equal if both have the same members; their order does not matter.
impl PartialEq for QDict {
    fn eq(&self, other: &Self) -> bool {
        let has = |(k, v): &(Name, QObject)| {
            let at = other.locate(k);
            at.is_ok_and(|i| other.entries[i].1 == *v)
        };
        self.len() == other.len() && self.entries.iter().all(has)
    }
}

impl IntoIterator for QDict {
    type Item = (String, QObject);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.entries.into_iter())
    }
}

/// The members of a [`QDict`], taken out in order.
#[derive(Debug)]
pub struct IntoIter(std::vec::IntoIter<(Name, QObject)>);

impl Iterator for IntoIter {
    type Item = (String, QObject);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.into(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for IntoIter {}

impl<K: Into<String>, V: Into<QObject>> FromIterator<(K, V)> for QDict {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(iter: T) -> Self {
        let mut dict = QDict::new();
        for (k, v) in iter {
            dict.insert(k, v);
        }
        dict
    }
}

impl QObject {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            QObject::String(s) => Some(s),
            _ => None,
        }
    }

    /// The dictionary of an object.
    pub fn as_dict(&self) -> Option<&QDict> {
        match self {
            QObject::Dict(d) => Some(d),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_list(&self) -> Option<&[QObject]> {
        match self {
            QObject::List(l) => Some(l),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($type:ty, $value:ident => $make:expr;)*) => {$(
        impl From<$type> for QObject {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )*};
}

from! {
    bool, v => QObject::Bool(v);
    i64, v => QObject::Num(QNum::I64(v));
    i32, v => QObject::Num(QNum::I64(v.into()));
    u32, v => QObject::Num(QNum::I64(v.into()));
    u64, v => QObject::Num(QNum::from_u64(v));
    f64, v => QObject::Num(QNum::Double(v));
    QNum, v => QObject::Num(v);
    String, v => QObject::String(v);
    &str, v => QObject::String(v.to_owned());
    Vec<QObject>, v => QObject::List(v);
    QDict, v => QObject::Dict(v);
}

impl From<serde_json::Value> for QObject {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => QObject::Null,
            Value::Bool(b) => b.into(),
            Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), ..) => i.into(),
                (None, Some(u), _) => u.into(),
                (None, None, d) => d.unwrap_or(f64::INFINITY).into(),
            },
            Value::String(s) => s.into(),
            Value::Array(a) => QObject::List(a.into_iter().map(Into::into).collect()),
            Value::Object(o) => QObject::Dict(o.into_iter().collect()),
        }
    }
}

/// An infinity, which serde's type cannot hold, becomes `null`.
impl From<QObject> for serde_json::Value {
    fn from(value: QObject) -> Self {
        match value {
            QObject::Null => serde_json::Value::Null,
            QObject::Bool(b) => b.into(),
            QObject::Num(QNum::I64(i)) => i.into(),
            QObject::Num(QNum::U64(u)) => u.into(),
            QObject::Num(QNum::Double(d)) => d.into(),
            QObject::String(s) => s.into(),
            QObject::List(l) => l.into_iter().map(serde_json::Value::from).collect(),
            QObject::Dict(d) => serde_json::Value::Object(
                d.into_iter()
                    .map(|(k, v)| (k, serde_json::Value::from(v)))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dict_keeps_order_and_finds_members_with_and_without_an_index() {
        let mut d = QDict::new();
        for i in (0..100).rev() {
            assert!(d.try_insert(format!("k{i}").into(), QObject::from(i)));
        }
        assert_eq!(d.iter().next().unwrap().0, "k99");
        assert!(!d.try_insert(Name::new("k5"), QObject::Null));
        assert_eq!(d.remove("k50"), Some(50.into()));
        for i in (0..100).filter(|i| *i != 50) {
            assert_eq!(d.get(&format!("k{i}")), Some(&i.into()));
        }
        for i in 0..95 {
            d.remove(&format!("k{i}"));
        }
        assert_eq!(d.len(), 5);
        assert_eq!(d.get("k97"), Some(&97.into()));
        assert!(!d.contains_key("k5"));
    }

    #[test]
    fn equality_ignores_order_but_not_the_kind_of_number() {
        let a: QDict = [("x", 1), ("y", 2)].into_iter().collect();
        let b: QDict = [("y", 2), ("x", 1)].into_iter().collect();
        assert_eq!(a, b);
        assert_ne!(QObject::from(1), QObject::from(1.0));
    }

    #[test]
    fn serde_values_convert_both_ways() {
        let v: serde_json::Value =
            serde_json::from_str(r#"{"a":[1,-2,18446744073709551615,1.5,null,true,"s"]}"#).unwrap();
        let q = QObject::from(v.clone());
        assert_eq!(
            q.as_dict().unwrap().get("a").unwrap().as_list().unwrap()[2],
            QObject::Num(QNum::U64(u64::MAX))
        );
        assert_eq!(serde_json::Value::from(q), v);
        assert_eq!(
            serde_json::Value::from(QObject::from(f64::INFINITY)),
            serde_json::Value::Null
        );
    }
}
