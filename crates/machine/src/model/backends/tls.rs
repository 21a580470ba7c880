//! Credentials for TLS on sockets. The files are read when the object is made; later
//! changes of files or properties have no effect.
//!
//! Pre-shared keys and anonymous connections are not spoken here, so their
//! types are refused here, and not only in a handshake that fails.

use crate::model::qom::{
    no_longer_set, set_bool, set_str, set_value, Getter, ObjectId, ObjectType, Property, Setter,
    OBJECT,
};
use crate::model::Machine;
use crate::schema::QCryptoTLSCredsEndpoint;
use qmonitor::chardev::{no_tls_credentials, TlsCreds, TlsCredsX509, TlsEndpoint};
use qmonitor::qapi::Error;

pub(crate) static TYPES: &[&ObjectType] = &[
    &TLS_CREDS,
    &TLS_CREDS_ANON,
    &TLS_CREDS_PSK,
    &TLS_CREDS_X509,
    &TLS_CIPHER_SUITES,
];

/// Nothing looks at the properties once the files are read, and turning `verify-peer`
/// on must not seem to have an effect.
const fn property(
    name: &'static str,
    type_name: &'static str,
    get: Getter,
    set: Setter,
) -> Property {
    Property::new(name, type_name, get, Some(set)).frozen(no_longer_set)
}

static TLS_CREDS: ObjectType = ObjectType::new_abstract(
    "tls-creds",
    &OBJECT,
    &[
        property(
            "endpoint",
            "QCryptoTLSCredsEndpoint",
            Getter::Str("client"),
            set_value::<QCryptoTLSCredsEndpoint>,
        ),
        property("dir", "string", Getter::Str(""), set_str),
        property("verify-peer", "bool", Getter::Bool(true), set_bool),
        property("priority", "string", Getter::Str(""), set_str),
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
        &[property("username", "string", Getter::Str(""), set_str)],
    )
};

static TLS_CREDS_X509: ObjectType = ObjectType {
    complete: Some(load_x509),
    ..ObjectType::new_user_creatable(
        "tls-creds-x509",
        &TLS_CREDS,
        &[
            property("sanity-check", "bool", Getter::Bool(true), set_bool),
            property("passwordid", "string", Getter::Str(""), set_str),
        ],
    )
};

static TLS_CIPHER_SUITES: ObjectType = ObjectType {
    complete: Some(check_priority),
    ..ObjectType::new_user_creatable("tls-cipher-suites", &TLS_CREDS, &[])
};

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
    m.set_payload(id, creds);
    Ok(())
}

fn check_priority(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    if m.str_property(id, "priority").is_empty() {
        Err(Error::new("'priority' property is not set"))
    } else {
        Ok(())
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
        let id = self.user_object(name);
        let id = id.ok_or_else(|| no_tls_credentials(name))?;
        self.payload(id)
            .cloned()
            .ok_or_else(|| Error::new(format!("Object with id '{name}' is not TLS credentials")))
    }
}
