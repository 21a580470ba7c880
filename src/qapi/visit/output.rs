//! Output visitors: they receive a value member by member.

use super::{QapiObject, QapiType};
use crate::qapi::json::{JsonWriter, MemberName};
use crate::qapi::{CompatPolicy, QDict, QNum, QObject, SpecialFeatures};

/// Receives the parts of a value (QEMU's output visitors).
///
/// A struct is [`start_struct`](Self::start_struct), its members, and
/// [`end_struct`](Self::end_struct), and a list likewise. Elements of lists and the
/// outermost value have [no name](MemberName::NONE). Visits are
/// compiled for each visitor: most commands are answered by a few of them, in which a name is
/// copied as the constant that it is.
pub trait OutputVisitor: Sized {
    /// Begins an object.
    fn start_struct(&mut self, name: MemberName);
    /// Ends it.
    fn end_struct(&mut self);
    /// Begins an array.
    fn start_list(&mut self, name: MemberName);
    /// Ends it.
    fn end_list(&mut self);
    /// A signed integer of any width.
    fn type_int64(&mut self, name: MemberName, value: i64);
    /// An unsigned integer of any width, or a size.
    fn type_uint64(&mut self, name: MemberName, value: u64);
    /// A boolean.
    fn type_bool(&mut self, name: MemberName, value: bool);
    /// A string, or a value of an enumeration.
    fn type_str(&mut self, name: MemberName, value: &str);
    /// A number.
    fn type_number(&mut self, name: MemberName, value: f64);
    /// Any value.
    fn type_any(&mut self, name: MemberName, value: &QObject);
    /// `null`
    fn type_null(&mut self, name: MemberName);
    /// The policy in force.
    fn policy(&self) -> CompatPolicy;

    /// Writes a member.
    #[inline(always)]
    fn member<T: QapiType>(&mut self, name: MemberName, value: &T) {
        value.visit_out(self, name);
    }

    /// Writes a member that is deprecated or unstable, unless the policy hides it
    /// (`visit_policy_skip`).
    fn special_member<T: QapiType>(
        &mut self,
        name: MemberName,
        value: &T,
        features: SpecialFeatures,
    ) {
        if !self.policy().hides(features) {
            value.visit_out(self, name);
        }
    }

    /// Writes the members of a union's branch, or of a whole object, without
    /// braces around them.
    fn branch<T: QapiObject>(&mut self, value: &T) {
        value.visit_members_out(self);
    }
}

/// Writes JSON straight into a [`JsonWriter`], without a [`QObject`] between.
pub struct JsonOutputVisitor<'w> {
    writer: &'w mut JsonWriter,
    policy: CompatPolicy,
}

impl<'w> JsonOutputVisitor<'w> {
    /// A visitor that writes one value at the current position of `writer`.
    pub fn new(writer: &'w mut JsonWriter, policy: CompatPolicy) -> Self {
        JsonOutputVisitor { writer, policy }
    }

    #[inline(always)]
    fn at(&mut self, name: MemberName) -> &mut JsonWriter {
        self.writer.member_name(name);
        self.writer
    }
}

impl OutputVisitor for JsonOutputVisitor<'_> {
    #[inline(always)]
    fn start_struct(&mut self, name: MemberName) {
        self.at(name).begin_object();
    }

    #[inline(always)]
    fn end_struct(&mut self) {
        self.writer.end_object();
    }

    #[inline]
    fn start_list(&mut self, name: MemberName) {
        self.at(name).begin_array();
    }

    #[inline(always)]
    fn end_list(&mut self) {
        self.writer.end_array();
    }

    #[inline(always)]
    fn type_int64(&mut self, name: MemberName, value: i64) {
        self.at(name).i64(value);
    }

    #[inline]
    fn type_uint64(&mut self, name: MemberName, value: u64) {
        self.at(name).u64(value);
    }

    #[inline(always)]
    fn type_bool(&mut self, name: MemberName, value: bool) {
        self.at(name).bool(value);
    }

    #[inline(always)]
    fn type_str(&mut self, name: MemberName, value: &str) {
        self.at(name).string(value);
    }

    #[inline]
    fn type_number(&mut self, name: MemberName, value: f64) {
        self.at(name).f64(value);
    }

    #[inline]
    fn type_any(&mut self, name: MemberName, value: &QObject) {
        self.at(name).qobject(value);
    }

    #[inline]
    fn type_null(&mut self, name: MemberName) {
        self.at(name).null();
    }

    #[inline(always)]
    fn policy(&self) -> CompatPolicy {
        self.policy
    }
}

/// Builds a [`QObject`] (`qobject_output_visitor_new`).
pub struct QObjectOutputVisitor {
    policy: CompatPolicy,
    /// Containers being filled, outermost first, each with its name.
    open: Vec<(MemberName, QObject)>,
    root: QObject,
}

impl QObjectOutputVisitor {
    /// A visitor that has received nothing yet.
    pub fn new(policy: CompatPolicy) -> Self {
        QObjectOutputVisitor {
            policy,
            open: Vec::new(),
            root: QObject::Null,
        }
    }

    /// The value received; `null` if there was none.
    pub fn into_value(mut self) -> QObject {
        while !self.open.is_empty() {
            self.close();
        }
        self.root
    }

    fn add(&mut self, name: MemberName, value: QObject) {
        match self.open.last_mut() {
            None => self.root = value,
            Some((_, QObject::List(list))) => list.push(value),
            Some((_, QObject::Dict(dict))) => {
                dict.insert(name.as_str(), value);
            }
            Some(_) => unreachable!("only containers are kept open"),
        }
    }

    fn close(&mut self) {
        if let Some((name, value)) = self.open.pop() {
            self.add(name, value);
        }
    }
}

impl OutputVisitor for QObjectOutputVisitor {
    fn start_struct(&mut self, name: MemberName) {
        self.open.push((name, QDict::new().into()));
    }

    fn end_struct(&mut self) {
        self.close();
    }

    fn start_list(&mut self, name: MemberName) {
        self.open.push((name, QObject::List(Vec::new())));
    }

    fn end_list(&mut self) {
        self.close();
    }

    fn type_int64(&mut self, name: MemberName, value: i64) {
        self.add(name, value.into());
    }

    fn type_uint64(&mut self, name: MemberName, value: u64) {
        self.add(name, QNum::from_u64(value).into());
    }

    fn type_bool(&mut self, name: MemberName, value: bool) {
        self.add(name, value.into());
    }

    fn type_str(&mut self, name: MemberName, value: &str) {
        self.add(name, value.into());
    }

    fn type_number(&mut self, name: MemberName, value: f64) {
        self.add(name, value.into());
    }

    fn type_any(&mut self, name: MemberName, value: &QObject) {
        self.add(name, value.clone());
    }

    fn type_null(&mut self, name: MemberName) {
        self.add(name, QObject::Null);
    }

    fn policy(&self) -> CompatPolicy {
        self.policy
    }
}
