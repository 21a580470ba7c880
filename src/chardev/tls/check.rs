//! What a certificate must be before it is used, and the name in it.
//!
//! A peer refuses a certificate that has expired or is for something else, with
//! an alert that says little. So QEMU looks first (`sanity-check`), and so does
//! this.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::Certificate;

use super::TlsEndpoint;
use crate::qapi::Error;

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const EMAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// The subject's name as GnuTLS writes it, most general part first:
/// `C=GB,O=Example,CN=client`. `authz-list` and `authz-simple` compare it.
/// Whatever a part holds is escaped, so that it cannot pass for more parts.
pub(super) fn distinguished_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let parts = certificate.tbs_certificate().subject().iter_rdn();
    let parts = parts.map(|part| {
        let values = part.iter().map(|value| {
            let text = value.to_string();
            match text.split_once('=') {
                Some((_, rest)) if value.oid == EMAIL => format!("EMAIL={rest}"),
                _ => text,
            }
        });
        values.collect::<Vec<_>>().join("+")
    });
    Some(parts.collect::<Vec<_>>().join(","))
}

/// Whether our own certificate can be used.
pub(super) fn certificate(
    chain: &[CertificateDer<'_>],
    path: &Path,
    endpoint: TlsEndpoint,
) -> Result<(), Error> {
    let (role, path) = (endpoint.name(), path.display());
    let error = |text: String| Err(Error::new(text));
    let parsed = chain.first().map(|c| Certificate::from_der(c));
    let Some(Ok(certificate)) = parsed else {
        return error(format!(
            "Unable to import {role} certificate {path}: it is malformed"
        ));
    };
    let what = format!("{role} certificate");
    check_times(&certificate, &what, &path)?;
    let extensions = extensions_of(&certificate);
    if extensions.is_ca == Some(true) {
        return error(format!(
            "The certificate {path} basic constraints show a CA, but we need one for a {role}"
        ));
    }
    if extensions.usage.is_some_and(|u| !u.digital_signature()) {
        return error(format!(
            "Certificate {path} usage does not permit digital signature"
        ));
    }
    let purpose = match endpoint {
        TlsEndpoint::Server => SERVER_AUTH,
        TlsEndpoint::Client => CLIENT_AUTH,
    };
    let fits =
        |purposes: ExtendedKeyUsage| purposes.0.iter().any(|p| *p == purpose || *p == ANY_USAGE);
    match extensions.purposes.is_none_or(fits) {
        true => Ok(()),
        false => error(format!(
            "Certificate {path} purpose does not allow use with a TLS {role}"
        )),
    }
}

/// Whether the CAs may be believed.
pub(super) fn authorities(authorities: &[CertificateDer<'_>], path: &Path) -> Result<(), Error> {
    let path = path.display();
    for authority in authorities {
        let certificate = Certificate::from_der(authority)
            .map_err(|_| Error::new(format!("Unable to import CA certificate list {path}")))?;
        check_times(&certificate, "CA certificate", &path)?;
        let extensions = extensions_of(&certificate);
        if extensions.is_ca != Some(true) {
            return Err(Error::new(format!(
                "The certificate {path} basic constraints do not show a CA"
            )));
        }
        if extensions.usage.is_some_and(|u| !u.key_cert_sign()) {
            return Err(Error::new(format!(
                "Certificate {path} usage does not permit certificate signing"
            )));
        }
    }
    Ok(())
}

/// Whether our own certificate is one of the CA's.
pub(super) fn pair(
    chain: &[CertificateDer<'static>],
    path: &Path,
    roots: &RootCertStore,
    ca: &Path,
    endpoint: TlsEndpoint,
    provider: &Arc<CryptoProvider>,
) -> Result<(), Error> {
    let Some((end, between)) = chain.split_first() else {
        return Ok(());
    };
    let result = match endpoint {
        TlsEndpoint::Server => ParsedCertificate::try_from(end).and_then(|end| {
            let algorithms = provider.signature_verification_algorithms.all;
            let now = UnixTime::now();
            verify_server_cert_signed_by_trust_anchor(&end, roots, between, now, algorithms)
        }),
        TlsEndpoint::Client => {
            let roots = Arc::new(roots.clone());
            WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|e| rustls::Error::General(e.to_string()))
                .and_then(|v| v.verify_client_cert(end, between, UnixTime::now()))
                .map(drop)
        }
    };
    result.map_err(|e| {
        let reason = match e {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "The certificate hasn't got a known issuer".to_owned()
            }
            e => e.to_string(),
        };
        Error::new(format!(
            "Our own certificate {} failed validation against {}: {reason}",
            path.display(),
            ca.display()
        ))
    })
}

fn check_times(
    certificate: &Certificate,
    what: &str,
    path: &impl std::fmt::Display,
) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO);
    let validity = certificate.tbs_certificate().validity();
    if validity.not_after.to_unix_duration() < now {
        return Err(Error::new(format!("The {what} {path} has expired")));
    }
    if validity.not_before.to_unix_duration() > now {
        return Err(Error::new(format!("The {what} {path} is not yet active")));
    }
    Ok(())
}

/// What a certificate says it is for; nothing where it does not say.
struct Extensions {
    is_ca: Option<bool>,
    usage: Option<KeyUsage>,
    purposes: Option<ExtendedKeyUsage>,
}

fn extensions_of(certificate: &Certificate) -> Extensions {
    let tbs = certificate.tbs_certificate();
    // One that cannot be read is found out when the certificate is verified.
    let constraints = tbs.get_extension::<BasicConstraints>().ok().flatten();
    Extensions {
        is_ca: constraints.map(|(_, c)| c.ca),
        usage: tbs.get_extension().ok().flatten().map(|(_, usage)| usage),
        purposes: tbs.get_extension().ok().flatten().map(|(_, p)| p),
    }
}
