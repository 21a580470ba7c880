//! Small objects of the host: `thread-context`, `can-bus`,
//! `cryptodev-backend`, and the parents of their types.

use crate::model::qom::{never, Getter, ObjectId, ObjectType, Property, Set, OBJECT};
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};

pub(crate) static TYPES: &[&ObjectType] = &[
    &THREAD_CONTEXT,
    &CAN_BUS,
    &CRYPTODEV_BACKEND,
    &CRYPTODEV_BACKEND_BUILTIN,
];

static THREAD_CONTEXT: ObjectType = ObjectType {
    ..ObjectType::new_user_creatable(
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
            Property::new(
                "cpu-affinity",
                "int",
                Getter::With(cpu_affinity),
                Some(set_affinity),
            ),
        ],
    )
};

fn thread_id(_: &Machine, _: ObjectId) -> QObject {
    i64::from(std::process::id()).into()
}

/// How many processors threads can be bound to.
fn processors() -> i64 {
    let count = std::thread::available_parallelism();
    count.map_or(1, |n| i64::try_from(n.get()).unwrap_or(i64::MAX))
}

/// By default threads run on all processors.
fn cpu_affinity(m: &Machine, id: ObjectId) -> QObject {
    let all = || QObject::List((0..processors()).map(QObject::from).collect());
    m.cell(id, "cpu-affinity").unwrap_or_else(all)
}

/// Whether the host has such a NUMA node; the first one is always there.
fn is_host_node(node: u16) -> bool {
    node == 0 || std::path::Path::new(&format!("/sys/devices/system/node/node{node}")).is_dir()
}

fn set_affinity(set: Set<'_>) -> Result<(), Error> {
    let list = set.input.uint16_list()?;
    let (what, other) = match set.property.name {
        "cpu-affinity" => ("CPU", "node-affinity"),
        _ => ("Node", "cpu-affinity"),
    };
    if !set.is_complete() && set.machine.is_set(set.id, other) {
        return Err(Error::new("Mixing CPU and node affinity not supported"));
    }
    if list.is_empty() {
        return Err(Error::new(format!("{what} list is empty")));
    }
    if what == "CPU" && list.iter().all(|n| i64::from(*n) >= processors()) {
        return Err(Error::new("Setting CPU affinity failed: Invalid argument"));
    }
    if what == "Node" && !list.iter().any(|node| is_host_node(*node)) {
        return Err(Error::new("The nodes select no CPUs"));
    }
    let list = list.into_iter().map(|n| i64::from(n).into()).collect();
    set.store(QObject::List(list))
}

static CAN_BUS: ObjectType = ObjectType {
    can_be_deleted: Some(never),
    ..ObjectType::new_user_creatable("can-bus", &OBJECT, &[])
};

static CRYPTODEV_BACKEND: ObjectType = ObjectType::new_user_creatable(
    "cryptodev-backend",
    &OBJECT,
    &[
        Property::new("throttle-ops", "uint64", Getter::Int(0), Some(set_throttle)),
        Property::new("queues", "uint32", Getter::Int(1), Some(set_queues)),
        Property::new("throttle-bps", "uint64", Getter::Int(0), Some(set_throttle)),
    ],
);
static CRYPTODEV_BACKEND_BUILTIN: ObjectType = ObjectType {
    complete: Some(check_queues),
    ..ObjectType::new_user_creatable("cryptodev-backend-builtin", &CRYPTODEV_BACKEND, &[])
};

fn check_queues(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    match m.int_property(id, "queues") {
        1 => Ok(()),
        _ => Err(Error::new(
            "Only support one queue in cryptdov-builtin backend",
        )),
    }
}

/// Largest limit (`THROTTLE_VALUE_MAX`).
const THROTTLE_VALUE_MAX: u64 = 1_000_000_000_000_000;

fn set_throttle(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.uint64()?;
    if value > THROTTLE_VALUE_MAX {
        return Err(Error::new(format!(
            "bps/iops/max values must be within [0, {THROTTLE_VALUE_MAX}]"
        )));
    }
    set.store(value)
}

fn set_queues(set: Set<'_>) -> Result<(), Error> {
    match set.input.uint32()? {
        0 => Err(Error::new(format!(
            "Property '{}.{}' doesn't take value '0'",
            set.class_name(),
            set.property.name
        ))),
        queues => set.store(queues),
    }
}
