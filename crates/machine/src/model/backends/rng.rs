//! Sources of random numbers: `rng-builtin`, `rng-random`, `rng-egd`.

use crate::model::qom::{no_longer_set, set_str, Getter, ObjectId, ObjectType, Property, OBJECT};
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};

pub(crate) static TYPES: &[&ObjectType] = &[&RNG_BACKEND, &RNG_BUILTIN, &RNG_RANDOM, &RNG_EGD];

static RNG_BACKEND: ObjectType = ObjectType::new_abstract(
    "rng-backend",
    &OBJECT,
    &[Property::new("opened", "bool", Getter::With(opened), None)],
);

fn opened(m: &Machine, id: ObjectId) -> QObject {
    m.is_complete(id).into()
}

static RNG_BUILTIN: ObjectType = ObjectType::new_user_creatable("rng-builtin", &RNG_BACKEND, &[]);

static RNG_RANDOM: ObjectType = ObjectType {
    complete: Some(open_random),
    ..ObjectType::new_user_creatable(
        "rng-random",
        &RNG_BACKEND,
        &[Property::new(
            "filename",
            "string",
            Getter::Str("/dev/urandom"),
            Some(set_str),
        )
        .frozen_once_read(no_longer_set)],
    )
};

// The caller of `object_add` attaches the chardev.
static RNG_EGD: ObjectType = ObjectType::new_user_creatable(
    "rng-egd",
    &RNG_BACKEND,
    &[
        Property::new("chardev", "string", Getter::Str(""), Some(set_str))
            .frozen_once_read(no_longer_set),
    ],
);

/// Nothing draws numbers from it, so it is enough that the file can be opened.
fn open_random(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let filename = m.str_property(id, "filename");
    match std::fs::File::open(&filename) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::from_io(format!("Could not open '{filename}'"), &e)),
    }
}
