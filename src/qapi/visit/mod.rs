//! Between QAPI types and values: the visitors.
//!
//! Every type of a schema can be *visited*: [`QapiType::visit_in`] builds a
//! value out of an [`InputVisitor`], which walks a [`QObject`] and knows what
//! to say when it does not fit; [`QapiType::visit_out`] tells an
//! [`OutputVisitor`] what is in a value, and that writes JSON or builds a
//! [`QObject`]. Generated code consists of hardly anything else.
//!
//! Each visit names the member being visited. The empty name, which no member
//! can have, stands for "no name": elements of lists and the outermost value
//! have none. QEMU passes a null pointer there, and its error texts show it
//! (`Parameter 'null' does not accept value 'x'`), so ours do as well.
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

pub use enums::{EnumEntry, ParseEnumError, QType, QapiEnum};
pub use input::InputVisitor;
pub use keyval::{keyval_parse, MAX_KEY_FRAGMENT};
pub use numbers::{parse_size, SizeError};
pub use output::{JsonOutputVisitor, OutputVisitor, QObjectOutputVisitor};
pub use types::{QNull, QapiObject, QapiType, VisitSize};

use super::{CompatPolicy, Error, QObject};

/// A value of type `T` out of a [`QObject`] with JSON's types, as in QMP.
///
/// # Errors
///
/// What QMP answers to arguments that do not fit.
pub fn from_qobject<T: QapiType>(value: QObject) -> Result<T, Error> {
    T::visit_in(&mut InputVisitor::new(value, CompatPolicy::default()), "")
}

/// The [`QObject`] that shows a value, complete even with deprecated members.
pub fn to_qobject<T: QapiType>(value: &T) -> QObject {
    let mut v = QObjectOutputVisitor::new(CompatPolicy::default());
    value.visit_out(&mut v, "");
    v.into_value()
}
