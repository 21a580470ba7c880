//! Second names of devices.

use crate::model::facts::all_type_facts;
use crate::model::qom::ObjectType;
use crate::model::types::find_type_in;
use qmonitor::Profile;

/// The name of the type that a user means.
pub(super) fn type_of_alias(profile: Profile, name: &str) -> &str {
    let mut all = all_type_facts(profile);
    let found = all.find(|facts| !facts.alias.is_empty() && facts.alias == name);
    found.map_or(name, |facts| facts.name)
}

/// The type that a user means.
pub(crate) fn find_device_type(profile: Profile, name: &str) -> Option<&'static ObjectType> {
    let find = |name| find_type_in(profile, name);
    find(name).or_else(|| find(type_of_alias(profile, name)))
}
