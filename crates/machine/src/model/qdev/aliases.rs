//! Second names of devices.

use crate::model::facts::all_type_facts;
use crate::model::qom::ObjectType;
use crate::model::types::find_type;

/// The name of the type that a user means.
pub(super) fn type_of_alias(name: &str) -> &str {
    let mut all = all_type_facts().iter();
    let found = all.find(|facts| !facts.alias.is_empty() && facts.alias == name);
    found.map_or(name, |facts| facts.name)
}

/// The type that a user means.
pub(crate) fn find_device_type(name: &str) -> Option<&'static ObjectType> {
    find_type(name).or_else(|| find_type(type_of_alias(name)))
}
