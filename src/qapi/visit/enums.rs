//! Enumerations.

use std::fmt;

use crate::qapi::SpecialFeatures;

/// One value of an enumeration: its name on the wire, and its features.
#[derive(Debug, Clone, Copy)]
pub struct EnumEntry {
    /// The name on the wire.
    pub name: &'static str,
    /// Whether it is deprecated or unstable.
    pub features: SpecialFeatures,
}

/// An enumeration of a schema. [`qapi_enum!`](crate::qapi_enum) implements it.
pub trait QapiEnum: Copy + 'static {
    /// The values, in the order of the schema.
    const VALUES: &'static [Self];
    /// Their names and features, in the same order (QEMU's `X_lookup`).
    const LOOKUP: &'static [EnumEntry];
}

/// The text names no value of the enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseEnumError;

impl fmt::Display for ParseEnumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a value of the enumeration")
    }
}

impl std::error::Error for ParseEnumError {}

/// Gives an enumeration its names: `as_str`, `ALL`, `Display`, `FromStr` and the
/// visits. List the variants in the order of their declaration; special features
/// follow a name in parentheses.
///
/// ```
/// /// How loud.
/// #[derive(Debug, Clone, Copy, PartialEq, Eq)]
/// pub enum Volume {
///     /// Not at all.
///     Off,
///     /// Rather too much.
///     X11,
/// }
///
/// qmonitor::qapi_enum! { Volume {
///     Off = "off",
///     X11 = "x-11" (UNSTABLE),
/// } }
///
/// assert_eq!(Volume::X11.as_str(), "x-11");
/// assert_eq!("off".parse(), Ok(Volume::Off));
/// assert_eq!(Volume::ALL.len(), 2);
/// ```
#[macro_export]
macro_rules! qapi_enum {
    ($type:ident { $($(#[$attr:meta])* $variant:ident = $name:literal $(($features:ident))?,)* }) => {
        impl $crate::qapi::visit::QapiEnum for $type {
            const VALUES: &'static [Self] = &[$($(#[$attr])* Self::$variant),*];
            const LOOKUP: &'static [$crate::qapi::visit::EnumEntry] = &[
                $($(#[$attr])* $crate::qapi::visit::EnumEntry {
                    name: $name,
                    features: $crate::qapi_enum!(@features $($features)?),
                }),*
            ];
        }

        impl $type {
            /// All values, in the order of the schema.
            pub const ALL: &'static [Self] = <Self as $crate::qapi::visit::QapiEnum>::VALUES;

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                <Self as $crate::qapi::visit::QapiEnum>::LOOKUP[self as usize].name
            }

            /// Whether it is deprecated or unstable, and which QEMUs have it.
            pub const fn features(self) -> $crate::qapi::SpecialFeatures {
                <Self as $crate::qapi::visit::QapiEnum>::LOOKUP[self as usize].features
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::qapi::visit::ParseEnumError;

            fn from_str(name: &str) -> ::std::result::Result<Self, Self::Err> {
                let lookup = <Self as $crate::qapi::visit::QapiEnum>::LOOKUP;
                let found = lookup.iter().position(|entry| entry.name == name);
                found.map(|i| Self::ALL[i]).ok_or($crate::qapi::visit::ParseEnumError)
            }
        }

        impl $crate::qapi::visit::QapiType for $type {
            fn visit_in(
                v: &mut $crate::qapi::visit::InputVisitor,
                name: &str,
            ) -> ::std::result::Result<Self, $crate::qapi::Error> {
                let lookup = <Self as $crate::qapi::visit::QapiEnum>::LOOKUP;
                v.type_enum(name, lookup).map(|i| Self::ALL[i])
            }

            fn visit_out<V: $crate::qapi::visit::OutputVisitor>(
                &self,
                v: &mut V,
                name: $crate::qapi::json::MemberName,
            ) {
                v.type_str(name, self.as_str());
            }
        }
    };
    (@features) => { $crate::qapi::SpecialFeatures::NONE };
    (@features $features:ident) => { $crate::qapi::SpecialFeatures::$features };
}

/// The JSON type of a value (the built-in enumeration `QType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QType {
    /// No value at all.
    None,
    /// `null`
    Qnull,
    /// A number.
    Qnum,
    /// A string.
    Qstring,
    /// An object.
    Qdict,
    /// An array.
    Qlist,
    /// A boolean.
    Qbool,
}

crate::qapi_enum! { QType {
    None = "none",
    Qnull = "qnull",
    Qnum = "qnum",
    Qstring = "qstring",
    Qdict = "qdict",
    Qlist = "qlist",
    Qbool = "qbool",
} }
