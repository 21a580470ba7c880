//! Checks of a certificate before it is used, and the name in it.
//!
//! A peer refuses a certificate that has expired or is for another use, with an alert
//! that says little. So QEMU checks first (`sanity-check`), and so does this.

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

/// Parts of a name for which GnuTLS does not use the usual abbreviation.
const NAMES: [(ObjectIdentifier, &str); 12] = [
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"),
        "EMAIL",
    ),
    (ObjectIdentifier::new_unwrap("2.5.4.4"), "surName"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "serialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "street"),
    (ObjectIdentifier::new_unwrap("2.5.4.12"), "title"),
    (ObjectIdentifier::new_unwrap("2.5.4.13"), "description"),
    (ObjectIdentifier::new_unwrap("2.5.4.15"), "businessCategory"),
    (ObjectIdentifier::new_unwrap("2.5.4.17"), "postalCode"),
    (ObjectIdentifier::new_unwrap("2.5.4.42"), "givenName"),
    (ObjectIdentifier::new_unwrap("2.5.4.43"), "initials"),
    (ObjectIdentifier::new_unwrap("2.5.4.46"), "dnQualifier"),
    (ObjectIdentifier::new_unwrap("2.5.4.65"), "pseudonym"),
];

/// The subject's name as GnuTLS writes it, most general part first:
/// `C=GB,O=Example,CN=client`. `authz-list` and `authz-simple` compare it.
/// Each part is escaped, so that it cannot pass for several.
pub(super) fn distinguished_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let parts = certificate.tbs_certificate().subject().iter_rdn();
    let parts = parts.map(|part| {
        let values = part.iter().map(|value| {
            let text = value.to_string();
            let name = NAMES.iter().find(|(oid, _)| *oid == value.oid);
            match (name, text.split_once('=')) {
                // A value that is no text is in hexadecimal, behind a number.
                (Some((_, name)), Some((short, rest))) if !short.contains('.') => {
                    format!("{name}={rest}")
                }
                _ => text,
            }
        });
        values.collect::<Vec<_>>().join("+")
    });
    Some(parts.collect::<Vec<_>>().join(","))
}

/// Refuses a certificate of our own that peers would refuse.
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
    if extensions.purposes.is_none_or(fits) {
        return Ok(());
    }
    error(format!(
        "Certificate {path} purpose does not allow use with a TLS {role}"
    ))
}

/// Refuses certificates that are not a CA's, or not valid now.
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

/// Refuses a certificate of our own that the CAs have not issued.
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
            // `BadSignature` means an issuer of a known name with another key.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => "The certificate hasn't got a known issuer".to_owned(),
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

/// The uses that a certificate names; none where it names none.
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

#[cfg(test)]
mod tests {
    use super::super::testing::Pki;
    use super::*;
    use rcgen::{DistinguishedName, DnType};
    use rustls::pki_types::pem::PemObject;

    fn name_of(parts: &[(DnType, &str)]) -> String {
        let pki = Pki::new();
        pki.issue("client", |p| {
            p.distinguished_name = DistinguishedName::new();
            for (part, value) in parts {
                p.distinguished_name.push(part.clone(), *value);
            }
        });
        let pem = pki.read("client-cert.pem");
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        distinguished_name(&certificate).unwrap()
    }

    #[test]
    fn names_are_written_as_gnutls_does() {
        let other = |oid: &[u64]| DnType::CustomDnType(oid.to_vec());
        let name = name_of(&[
            (DnType::CountryName, "DE"),
            (DnType::StateOrProvinceName, "X y"),
            (DnType::LocalityName, "M\u{fc} "),
            (DnType::OrganizationName, "#Org;x"),
            (DnType::OrganizationalUnitName, "Eng"),
            (DnType::CommonName, "a=b,\"c\"\\d<e>"),
            (other(&[1, 2, 840, 113549, 1, 9, 1]), "joe@example.com"),
            (other(&[2, 5, 4, 5]), "77"),
            (other(&[2, 5, 4, 4]), "Doe"),
        ]);
        let expected = "C=DE,ST=X y,L=M\u{fc}\\ ,O=\\#Org\\;x,OU=Eng,\
            CN=a=b\\,\\\"c\\\"\\\\d\\<e\\>,EMAIL=joe@example.com,serialNumber=77,surName=Doe";
        assert_eq!(name, expected);
    }

    #[test]
    fn a_value_cannot_pass_for_another_part() {
        let name = name_of(&[
            (DnType::CommonName, "x,CN=admin"),
            (DnType::OrganizationName, "a\nb"),
        ]);
        assert_eq!(name, "CN=x\\,CN=admin,O=a\\0ab");
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        assert_eq!(distinguished_name(&CertificateDer::from(&b"x"[..])), None);
    }
}
