//! Credentials for TLS on sockets. The files are read when the object is made;
//! what is in them later, or in the properties, does not matter any more.
//!
//! Pre-shared keys and anonymous connections are not spoken here, so their
//! types are refused: nobody shall find out only from a handshake that fails.

use super::OBJECT;
use crate::model::qom::{
    set_bool, set_str, set_value, Getter, ObjectId, ObjectType, Property, PropertyInput,
};
use crate::schema::QCryptoTLSCredsEndpoint;
use crate::Machine;
use qmonitor::chardev::{no_tls_credentials, TlsCreds, TlsCredsX509, TlsEndpoint};
use qmonitor::qapi::Error;

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
            Some(set_before_use),
        ),
        Property::new("dir", "string", Getter::Str(""), Some(set_before_use)),
        Property::new(
            "verify-peer",
            "bool",
            Getter::Bool(true),
            Some(set_before_use),
        ),
        Property::new("priority", "string", Getter::Str(""), Some(set_before_use)),
    ],
);

static TLS_CREDS_ANON: ObjectType = ObjectType {
    complete: Some(refuse),
    ..ObjectType::new_user_creatable("tls-creds-anon", &TLS_CREDS, &[])
};

static TLS_CREDS_PSK: ObjectType = ObjectType {
    complete: Some(refuse),
    ..ObjectType::new_user_creatable(
        "tls-creds-psk",
        &TLS_CREDS,
        &[Property::new(
            "username",
            "string",
            Getter::Str(""),
            Some(set_before_use),
        )],
    )
};

static TLS_CREDS_X509: ObjectType = ObjectType {
    complete: Some(load_x509),
    ..ObjectType::new_user_creatable(
        "tls-creds-x509",
        &TLS_CREDS,
        &[
            Property::new(
                "sanity-check",
                "bool",
                Getter::Bool(true),
                Some(set_before_use),
            ),
            Property::new(
                "passwordid",
                "string",
                Getter::Str(""),
                Some(set_before_use),
            ),
        ],
    )
};

static TLS_CIPHER_SUITES: ObjectType = ObjectType {
    complete: Some(check_priority),
    ..ObjectType::new_user_creatable("tls-cipher-suites", &TLS_CREDS, &[])
};

/// Sets a property of any of these types. Later nobody would look at it, and
/// whoever turns `verify-peer` on shall not believe that it is.
fn set_before_use(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let name = property.name;
    if m.is_complete(id) {
        return Err(Error::new(format!(
            "Property '{name}' can no longer be set"
        )));
    }
    let set = match name {
        "endpoint" => set_value::<QCryptoTLSCredsEndpoint>,
        "verify-peer" | "sanity-check" => set_bool,
        _ => set_str,
    };
    set(m, id, property, input)
}

fn refuse(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let name = m.object(id).map_or("", |o| o.class().name);
    Err(Error::new(format!(
        "TLS credentials of type '{name}' are not supported, only 'tls-creds-x509'"
    )))
}

fn load_x509(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let password = m.str_property(id, "passwordid");
    if !password.is_empty() {
        super::secret::find(m, &password)?;
    }
    let endpoint = match m.str_property(id, "endpoint").as_str() {
        "server" => TlsEndpoint::Server,
        _ => TlsEndpoint::Client,
    };
    let creds = TlsCredsX509 {
        verify_peer: m.bool_property(id, "verify-peer"),
        sanity_check: m.bool_property(id, "sanity-check"),
        priority: m.str_property(id, "priority"),
        ..TlsCredsX509::new(m.str_property(id, "dir"), endpoint)
    };
    let creds = creds.load()?;
    if let Some(object) = m.object_mut(id) {
        object.tls = Some(creds);
    }
    Ok(())
}

fn check_priority(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    match m.str_property(id, "priority").is_empty() {
        true => Err(Error::new("'priority' property is not set")),
        false => Ok(()),
    }
}

impl Machine {
    /// The credentials of that id.
    ///
    /// # Errors
    ///
    /// `No TLS credentials with id 'x'`, `Object with id 'x' is not TLS
    /// credentials`.
    pub fn tls_creds(&self, name: &str) -> Result<TlsCreds, Error> {
        let object = self.user_object(name).and_then(|id| self.object(id));
        let object = object.ok_or_else(|| no_tls_credentials(name))?;
        object
            .tls
            .clone()
            .ok_or_else(|| Error::new(format!("Object with id '{name}' is not TLS credentials")))
    }
}
