//! Event loops: `iothread` and `main-loop`.
//!
//! An iothread has a thread of the host, which waits: all is done by the main loop.

use std::time::Duration;

use crate::model::qom::{never, Getter, ObjectId, ObjectType, Property, Set, OBJECT};
use crate::model::thread::HostThread;
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};
use qmonitor::Profile;

pub(crate) static TYPES: &[&ObjectType] = &[&EVENT_LOOP_BASE, &IOTHREAD, &MAIN_LOOP];

static EVENT_LOOP_BASE: ObjectType = ObjectType {
    complete: Some(check_thread_pool),
    ..ObjectType::new_abstract(
        "event-loop-base",
        &OBJECT,
        &[
            Property::new("thread-pool-min", "int", Getter::Int(0), Some(set_pool)),
            Property::new("aio-max-batch", "int", Getter::Int(0), Some(set_param)),
            Property::new("thread-pool-max", "int", Getter::Int(64), Some(set_pool)),
        ],
    )
};

static IOTHREAD: ObjectType = ObjectType {
    complete: Some(start_thread),
    ..ObjectType::new_user_creatable(
        "iothread",
        &EVENT_LOOP_BASE,
        &[
            Property::new("poll-max-ns", "int", Getter::Int(32768), Some(set_param)),
            Property::new("poll-grow", "int", Getter::With(poll_grow), Some(set_param)),
            Property::new(
                "poll-shrink",
                "int",
                Getter::With(poll_shrink),
                Some(set_param),
            ),
            Property::new("poll-weight", "int", Getter::Int(3), Some(set_param))
                .since(Profile::V11_1),
        ],
    )
};

static MAIN_LOOP: ObjectType = ObjectType {
    can_be_deleted: Some(never),
    complete: Some(check_only_main_loop),
    ..ObjectType::new_user_creatable("main-loop", &EVENT_LOOP_BASE, &[])
};

fn poll_grow(m: &Machine, id: ObjectId) -> QObject {
    poll_factor(m, id, "poll-grow")
}

fn poll_shrink(m: &Machine, id: ObjectId) -> QObject {
    poll_factor(m, id, "poll-shrink")
}

fn poll_factor(m: &Machine, id: ObjectId, name: &str) -> QObject {
    let default = m.profile.iothread_poll_factor();
    m.cell(id, name).unwrap_or_else(|| default.into())
}

fn read_param(set: &Set<'_>) -> Result<i64, Error> {
    let value = set.input.int()?;
    if value < 0 {
        return Err(Error::new(format!(
            "{} value must be in range [0, {}]",
            set.property.name,
            i64::MAX
        )));
    }
    Ok(value)
}

fn set_param(set: Set<'_>) -> Result<(), Error> {
    let value = read_param(&set)?;
    set.store(value)
}

/// The value stays even if it does not go with the other one, as in QEMU.
fn set_pool(set: Set<'_>) -> Result<(), Error> {
    let value = read_param(&set)?;
    let (machine, id) = (set.machine, set.id);
    machine.store(id, set.property, value);
    if machine.is_complete(id) {
        return check_thread_pool(machine, id);
    }
    Ok(())
}

fn check_thread_pool(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let min = m.int_property(id, "thread-pool-min");
    let max = m.int_property(id, "thread-pool-max");
    if max == 0 || min > max || max > i64::from(i32::MAX) {
        Err(Error::new("bad thread-pool-min/thread-pool-max values"))
    } else {
        Ok(())
    }
}

fn start_thread(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let name = m.object(id).map_or("", |o| o.name());
    let name = m.debug_threads.then(|| format!("IO {name}"));
    let thread = HostThread::start(name, Duration::ZERO)?;
    m.set_payload(id, thread);
    Ok(())
}

fn check_only_main_loop(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let is_main_loop = |other| m.object(other).is_some_and(|o| o.class().is_a("main-loop"));
    if m.user_objects().any(|(_, o)| o != id && is_main_loop(o)) {
        Err(Error::new("only one main-loop instance allowed"))
    } else {
        Ok(())
    }
}

/// An iothread (`IOThreadInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IothreadParams {
    /// Its id.
    pub id: String,
    /// Its thread on the host.
    pub thread_id: i64,
    /// Longest time to poll, in nanoseconds.
    pub poll_max_ns: i64,
    /// Factor by which polling time grows.
    pub poll_grow: i64,
    /// Divisor by which it shrinks.
    pub poll_shrink: i64,
    /// How much the last wait counts, as a power of two; no parameter
    /// before QEMU 11.
    pub poll_weight: i64,
    /// Requests that go to the kernel at once.
    pub aio_max_batch: i64,
}

impl Machine {
    /// The iothreads (`query-iothreads`), in the order of QEMU's walk, in which listings are
    /// the other way round.
    pub fn iothreads(&self) -> Vec<IothreadParams> {
        let objects = self.listed_children(self.objects_container);
        objects
            .into_iter()
            .rev()
            .filter(|(_, id)| self.object(*id).is_some_and(|o| o.class().is_a("iothread")))
            .map(|(name, id)| IothreadParams {
                id: name.to_owned(),
                thread_id: self.payload(id).map_or(0, HostThread::id),
                poll_max_ns: self.int_property(id, "poll-max-ns"),
                poll_grow: self.int_property(id, "poll-grow"),
                poll_shrink: self.int_property(id, "poll-shrink"),
                poll_weight: self.int_property(id, "poll-weight"),
                aio_max_batch: self.int_property(id, "aio-max-batch"),
            })
            .collect()
    }
}
