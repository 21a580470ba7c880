//! `null`: takes everything, gives nothing and is never open. A monitor on it
//! has no banner and no prompt.

use super::host::ChardevHost;
use super::table::ChardevClass;

/// The class: all defaults.
pub(super) fn char_null_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass::new("null")
}
