//! Small objects of the host: `thread-context`, `can-bus`,
//! `cryptodev-backend`, and what other types need to have a parent.

use super::{never, OBJECT};
use crate::machine::qom::{
    set_uint32, set_uint64, Getter, ObjectId, ObjectType, Property, PropertyInput,
};
use crate::machine::Machine;
use crate::qapi::{Error, QObject};

pub(super) static TYPES: &[&ObjectType] = &[
    &THREAD_CONTEXT,
    &CAN_BUS,
    &CRYPTODEV_BACKEND,
    &CRYPTODEV_BACKEND_BUILTIN,
];

static THREAD_CONTEXT: ObjectType = ObjectType::new_user_creatable(
    "thread-context",
    &OBJECT,
    &[
        Property::new("thread-id", "int", Getter::With(thread_id), None),
        Property::new(
            "node-affinity",
            "int",
            Getter::WriteOnly,
            Some(set_affinity),
        ),
        Property::new("cpu-affinity", "int", Getter::EmptyList, Some(set_affinity)),
    ],
);

fn thread_id(_: &Machine, _: ObjectId) -> QObject {
    i64::from(std::process::id()).into()
}

fn set_affinity(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let (other, what) = match property.name {
        "cpu-affinity" => ("node-affinity", "CPU"),
        _ => ("cpu-affinity", "Node"),
    };
    if m.is_set(id, other) {
        return Err(Error::new("Mixing CPU and node affinity not supported"));
    }
    let list = input.uint16_list()?;
    if list.is_empty() {
        return Err(Error::new(format!("{what} list is empty")));
    }
    let list = list.into_iter().map(|n| i64::from(n).into()).collect();
    m.store(id, property, QObject::List(list));
    Ok(())
}

static CAN_BUS: ObjectType = ObjectType {
    can_be_deleted: Some(never),
    ..ObjectType::new_user_creatable("can-bus", &OBJECT, &[])
};

static CRYPTODEV_BACKEND: ObjectType = ObjectType::new_user_creatable(
    "cryptodev-backend",
    &OBJECT,
    &[
        Property::new("throttle-ops", "uint64", Getter::Int(0), Some(set_uint64)),
        Property::new("queues", "uint32", Getter::Int(1), Some(set_queues)),
        Property::new("throttle-bps", "uint64", Getter::Int(0), Some(set_uint64)),
    ],
);
static CRYPTODEV_BACKEND_BUILTIN: ObjectType =
    ObjectType::new_user_creatable("cryptodev-backend-builtin", &CRYPTODEV_BACKEND, &[]);

fn set_queues(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    if input.uint32()? == 0 {
        let class = m.object(id).map_or("", |o| o.class().name);
        let name = property.name;
        return Err(Error::new(format!(
            "Property '{class}.{name}' doesn't take value '0'"
        )));
    }
    set_uint32(m, id, property, input)
}
