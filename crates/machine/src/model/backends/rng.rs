//! Sources of random numbers: `rng-builtin`, `rng-random`, `rng-egd`.

use super::OBJECT;
use crate::model::qom::{
    check_incomplete, set_str, Getter, ObjectId, ObjectType, Property, PropertyInput,
};
use crate::Machine;
use qmonitor::qapi::{Error, QObject};

pub(super) static TYPES: &[&ObjectType] = &[&RNG_BACKEND, &RNG_BUILTIN, &RNG_RANDOM, &RNG_EGD];

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
            Some(set_until_complete),
        )],
    )
};

// Whoever completes it attaches the chardev.
static RNG_EGD: ObjectType = ObjectType::new_user_creatable(
    "rng-egd",
    &RNG_BACKEND,
    &[Property::new(
        "chardev",
        "string",
        Getter::Str(""),
        Some(set_until_complete),
    )],
);

fn set_until_complete(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    // A value that makes no sense is refused as such, even then.
    input.string()?;
    check_incomplete(m, id, property)?;
    set_str(m, id, property, input)
}

/// Nobody draws numbers from it, so it is enough that the file could be opened.
fn open_random(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let filename = m.str_property(id, "filename");
    match std::fs::File::open(&filename) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::from_io(format!("Could not open '{filename}'"), &e)),
    }
}
