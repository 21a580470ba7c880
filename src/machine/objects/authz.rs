//! Who may do what: `authz-list` and `authz-simple`.

use super::OBJECT;
use crate::machine::qom::{set_str, set_value, Getter, ObjectType, Property};
use crate::machine::schema::{QAuthZListPolicy, QAuthZListRule};

pub(super) static TYPES: &[&ObjectType] = &[&AUTHZ, &AUTHZ_LIST, &AUTHZ_SIMPLE];

static AUTHZ: ObjectType = ObjectType::new_abstract("authz", &OBJECT, &[]);

static AUTHZ_LIST: ObjectType = ObjectType::new_user_creatable(
    "authz-list",
    &AUTHZ,
    &[
        Property::new(
            "policy",
            "QAuthZListPolicy",
            Getter::Str("deny"),
            Some(set_value::<QAuthZListPolicy>),
        ),
        Property::new(
            "rules",
            "QAuthZListRule",
            Getter::EmptyList,
            Some(set_value::<Vec<QAuthZListRule>>),
        ),
    ],
);

static AUTHZ_SIMPLE: ObjectType = ObjectType::new_user_creatable(
    "authz-simple",
    &AUTHZ,
    &[Property::new(
        "identity",
        "string",
        Getter::Str(""),
        Some(set_str),
    )],
);
