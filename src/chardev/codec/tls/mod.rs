//! TLS on a socket: credentials, and the protocol as a codec.
//!
//! A monitor can do anything to its machine, so one that listens on a network must
//! know its peer. As in QEMU that takes two things, both named by id:
//! *credentials*, certificates in a directory, and perhaps an *authorization*
//! that lets in only some peers with a valid certificate.
//!
//! ```text
//!   ChardevHost::tls_creds(id) ──▶ TlsCreds ──▶ TlsChannel
//!                                                 │   ▲
//!                     socket ──▶ receive ─────────┤   ├── send ◀── front end
//!                     socket ◀── take_output ─────┤   │
//!                                                 ▼   │
//!                                              plain bytes
//! ```
//!
//! The channel knows no socket: bytes in, bytes out. The crate rustls does the
//! work, behind the Cargo feature `tls`; without the feature credentials cannot
//! be loaded, so there is never a channel.
//!
//! | file | what it is |
//! |---|---|
//! | `mod` | credentials, and their options |
//! | `load` | from a directory of PEM files to a configuration of rustls |
//! | `check` | checks of a certificate before it is used; names in certificates |
//! | `channel` | the codec |

#[cfg(feature = "tls")]
mod channel;
#[cfg(feature = "tls")]
mod check;
#[cfg(feature = "tls")]
mod load;

#[cfg(not(feature = "tls"))]
mod absent;

#[cfg(all(test, feature = "tls"))]
pub(in crate::chardev) mod testing;

use std::fmt;
use std::path::PathBuf;

use crate::qapi::Error;

#[cfg(not(feature = "tls"))]
use absent as load;
#[cfg(not(feature = "tls"))]
pub(in crate::chardev) use absent::TlsChannel;
#[cfg(feature = "tls")]
pub(in crate::chardev) use channel::TlsChannel;

/// Which side of a connection credentials are for (QEMU's
/// `QCryptoTLSCredsEndpoint`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsEndpoint {
    /// The side that accepts.
    Server,
    /// The side that connects.
    Client,
}

impl TlsEndpoint {
    /// `server` or `client`, also the beginning of the names of its files.
    pub fn name(self) -> &'static str {
        match self {
            TlsEndpoint::Server => "server",
            TlsEndpoint::Client => "client",
        }
    }
}

/// The options of QEMU's object `tls-creds-x509`: certificates in PEM files of fixed
/// names in one directory.
///
/// | file | needed by |
/// |---|---|
/// | `ca-cert.pem` | both: the CAs to believe |
/// | `ca-crl.pem` | neither; certificates that were revoked |
/// | `server-cert.pem`, `server-key.pem` | a server |
/// | `client-cert.pem`, `client-key.pem` | a client whose server asks for it |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCredsX509 {
    /// Where the files are.
    pub dir: PathBuf,
    /// Which side they are for.
    pub endpoint: TlsEndpoint,
    /// Whether the peer must have a certificate of a CA in `ca-cert.pem`.
    pub verify_peer: bool,
    /// Whether files are refused that would only fail later: certificates that have
    /// expired, or are for another use.
    pub sanity_check: bool,
    /// A GnuTLS priority string. Only `NORMAL` and the choice of versions are
    /// understood (`NORMAL:-VERS-TLS1.2`); empty for the default, TLS 1.2 and 1.3.
    pub priority: String,
}

impl TlsCredsX509 {
    /// The files in `dir`, with QEMU's defaults: everything is checked.
    pub fn new(dir: impl Into<PathBuf>, endpoint: TlsEndpoint) -> Self {
        TlsCredsX509 {
            dir: dir.into(),
            endpoint,
            verify_peer: true,
            sanity_check: true,
            priority: String::new(),
        }
    }

    /// Reads the files. Later changes to them have no effect.
    ///
    /// # Errors
    ///
    /// `Unable to access credentials PATH: REASON`, `The server certificate
    /// PATH has expired`, and so on, each naming the file. Without the Cargo
    /// feature `tls`, that this build has none.
    ///
    /// ```
    /// use qmonitor::chardev::{TlsCredsX509, TlsEndpoint};
    ///
    /// let e = TlsCredsX509::new("/nonexistent", TlsEndpoint::Server).load().unwrap_err();
    /// # #[cfg(feature = "tls")]
    /// assert_eq!(
    ///     e.desc(),
    ///     "Unable to access credentials /nonexistent/ca-cert.pem: No such file or directory"
    /// );
    /// ```
    pub fn load(&self) -> Result<TlsCreds, Error> {
        Ok(TlsCreds {
            endpoint: self.endpoint,
            verify_peer: self.verify_peer,
            loaded: load::load(self)?,
        })
    }
}

/// Credentials ready for use; a copy shares them. Made by
/// [`TlsCredsX509::load`].
#[derive(Clone)]
pub struct TlsCreds {
    endpoint: TlsEndpoint,
    verify_peer: bool,
    loaded: load::Loaded,
}

impl TlsCreds {
    /// Which side they are for.
    pub(in crate::chardev) fn endpoint(&self) -> TlsEndpoint {
        self.endpoint
    }

    /// Whether the peer must have a certificate.
    pub fn verify_peer(&self) -> bool {
        self.verify_peer
    }
}

impl fmt::Debug for TlsCreds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the keys.
        f.debug_struct("TlsCreds")
            .field("endpoint", &self.endpoint)
            .field("verify_peer", &self.verify_peer)
            .finish_non_exhaustive()
    }
}

/// The error of credentials that are not there.
pub fn no_tls_credentials(id: &str) -> Error {
    Error::new(format!("No TLS credentials with id '{id}'"))
}

/// The error of an authorization that is not there.
pub fn no_authz(id: &str) -> Error {
    Error::new(format!("Cannot find QAuthZ object ID {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        let e = TlsCredsX509::new("/x", TlsEndpoint::Client).load();
        assert_eq!(
            e.unwrap_err().desc(),
            "TLS credentials support requires a build with the Cargo feature 'tls'"
        );
    }

    #[test]
    fn defaults_are_the_safe_ones() {
        let creds = TlsCredsX509::new("/x", TlsEndpoint::Client);
        assert!(creds.verify_peer && creds.sanity_check);
    }
}
