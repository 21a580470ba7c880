//! Credentials for TLS, as data: nothing here speaks TLS, but files that would
//! be needed must be there.

use std::path::Path;

use super::OBJECT;
use crate::machine::qom::{set_bool, set_str, set_value, Getter, ObjectId, ObjectType, Property};
use crate::machine::schema::QCryptoTLSCredsEndpoint;
use crate::machine::Machine;
use crate::qapi::Error;

pub(super) static TYPES: &[&ObjectType] = &[
    &TLS_CREDS,
    &TLS_CREDS_ANON,
    &TLS_CREDS_PSK,
    &TLS_CREDS_X509,
    &TLS_CIPHER_SUITES,
];

static TLS_CREDS: ObjectType = ObjectType::new_abstract(
    "tls-creds",
    &OBJECT,
    &[
        Property::new(
            "endpoint",
            "QCryptoTLSCredsEndpoint",
            Getter::Str("client"),
            Some(set_value::<QCryptoTLSCredsEndpoint>),
        ),
        Property::new("dir", "string", Getter::Str(""), Some(set_str)),
        Property::new("verify-peer", "bool", Getter::Bool(true), Some(set_bool)),
        Property::new("priority", "string", Getter::Str(""), Some(set_str)),
    ],
);

static TLS_CREDS_ANON: ObjectType =
    ObjectType::new_user_creatable("tls-creds-anon", &TLS_CREDS, &[]);

static TLS_CREDS_PSK: ObjectType = ObjectType {
    complete: Some(find_psk),
    ..ObjectType::new_user_creatable(
        "tls-creds-psk",
        &TLS_CREDS,
        &[Property::new(
            "username",
            "string",
            Getter::Str(""),
            Some(set_str),
        )],
    )
};

static TLS_CREDS_X509: ObjectType = ObjectType {
    complete: Some(find_x509),
    ..ObjectType::new_user_creatable(
        "tls-creds-x509",
        &TLS_CREDS,
        &[
            Property::new("sanity-check", "bool", Getter::Bool(true), Some(set_bool)),
            Property::new("passwordid", "string", Getter::Str(""), Some(set_str)),
        ],
    )
};

static TLS_CIPHER_SUITES: ObjectType = ObjectType {
    complete: Some(check_priority),
    ..ObjectType::new_user_creatable("tls-cipher-suites", &TLS_CREDS, &[])
};

fn find_psk(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    find_file(m, id, "keys.psk")
}

fn find_x509(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    find_file(m, id, "ca-cert.pem")?;
    if m.str_property(id, "endpoint") == "server" {
        find_file(m, id, "server-cert.pem")?;
        find_file(m, id, "server-key.pem")?;
    }
    Ok(())
}

fn find_file(m: &Machine, id: ObjectId, name: &str) -> Result<(), Error> {
    let dir = m.str_property(id, "dir");
    if dir.is_empty() {
        return Err(Error::new("Missing 'dir' property value"));
    }
    let path = Path::new(&dir).join(name);
    match std::fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(e) => {
            let what = format!("Unable to access credentials {}", path.display());
            Err(Error::from_io(what, &e))
        }
    }
}

fn check_priority(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    match m.str_property(id, "priority").is_empty() {
        true => Err(Error::new("'priority' property is not set")),
        false => Ok(()),
    }
}
