//! From a directory of PEM files to a configuration of rustls.
//!
//! The names of the files and the texts of errors are QEMU's. Where GnuTLS adds to a
//! text ("Base64 decoding error."), the words are ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};

use super::check;
use super::{TlsCredsX509, TlsEndpoint};
use crate::qapi::Error;

#[derive(Clone)]
pub(super) enum Loaded {
    Server(Arc<ServerConfig>),
    Client(Arc<ClientConfig>),
}

/// The files of our own certificate, with those up to its CA, and of its key.
struct Own {
    cert: PathBuf,
    key: PathBuf,
}

pub(super) fn load(creds: &TlsCredsX509) -> Result<Loaded, Error> {
    if creds.dir.as_os_str().is_empty() {
        return Err(Error::new("Missing 'dir' property value"));
    }
    let role = creds.endpoint.name();
    let required = creds.endpoint == TlsEndpoint::Server;
    let file = |name: &str, required| access(creds.dir.join(name), required);
    let ca = creds.dir.join("ca-cert.pem");
    file("ca-cert.pem", true)?;
    let crl = file("ca-crl.pem", false)?;
    let own = match (
        file(&format!("{role}-cert.pem"), required)?,
        file(&format!("{role}-key.pem"), required)?,
    ) {
        (Some(cert), Some(key)) => Some(Own { cert, key }),
        // A client may lack them, or one of them.
        _ => None,
    };
    let versions = versions(&creds.priority)?;

    let provider = Arc::new(ring::default_provider());
    let authorities = read_authorities(&ca)?;
    let chain = match &own {
        Some(own) => read_chain(&own.cert, role)?,
        None => Vec::new(),
    };
    let mut roots = RootCertStore::empty();
    for authority in &authorities {
        roots
            .add(authority.clone())
            .map_err(|_| cannot_import(&ca))?;
    }
    if creds.sanity_check {
        if let Some(own) = &own {
            check::certificate(&chain, &own.cert, creds.endpoint)?;
        }
        check::authorities(&authorities, &ca)?;
        if let Some(own) = &own {
            check::pair(&chain, &own.cert, &roots, &ca, creds.endpoint, &provider)?;
        }
    }
    let crls = match &crl {
        Some(path) => read_crls(path)?,
        None => Vec::new(),
    };
    let own = match own {
        Some(own) => Some((chain, read_key(&own)?, own)),
        None => None,
    };
    let trust = Trust {
        roots: Arc::new(roots),
        crls,
        ca,
        provider,
    };
    match creds.endpoint {
        TlsEndpoint::Server => server(creds, trust, &versions, own).map(Loaded::Server),
        TlsEndpoint::Client => client(creds, trust, &versions, own).map(Loaded::Client),
    }
}

/// The CAs and lists that decide which peers to believe.
struct Trust {
    roots: Arc<RootCertStore>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    ca: PathBuf,
    provider: Arc<CryptoProvider>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Own);

