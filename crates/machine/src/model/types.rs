//! All types of objects, by name (where QEMU's `type_init` registers each).

use super::backends::{
    authz, host, iothread, memory_backend, monitor, pc, rng, secret, system, throttle, tls,
};
use super::qdev::DEVICE;
use super::qom::{device_not_found, ObjectType, PropertyListing, TypeListing, OBJECT};
use super::{board, cpu, qdev};
use qmonitor::Profile;
use qmonitor::qapi::{Error, ErrorClass};

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
        tls::TYPES,
        qdev::TYPES,
        qdev::bus::TYPES,
        qdev::pci::TYPES,
        qdev::ports::TYPES,
        qdev::types::TYPES,
        qdev::board::TYPES,
    ];
    let machines = board::all_classes().map(|class| &class.object);
    let processors = cpu::models::all_models().map(|model| &model.object);
    let others = groups.into_iter().flatten().copied();
    std::iter::once(&OBJECT)
        .chain(others)
        .chain(machines)
        .chain(processors)
}

/// The type of that name (`object_class_by_name`).
pub fn find_type(name: &str) -> Option<&'static ObjectType> {
    all_types().find(|t| t.name == name)
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

/// Lists types (`qom-list-types`).
pub fn qom_list_types(
    implements: Option<&str>,
    with_abstract: bool,
    profile: Profile,
) -> Vec<TypeListing> {
    let wanted = implements.unwrap_or("object");
    all_types()
        .filter(|t| is_listed(t, profile))
        .filter(|t| with_abstract || !t.is_abstract)
        .filter(|t| match wanted {
            "user-creatable" => t.user_creatable,
            wanted => t.is_a(wanted),
        })
        .map(|t| TypeListing {
            name: t.name,
            is_abstract: t.is_abstract,
            parent: t.parent.map(|p| p.name),
        })
        .collect()
}

/// Lists the properties that objects of a type have (`qom-list-properties`).
///
/// # Errors
///
/// There is no such type.
pub fn qom_list_properties(typename: &str, profile: Profile) -> Result<Vec<PropertyListing>, Error> {
    let class: &'static ObjectType = find_type(typename).ok_or_else(|| {
        Error::with_class(
            ErrorClass::DeviceNotFound,
            format!("Class '{typename}' not found"),
        )
    })?;
    let properties = class.listed_properties(profile);
    Ok(properties
        .iter()
        .map(|p| PropertyListing {
            name: p.name.to_owned(),
            type_name: p.type_name.to_owned(),
            description: Some(p.description).filter(|d| !d.is_empty()),
        })
        .collect())
}

/// Lists the properties of a type of devices (`qmp_device_list_properties`), without
/// those that all devices have.
///
/// # Errors
///
/// There is no such type, or it is no type of devices.
pub(crate) fn device_list_properties(
    typename: &str,
    profile: Profile,
) -> Result<Vec<PropertyListing>, Error> {
    let class = find_type(typename).ok_or_else(|| device_not_found(typename))?;
    if class.is_abstract || !class.is_a(DEVICE.name) {
        return Err(Error::new(
            "Parameter 'typename' expects a non-abstract device type",
        ));
    }
    let mut list = qom_list_properties(typename, profile)?;
    list.retain(|p| DEVICE.property(&p.name).is_none());
    Ok(list)
}
