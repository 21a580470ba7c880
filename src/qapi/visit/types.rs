//! [`QapiType`], and the built-in types.

use super::{InputVisitor, OutputVisitor, QObjectOutputVisitor};
use crate::qapi::json::MemberName;
use crate::qapi::{CompatPolicy, Error, QObject};

/// A type of a schema.
pub trait QapiType: Sized {
    /// Reads the member `name` of the container that `v` is in (`visit_type_X` on
    /// input).
    ///
    /// # Errors
    ///
    /// Returns the first error, in QEMU's words. The visitor is of no further use
    /// then.
    fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error>;

    /// Writes the value as member `name` (`visit_type_X` on output).
    fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName);

    /// The value as a [`QObject`], without what the policy hides.
    fn into_qobject(self, policy: CompatPolicy) -> QObject {
        let mut v = QObjectOutputVisitor::new(policy);
        self.visit_out(&mut v, MemberName::NONE);
        v.into_value()
    }
}

/// An object type. Its members can also be visited without the braces around them,
/// because arguments of commands, base types and branches of unions are flat.
///
/// Generated code implements this and derives [`QapiType`] from it with
/// [`qapi_object!`](crate::qapi_object).
pub trait QapiObject: Sized {
    /// Reads the members (`visit_type_X_members` on input).
    ///
    /// # Errors
    ///
    /// As [`QapiType::visit_in`]; this does not detect unknown members.
    fn visit_members_in(v: &mut InputVisitor) -> Result<Self, Error>;

    /// Writes the members (`visit_type_X_members` on output).
    fn visit_members_out<V: OutputVisitor>(&self, v: &mut V);
}

/// Implements [`QapiType`] for a [`QapiObject`]: the members between braces.
///
/// This is not a blanket implementation, because that would overlap with the one
/// for `Box`.
#[macro_export]
macro_rules! qapi_object {
    ($type:ident) => {
        impl $crate::qapi::visit::QapiType for $type {
            fn visit_in(
                v: &mut $crate::qapi::visit::InputVisitor,
                name: &str,
            ) -> ::std::result::Result<Self, $crate::qapi::Error> {
                v.start_struct(name)?;
                let value = $crate::qapi::visit::QapiObject::visit_members_in(v)?;
                v.end_struct()?;
                Ok(value)
            }

            #[inline]
            fn visit_out<V: $crate::qapi::visit::OutputVisitor>(
                &self,
                v: &mut V,
                name: $crate::qapi::json::MemberName,
            ) {
                v.start_struct(name);
                $crate::qapi::visit::QapiObject::visit_members_out(self, v);
                v.end_struct();
            }
        }
    };
}

macro_rules! builtin {
    ($($type:ty: $in:ident, $out:ident, |$value:ident| $convert:expr;)*) => {$(
        impl QapiType for $type {
            fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
                v.$in(name)
            }

            // In line, the name is a constant.
            #[inline(always)]
            fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
                let $value = self;
                v.$out(name, $convert);
            }

            fn into_qobject(self, _: CompatPolicy) -> QObject {
                self.into()
            }
        }
    )*};
}

builtin! {
    bool: type_bool, type_bool, |b| *b;
    i64: type_int64, type_int64, |i| *i;
    u64: type_uint64, type_uint64, |u| *u;
    f64: type_number, type_number, |n| *n;
    String: type_str, type_str, |s| s;
    QObject: type_any, type_any, |q| q;
}

macro_rules! narrow {
    ($($type:ty: $wide:ident, $out:ident, $c_name:literal;)*) => {$(
        impl QapiType for $type {
            fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
                let wide = v.$wide(name)?;
                Self::try_from(wide).map_err(|_| v.expects(name, $c_name))
            }

            fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
                v.$out(name, (*self).into());
            }
        }
    )*};
}

narrow! {
    i8: type_int64, type_int64, "int8_t";
    i16: type_int64, type_int64, "int16_t";
    i32: type_int64, type_int64, "int32_t";
    u8: type_uint64, type_uint64, "uint8_t";
    u16: type_uint64, type_uint64, "uint16_t";
    u32: type_uint64, type_uint64, "uint32_t";
}

/// The built-in type `size`: in Rust a `u64`, or a list of them. It has its own
/// visits, because values written as text may have suffixes (`64M`).
pub trait VisitSize: Sized {
    /// Reads the member `name`.
    ///
    /// # Errors
    ///
    /// As [`QapiType::visit_in`].
    fn visit_size(v: &mut InputVisitor, name: &str) -> Result<Self, Error>;
}

impl VisitSize for u64 {
    fn visit_size(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        v.type_size(name)
    }
}

impl<T: VisitSize> VisitSize for Option<T> {
    fn visit_size(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        if v.optional(name) {
            T::visit_size(v, name).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<T: VisitSize> VisitSize for Vec<T> {
    fn visit_size(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        v.start_list(name)?;
        let mut list = Vec::new();
        while v.next_list() {
            list.push(T::visit_size(v, "")?);
        }
        v.end_list();
        Ok(list)
    }
}

/// The built-in type `null`, whose only value is JSON's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QNull;

impl QapiType for QNull {
    fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        v.type_null(name).map(|()| QNull)
    }

    fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
        v.type_null(name);
    }
}

/// The empty object. A command without a return value returns it, too (`q_empty`).
impl QapiType for () {
    fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        v.start_struct(name)?;
        v.end_struct()
    }

    fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
        v.start_struct(name);
        v.end_struct();
    }
}

/// An optional member: absent or present. (`null` is present, and an error.)
impl<T: QapiType> QapiType for Option<T> {
    fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        if v.optional(name) {
            T::visit_in(v, name).map(Some)
        } else {
            Ok(None)
        }
    }

    fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
        if let Some(value) = self {
            value.visit_out(v, name);
        }
    }
}

impl<T: QapiType> QapiType for Vec<T> {
    fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        v.start_list(name)?;
        let mut list = Vec::new();
        while v.next_list() {
            list.push(T::visit_in(v, "")?);
        }
        v.end_list();
        Ok(list)
    }

    fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
        v.start_list(name);
        for element in self {
            element.visit_out(v, MemberName::NONE);
        }
        v.end_list();
    }
}

/// For types that contain themselves.
impl<T: QapiType> QapiType for Box<T> {
    fn visit_in(v: &mut InputVisitor, name: &str) -> Result<Self, Error> {
        T::visit_in(v, name).map(Box::new)
    }

    fn visit_out<V: OutputVisitor>(&self, v: &mut V, name: MemberName) {
        (**self).visit_out(v, name);
    }
}

impl<T: QapiObject> QapiObject for Box<T> {
    fn visit_members_in(v: &mut InputVisitor) -> Result<Self, Error> {
        T::visit_members_in(v).map(Box::new)
    }

    fn visit_members_out<V: OutputVisitor>(&self, v: &mut V) {
        (**self).visit_members_out(v);
    }
}
