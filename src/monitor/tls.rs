//! TLS credentials and authorizations by id, for sockets that name them.
//!
//! A program either registers them here, or has objects of its own and a
//! [`TlsLookup`] that finds them. Registered ones come first.

use std::collections::BTreeMap;

use crate::chardev::{no_authz, no_tls_credentials, TlsCreds};
use crate::qapi::Error;
use crate::Runtime;

/// Finds in the embedder's state what was not registered.
pub struct TlsLookup<S> {
    /// As [`ChardevHost::tls_creds`](crate::chardev::ChardevHost::tls_creds).
    pub creds: fn(&S, &str) -> Result<TlsCreds, Error>,
    /// As [`ChardevHost::authz_is_allowed`](crate::chardev::ChardevHost::authz_is_allowed).
    pub authz: fn(&S, &str, &str) -> Result<bool, Error>,
}

/// Whether a peer of this name is let in.
type Authz<S> = Box<dyn Fn(&S, &str) -> bool>;

pub(crate) struct TlsRegistry<S> {
    creds: BTreeMap<String, TlsCreds>,
    authz: BTreeMap<String, Authz<S>>,
    lookup: TlsLookup<S>,
}

impl<S> Default for TlsRegistry<S> {
    fn default() -> Self {
        TlsRegistry {
            creds: BTreeMap::new(),
            authz: BTreeMap::new(),
            lookup: TlsLookup {
                creds: |_, id| Err(no_tls_credentials(id)),
                authz: |_, id, _| Err(no_authz(id)),
            },
        }
    }
}

impl<S> TlsRegistry<S> {
    pub(crate) fn creds(&self, state: &S, id: &str) -> Result<TlsCreds, Error> {
        match self.creds.get(id) {
            Some(creds) => Ok(creds.clone()),
            None => (self.lookup.creds)(state, id),
        }
    }

    pub(crate) fn is_allowed(&self, state: &S, id: &str, identity: &str) -> Result<bool, Error> {
        match self.authz.get(id) {
            Some(allowed) => Ok(allowed(state, identity)),
            None => (self.lookup.authz)(state, id, identity),
        }
    }
}

impl<S> Runtime<S> {
    /// Registers credentials under an id, for `tls-creds=ID`. They replace others of
    /// that id for new connections; existing connections keep theirs.
    ///
    /// ```no_run
    /// use qmonitor::chardev::{TlsCredsX509, TlsEndpoint};
    /// use qmonitor::monitor::MonitorMode;
    /// use qmonitor::Runtime;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut rt = Runtime::new(())?;
    /// let creds = TlsCredsX509::new("/etc/thermostat/tls", TlsEndpoint::Server).load()?;
    /// rt.add_tls_creds("tls0", creds);
    /// rt.add_authz("staff", |_, name| name.ends_with(",OU=Staff,CN=admin"));
    /// rt.monitor_parse(
    ///     "tcp:0.0.0.0:4444,server=on,wait=off,tls-creds=tls0,tls-authz=staff",
    ///     MonitorMode::Control,
    ///     false,
    /// )?;
    /// rt.run()?;
    /// # Ok(()) }
    /// ```
    pub fn add_tls_creds(&mut self, id: impl Into<String>, creds: TlsCreds) {
        self.tls.creds.insert(id.into(), creds);
    }

    /// Registers an authorization under an id, for `tls-authz=ID`. It is asked with
    /// the state and the name in the client's certificate,
    /// `C=GB,O=Example,CN=client`.
    pub fn add_authz(
        &mut self,
        id: impl Into<String>,
        is_allowed: impl Fn(&S, &str) -> bool + 'static,
    ) {
        self.tls.authz.insert(id.into(), Box::new(is_allowed));
    }

    /// Sets what finds credentials that were not registered.
    pub fn set_tls_lookup(&mut self, lookup: TlsLookup<S>) {
        self.tls.lookup = lookup;
    }
}

#[cfg(test)]
mod tests {
    use crate::chardev::ChardevHost;
    use crate::Runtime;

    #[test]
    fn who_may_come_in_is_asked_with_the_state() {
        let mut rt = Runtime::new("CN=a").unwrap();
        rt.add_authz("one", |state, name| *state == name);
        assert_eq!(rt.authz_is_allowed("one", "CN=a"), Ok(true));
        rt.state = "CN=b";
        assert_eq!(rt.authz_is_allowed("one", "CN=a"), Ok(false));
    }

    #[test]
    fn what_nobody_registered_is_missing() {
        let rt = Runtime::new(()).unwrap();
        let e = rt.authz_is_allowed("x", "CN=a").unwrap_err();
        assert_eq!(e.desc(), "Cannot find QAuthZ object ID x");
        let e = rt.tls_creds("x").unwrap_err();
        assert_eq!(e.desc(), "No TLS credentials with id 'x'");
    }
}
