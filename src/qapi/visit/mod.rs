//! Between QAPI types and values: the visitors.
//!
//! Every type of a schema can be *visited*: [`QapiType::visit_in`] builds a value
//! from an [`InputVisitor`], which walks a [`QObject`] and produces the error
//! texts. [`QapiType::visit_out`] passes a value to an [`OutputVisitor`], which
//! writes JSON or builds a [`QObject`]. Generated code consists of little else.
//!
//! Each visit names its member. Elements of lists and the outermost value have no
//! name, or in input the empty one, which no member can have. QEMU passes a null pointer there, and its
//! error texts show it (`Parameter 'null' does not accept value 'x'`), so ours do
//! as well.
//!
//! ```
//! use qmonitor::qapi::visit::{from_qobject, to_qobject};
//! use qmonitor::qapi::QObject;
//!
//! let list = to_qobject(&vec![1i64, 2]);
//! assert_eq!(list, QObject::List(vec![1i64.into(), 2i64.into()]));
//! assert_eq!(from_qobject::<Vec<i64>>(list.clone()).unwrap(), [1, 2]);
//! let error = from_qobject::<Vec<bool>>(list).unwrap_err();
//! assert_eq!(error.desc(), "Invalid parameter type for '[0]', expected: boolean");
//! ```

mod enums;
mod input;
mod keyval;
mod members;
mod numbers;
mod output;
mod types;
mod unvisited;

pub use enums::{EnumEntry, ParseEnumError, QType, QapiEnum};
pub use input::InputVisitor;
pub use keyval::{keyval_parse, MAX_KEY_FRAGMENT};
pub use numbers::{parse_size, SizeError};
pub use output::{JsonOutputVisitor, OutputVisitor, QObjectOutputVisitor};
pub use types::{QNull, QapiObject, QapiType, VisitSize};
pub(super) use unvisited::first_argument;

use super::json::MemberName;
use super::{CompatPolicy, Error, QObject};

/// Converts a [`QObject`] with JSON's types, as in QMP, to a `T`.
///
/// # Errors
///
/// The error is the one that QMP sends for arguments that do not fit.
pub fn from_qobject<T: QapiType>(value: QObject) -> Result<T, Error> {
    T::visit_in(&mut InputVisitor::new(value, CompatPolicy::default()), "")
}

/// Converts a value to a [`QObject`], deprecated members included.
pub fn to_qobject<T: QapiType>(value: &T) -> QObject {
    let mut v = QObjectOutputVisitor::new(CompatPolicy::default());
    value.visit_out(&mut v, MemberName::NONE);
    v.into_value()
}