fn server(
    creds: &TlsCredsX509,
    trust: Trust,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<Identity>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(trust.provider.clone())
        .with_protocol_versions(versions)
        .map_err(|e| Error::new(e.to_string()))?;
    let builder = if creds.verify_peer {
        let verifier = WebPkiClientVerifier::builder_with_provider(trust.roots, trust.provider)
            .with_crls(trust.crls)
            // Lists name revoked certificates only.
            .allow_unknown_revocation_status()
            .build()
            .map_err(|_| cannot_import(&trust.ca))?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let Some((chain, key, own)) = own else {
        return Err(Error::new("A TLS server needs a certificate"));
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| own.cannot_load(&key_problem(&e)))?;
    // Sessions are few and long, and each peer is checked anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn client(
    creds: &TlsCredsX509,
    trust: Trust,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<Identity>,
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(trust.provider.clone())
        .with_protocol_versions(versions)
        .map_err(|e| Error::new(e.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = if creds.verify_peer {
        WebPkiServerVerifier::builder_with_provider(trust.roots, trust.provider)
            .with_crls(trust.crls)
            .allow_unknown_revocation_status()
            .build()
            .map_err(|_| cannot_import(&trust.ca))?
    } else {
        Arc::new(AnyServer(trust.provider))
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some((chain, key, own)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|e| own.cannot_load(&key_problem(&e)))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The file, if it is there.
fn access(path: PathBuf, required: bool) -> Result<Option<PathBuf>, Error> {
    match fs::metadata(&path) {
        Ok(_) => Ok(Some(path)),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !required => Ok(None),
        Err(e) => {
            let what = format!("Unable to access credentials {}", path.display());
            Err(Error::from_io(what, &e))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path)
        .map_err(|e| Error::from_io(format!("Unable to read credentials {}", path.display()), &e))
}

fn cannot_import(ca: &Path) -> Error {
    Error::new(format!(
        "Unable to import CA certificate list {}",
        ca.display()
    ))
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path)?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let list = list.map_err(|_| cannot_import(path))?;
    if list.is_empty() {
        Err(cannot_import(path))
    } else {
        Ok(list)
    }
}

fn read_chain(path: &Path, role: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |reason: &str| {
        let path = path.display();
        Error::new(format!(
            "Unable to import {role} certificate {path}: {reason}"
        ))
    };
    let pem = read(path)?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let list = list.map_err(|e| failed(&e.to_string()))?;
    if list.is_empty() {
        Err(failed("there is no certificate in PEM form in it"))
    } else {
        Ok(list)
    }
}

fn read_crls(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let failed =
        |reason: &str| Error::new(format!("Cannot load CRL '{}': {reason}", path.display()));
    let pem = read(path)?;
    let list: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let list = list.map_err(|e| failed(&e.to_string()))?;
    if list.is_empty() {
        Err(failed("there is no revocation list in PEM form in it"))
    } else {
        Ok(list)
    }
}

fn read_key(own: &Own) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = read(&own.key)?;
    let encrypted = |word: &[u8]| pem.windows(word.len()).any(|w| w == word);
    if encrypted(b"BEGIN ENCRYPTED PRIVATE KEY") || encrypted(b"Proc-Type: 4,ENCRYPTED") {
        return Err(own.cannot_load("encrypted keys are not supported"));
    }
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| own.cannot_load("there is no key in PEM form in the latter"))
}

impl Own {
    fn cannot_load(&self, reason: &str) -> Error {
        Error::new(format!(
            "Cannot load certificate '{}' & key '{}': {reason}",
            self.cert.display(),
            self.key.display()
        ))
    }
}

fn key_problem(e: &rustls::Error) -> String {
    match e {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "The certificate and the given key do not match.".to_owned()
        }
        e => e.to_string(),
    }
}

/// The versions that a priority string leaves.
fn versions(priority: &str) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let refused = || {
        Error::new(format!(
            "TLS priority '{priority}' is not supported: only 'NORMAL' and after it \
             -VERS-ALL, +VERS-TLS1.2, -VERS-TLS1.2, +VERS-TLS1.3, -VERS-TLS1.3"
        ))
    };
    let mut words = priority.split(':');
    if !matches!(words.next(), Some("" | "NORMAL")) {
        return Err(refused());
    }
    let (mut tls12, mut tls13) = (true, true);
    for word in words {
        match word {
            "-VERS-ALL" | "-VERS-TLS-ALL" => (tls12, tls13) = (false, false),
            "+VERS-TLS1.2" => tls12 = true,
            "-VERS-TLS1.2" => tls12 = false,
            "+VERS-TLS1.3" => tls13 = true,
            "-VERS-TLS1.3" => tls13 = false,
            // These are never spoken.
            "-VERS-SSL3.0" | "-VERS-TLS1.0" | "-VERS-TLS1.1" => {}
            _ => return Err(refused()),
        }
    }
    let all = [
        (tls12, &rustls::version::TLS12),
        (tls13, &rustls::version::TLS13),
    ];
    let chosen: Vec<_> = all.into_iter().filter(|v| v.0).map(|v| v.1).collect();
    if chosen.is_empty() {
        Err(refused())
    } else {
        Ok(chosen)
    }
}

/// For `verify-peer=off`: whoever it is, the connection is encrypted.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pki;
    use super::*;
    use rcgen::{date_time_ymd, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

    /// The error, with the directory's name taken out.
    fn error(pki: &Pki, endpoint: TlsEndpoint) -> String {
        let e = match pki.options(endpoint).load() {
            Ok(_) => return "fine".to_owned(),
            Err(e) => e.to_string(),
        };
        e.replace(&pki.dir.path().display().to_string(), "DIR")
    }

    #[test]
    fn missing_files() {
        use TlsEndpoint::{Client, Server};
        for (name, endpoint, needed) in [
            ("ca-cert.pem", Server, true),
            ("server-cert.pem", Server, true),
            ("server-key.pem", Server, true),
            ("client-cert.pem", Server, false),
            ("ca-cert.pem", Client, true),
            ("server-key.pem", Client, false),
            ("client-cert.pem", Client, false),
            ("client-key.pem", Client, false),
        ] {
            let pki = Pki::new();
            pki.remove(name);
            let expected = if needed {
                format!("Unable to access credentials DIR/{name}: No such file or directory")
            } else {
                "fine".to_owned()
            };
            assert_eq!(error(&pki, endpoint), expected);
        }
    }

    #[test]
    fn files_with_the_wrong_contents() {
        const PAIR: &str =
            "Cannot load certificate 'DIR/server-cert.pem' & key 'DIR/server-key.pem'";
        let no_crl =
            "Cannot load CRL 'DIR/ca-crl.pem': there is no revocation list in PEM form in it";
        let other_key = Pki::new().read("server-key.pem");
        let other_ca = Pki::new().read("ca-cert.pem");
        for (name, text, expected) in [
            ("ca-cert.pem", "x", "Unable to import CA certificate list DIR/ca-cert.pem".to_owned()),
            ("server-cert.pem", "x", "Unable to import server certificate DIR/server-cert.pem: there is no certificate in PEM form in it".to_owned()),
            ("server-key.pem", "x", format!("{PAIR}: there is no key in PEM form in the latter")),
            ("server-key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----", format!("{PAIR}: encrypted keys are not supported")),
            ("server-key.pem", "Proc-Type: 4,ENCRYPTED", format!("{PAIR}: encrypted keys are not supported")),
            ("server-key.pem", &other_key, format!("{PAIR}: The certificate and the given key do not match.")),
            ("ca-cert.pem", &other_ca, "Our own certificate DIR/server-cert.pem failed validation against DIR/ca-cert.pem: The certificate hasn't got a known issuer".to_owned()),
            ("ca-crl.pem", "x", no_crl.to_owned()),
        ] {
            let pki = Pki::new();
            pki.write(name, text);
            assert_eq!(error(&pki, TlsEndpoint::Server), expected);
        }
    }

    #[test]
    fn certificates_that_are_for_something_else() {
        type Change = fn(&mut CertificateParams);
        let own = "DIR/server-cert.pem";
        let table: [(Change, String); 5] = [
            (|p| p.not_after = date_time_ymd(2021, 1, 1), format!("The server certificate {own} has expired")),
            (|p| p.not_before = date_time_ymd(2990, 1, 1), format!("The server certificate {own} is not yet active")),
            (|p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement], format!("Certificate {own} usage does not permit digital signature")),
            (|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], format!("Certificate {own} purpose does not allow use with a TLS server")),
            (|p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained), format!("The certificate {own} basic constraints show a CA, but we need one for a server")),
        ];
        for (change, expected) in table {
            let pki = Pki::new();
            pki.issue("server", change);
            assert_eq!(error(&pki, TlsEndpoint::Server), expected);
            let mut unchecked = pki.options(TlsEndpoint::Server);
            unchecked.sanity_check = false;
            assert!(unchecked.load().is_ok(), "{expected}");
        }
        let table: [(Change, &str); 4] = [
            (
                |p| p.not_after = date_time_ymd(2021, 1, 1),
                "The CA certificate DIR/ca-cert.pem has expired",
            ),
            (
                |p| p.not_before = date_time_ymd(2990, 1, 1),
                "The CA certificate DIR/ca-cert.pem is not yet active",
            ),
            (
                |p| p.is_ca = IsCa::ExplicitNoCa,
                "The certificate DIR/ca-cert.pem basic constraints do not show a CA",
            ),
            (
                |p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature],
                "Certificate DIR/ca-cert.pem usage does not permit certificate signing",
            ),
        ];
        for (change, expected) in table {
            assert_eq!(error(&Pki::with_ca(change), TlsEndpoint::Server), expected);
        }
    }

    #[test]
    fn priorities() {
        for (priority, expected) in [
            ("", Some(2)),
            ("NORMAL", Some(2)),
            ("NORMAL:-VERS-TLS1.0:-VERS-TLS1.1", Some(2)),
            ("NORMAL:-VERS-TLS1.2", Some(1)),
            ("NORMAL:-VERS-ALL:+VERS-TLS1.3", Some(1)),
            ("NORMAL:-VERS-ALL", None),
            ("NORMAL:+VERS-TLS1.0", None),
            ("NORMAL:-AES-128-GCM", None),
            ("SECURE256", None),
            ("normal", None),
        ] {
            let versions = versions(priority).map(|v| v.len()).ok();
            assert_eq!(versions, expected, "{priority}");
        }
    }
}
