//! All types of objects, by name (where QEMU's `type_init` registers each).

use std::cmp::Reverse;
use std::sync::Mutex;

use super::backends::{
    authz, host, iothread, memory_backend, monitor, pc, rng, secret, system, throttle, tls,
};
use super::facts::{all_type_facts, place_of_type, type_facts, PropertyFacts};
use super::qdev::DEVICE;
use super::qom::{device_not_found, ObjectType, Property, PropertyListing, TypeListing, OBJECT};
use super::{board, cpu, qdev, qtest};
use qmonitor::qapi::{Error, ErrorClass};
use qmonitor::Profile;

/// All types, in no particular order.
pub fn all_types() -> impl Iterator<Item = &'static ObjectType> {
    let groups = [
        system::TYPES,
        pc::TYPES,
        cpu::features::TYPES,
        host::TYPES,
        iothread::TYPES,
        memory_backend::TYPES,
        monitor::TYPES,
        secret::TYPES,
        authz::TYPES,
        rng::TYPES,
        throttle::TYPES,
        qtest::TYPES,
        tls::TYPES,
        qdev::TYPES,
        qdev::bus::TYPES,
        qdev::pci::TYPES,
        qdev::ports::TYPES,
        qdev::types::TYPES,
    ];
    // Their tables are read only if the type is none of the others.
    let machines = Profile::ALL.into_iter().flat_map(board::all_classes);
    let machines = machines.map(|class| &class.object);
    let processors = Profile::ALL.into_iter().flat_map(cpu::models::all_models);
    let processors = processors.map(|model| &model.object);
    let others = groups.into_iter().flatten().copied();
    std::iter::once(&OBJECT)
        .chain(others)
        .chain(machines)
        .chain(processors)
}

/// The type of that name (`object_class_by_name`).
pub fn find_type(name: &str) -> Option<&'static ObjectType> {
    let declared = all_types().find(|t| t.name == name);
    declared.or_else(|| recorded_type(name))
}

/// The type of that name, if that QEMU has it.
pub fn find_type_in(profile: Profile, name: &str) -> Option<&'static ObjectType> {
    let is_known = |profile| type_facts(profile, name).is_some();
    let is_other = !is_known(profile) && Profile::ALL.into_iter().any(is_known);
    find_type(name).filter(|_| !is_other)
}

/// A type of devices that only the table knows. It is made when it is first asked for.
fn recorded_type(name: &str) -> Option<&'static ObjectType> {
    static MADE: Mutex<Vec<&ObjectType>> = Mutex::new(Vec::new());
    let made = || MADE.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(class) = made().iter().find(|t| t.name == name) {
        return Some(class);
    }
    let facts = Profile::ALL
        .into_iter()
        .find_map(|profile| type_facts(profile, name));
    let facts = facts.filter(|facts| facts.is_a(DEVICE.name))?;
    let parent = find_type(facts.parent?)?;
    let class = Box::leak(Box::new(qdev::object_type(facts, parent)));
    made().push(class);
    Some(class)
}

/// The names of the types that `object-add` makes, sorted.
pub fn user_creatable_types(profile: Profile) -> Vec<&'static str> {
    let creatable = all_types().filter(|t| t.user_creatable && is_listed(t, profile));
    let mut names: Vec<_> = creatable.map(|t| t.name).collect();
    names.sort_unstable();
    names
}

/// Whether listings show a type. Monitors can be objects in any profile.
fn is_listed(class: &ObjectType, profile: Profile) -> bool {
    profile.has_monitor_objects() || !class.is_a("monitor")
}

/// Lists types (`qom-list-types`): QEMU's, and those that only this machine has.
pub fn qom_list_types(
    implements: Option<&str>,
    with_abstract: bool,
    profile: Profile,
) -> Vec<TypeListing> {
    let recorded = all_type_facts(profile);
    let recorded = recorded.filter(|t| implements.is_none_or(|wanted| t.is_a(wanted)));
    let recorded = recorded.map(|t| TypeListing {
        name: t.name,
        is_abstract: t.is_abstract(),
        parent: t.parent,
    });
    let own = all_types().filter(|t| is_own(t));
    let wanted = implements.unwrap_or("object");
    let own = own.filter(|t| t.is_a(wanted) || wanted == "user-creatable" && t.user_creatable);
    let own = own.map(|t| TypeListing {
        name: t.name,
        is_abstract: t.is_abstract,
        parent: t.parent.map(|p| p.name),
    });
    let listed = |t: &TypeListing| with_abstract || !t.is_abstract;
    let mut list: Vec<_> = recorded.chain(own).filter(listed).collect();
    list.sort_by_cached_key(|t| Reverse(place_of_type(profile, t.name)));
    list
}

/// Whether no QEMU has the type.
fn is_own(class: &ObjectType) -> bool {
    let mut profiles = Profile::ALL.into_iter();
    !profiles.any(|profile| type_facts(profile, class.name).is_some())
}

/// Lists the properties that objects of a type have (`qom-list-properties`).
///
/// # Errors
///
/// There is no such type, or it is an interface.
pub fn qom_list_properties(
    typename: &str,
    profile: Profile,
) -> Result<Vec<PropertyListing>, Error> {
    if let Some(facts) = type_facts(profile, typename) {
        if facts.is_interface() {
            return Err(Error::new("Parameter 'typename' expects a QOM type"));
        }
        let properties = facts.all_properties();
        return Ok(properties.iter().map(listing).collect());
    }
    let class = find_type_in(profile, typename).ok_or_else(|| {
        Error::with_class(
            ErrorClass::DeviceNotFound,
            format!("Class '{typename}' not found"),
        )
    })?;
    let properties = class.listed_properties(profile).into_iter();
    Ok(properties.map(own_listing).collect())
}

fn own_listing(property: &Property) -> PropertyListing {
    PropertyListing {
        name: property.name.to_owned(),
        type_name: property.type_name.to_owned(),
        description: Some(property.description).filter(|d| !d.is_empty()),
        default_value: None,
    }
}

fn listing(facts: &PropertyFacts) -> PropertyListing {
    PropertyListing {
        name: facts.name.to_owned(),
        type_name: facts.type_name.to_owned(),
        description: Some(facts.description).filter(|d| !d.is_empty()),
        default_value: facts.default_value(),
    }
}

/// Properties of all objects and devices, which are not listed for a type of devices.
const COMMON: &[&str] = &[
    "hotpluggable",
    "hotplugged",
    "parent_bus",
    "realized",
    "type",
];

/// Lists the properties of a type of devices (`qmp_device_list_properties`), without
/// those that all devices have.
///
/// # Errors
///
/// There is no such type, or it is no type of devices.
pub(crate) fn device_list_properties(
    profile: Profile,
    typename: &str,
) -> Result<Vec<PropertyListing>, Error> {
    let facts = type_facts(profile, typename).ok_or_else(|| device_not_found(typename))?;
    if facts.is_abstract() || !facts.is_a(DEVICE.name) {
        return Err(Error::new(
            "Parameter 'typename' expects a non-abstract device type",
        ));
    }
    let mut properties = facts.all_properties();
    let is_hidden = |name: &str| profile.has_legacy_properties() && name.starts_with("legacy-");
    properties.retain(|p| !COMMON.contains(&p.name) && !is_hidden(p.name));
    Ok(properties.iter().map(listing).collect())
}
