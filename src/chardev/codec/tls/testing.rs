//! Certificates for tests, made anew for each.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::{TlsCreds, TlsCredsX509, TlsEndpoint};

/// A CA, and the directory with the certificates it has issued, in files as QEMU names them.
pub(in crate::chardev) struct Pki {
    pub dir: tempfile::TempDir,
    ca: Issuer<'static, KeyPair>,
}

impl Pki {
    /// A CA, a server on the local host, and a client `O=Example,CN=client`.
    pub fn new() -> Self {
        Self::with_ca(|_| {})
    }

    pub fn with_ca(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let pki = Pki {
            dir: tempfile::tempdir().unwrap(),
            ca: Issuer::new(params, key),
        };
        pki.write("ca-cert.pem", pem);
        pki.issue("server", |_| {});
        pki.issue("client", |_| {});
        pki
    }

    /// Makes a certificate and its key anew.
    pub fn issue(&self, role: &str, change: impl FnOnce(&mut CertificateParams)) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let dn = &mut params.distinguished_name;
        dn.push(DnType::OrganizationName, "Example");
        dn.push(DnType::CommonName, role);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match role {
            "server" => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        self.write(&format!("{role}-cert.pem"), certificate.pem());
        self.write(&format!("{role}-key.pem"), key.serialize_pem());
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.dir.path().join(name)).unwrap();
    }

    /// Revokes the certificate of that serial number.
    pub fn revoke(&self, serial: u64) {
        let now = rcgen::date_time_ymd(2020, 1, 1);
        let crl = rcgen::CertificateRevocationListParams {
            this_update: now,
            next_update: rcgen::date_time_ymd(2040, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: serial.into(),
                revocation_time: now,
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let crl = crl.signed_by(&self.ca).unwrap();
        self.write("ca-crl.pem", crl.pem().unwrap());
    }

    pub fn options(&self, endpoint: TlsEndpoint) -> TlsCredsX509 {
        TlsCredsX509::new(self.dir.path(), endpoint)
    }

    #[track_caller]
    pub fn server(&self) -> TlsCreds {
        self.options(TlsEndpoint::Server).load().unwrap()
    }

    #[track_caller]
    pub fn client(&self) -> TlsCreds {
        self.options(TlsEndpoint::Client).load().unwrap()
    }
}
