//! Moving the machine to another host: only the settings that clients make before.

use crate::schema::MigrationCapability as Cap;
use qmonitor::qapi::{Error, QDict, QObject};

/// The settings of migration.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The capabilities that are on.
    on: Vec<Cap>,
    /// The settings by name.
    parameters: QDict,
}

impl Default for Migration {
    /// With QEMU's settings.
    fn default() -> Self {
        let numbers: [(&str, i64); 18] = [
            ("announce-initial", 50),
            ("announce-max", 550),
            ("announce-rounds", 5),
            ("announce-step", 100),
            ("throttle-trigger-threshold", 50),
            ("cpu-throttle-initial", 20),
            ("cpu-throttle-increment", 10),
            ("max-cpu-throttle", 99),
            ("max-bandwidth", 128 << 20),
            ("avail-switchover-bandwidth", 0),
            ("downtime-limit", 300),
            ("x-checkpoint-delay", 20_000),
            ("multifd-channels", 2),
            ("xbzrle-cache-size", 64 << 20),
            ("max-postcopy-bandwidth", 0),
            ("multifd-zlib-level", 1),
            ("multifd-qatzip-level", 1),
            ("multifd-zstd-level", 1),
        ];
        let words = [
            ("tls-creds", ""),
            ("tls-hostname", ""),
            ("tls-authz", ""),
            ("multifd-compression", "none"),
            ("mode", "normal"),
            ("zero-page-detection", "multifd"),
        ];
        let mut parameters: QDict = numbers.into_iter().collect();
        for (name, word) in words {
            parameters.insert(name.to_owned(), word.to_owned());
        }
        for name in ["cpu-throttle-tailslow", "direct-io"] {
            parameters.insert(name.to_owned(), false);
        }
        parameters.insert("x-vcpu-dirty-limit-period".to_owned(), 1000);
        parameters.insert("vcpu-dirty-limit".to_owned(), 1);
        parameters.insert("x-rdma-chunk-size".to_owned(), 1 << 20);
        parameters.insert("cpr-exec-command".to_owned(), Vec::new());
        Migration {
            on: Vec::new(),
            parameters,
        }
    }
}

/// The capabilities that exclude a background snapshot; the first of them is named in
/// the error.
const NOT_IN_BACKGROUND: &[Cap] = &[
    Cap::PostcopyRam,
    Cap::DirtyBitmaps,
    Cap::PostcopyBlocktime,
    Cap::LateBlockActivate,
    Cap::ReturnPath,
    Cap::Multifd,
    Cap::PauseBeforeSwitchover,
    Cap::AutoConverge,
    Cap::ReleaseRam,
    Cap::RdmaPinAll,
    Cap::Xbzrle,
    Cap::XColo,
    Cap::ValidateUuid,
    Cap::ZeroCopySend,
];

impl Migration {
    /// The settings by name, with values of the schema's types.
    pub fn parameters(&self) -> &QDict {
        &self.parameters
    }

    /// Changes settings; no value at all is the empty text.
    pub fn set_parameters(&mut self, changes: QDict) {
        for (name, value) in changes {
            let value = match value {
                QObject::Null => "".into(),
                value => value,
            };
            self.parameters.insert(name, value);
        }
    }

    /// All capabilities, and whether they are on.
    pub fn capabilities(&self) -> impl Iterator<Item = (Cap, bool)> + '_ {
        Cap::ALL.iter().map(|cap| (*cap, self.on.contains(cap)))
    }

    /// Switches capabilities on and off, all or none.
    ///
    /// # Errors
    ///
    /// Two of them do not go together, or one needs another
    /// (`migrate_caps_check`).
    pub fn set_capabilities(
        &mut self,
        changes: impl IntoIterator<Item = (Cap, bool)>,
    ) -> Result<(), Error> {
        let mut on = self.on.clone();
        for (cap, state) in changes {
            on.retain(|c| *c != cap);
            if state {
                on.push(cap);
            }
        }
        check(&on)?;
        self.on = on;
        Ok(())
    }
}

fn check(on: &[Cap]) -> Result<(), Error> {
    let has = |cap| on.contains(&cap);
    let pairs = [
        (
            Cap::PostcopyRam,
            Cap::XIgnoreShared,
            "Postcopy is not compatible with ignore-shared",
        ),
        (
            Cap::PostcopyRam,
            Cap::Multifd,
            "Postcopy is not yet compatible with multifd",
        ),
    ];
    let later_pairs = [
        (
            Cap::Multifd,
            Cap::Xbzrle,
            "Multifd is not compatible with xbzrle",
        ),
        (
            Cap::DirtyLimit,
            Cap::AutoConverge,
            "dirty-limit conflicts with auto-converge either of then available currently",
        ),
        (
            Cap::MappedRam,
            Cap::Xbzrle,
            "Mapped-ram migration is incompatible with xbzrle",
        ),
        (
            Cap::MappedRam,
            Cap::PostcopyRam,
            "Mapped-ram migration is incompatible with postcopy",
        ),
    ];
    let refused = |pairs: &[(Cap, Cap, &'static str)]| {
        let found = pairs.iter().find(|(a, b, _)| has(*a) && has(*b));
        found.map(|(.., desc)| Error::new(*desc))
    };
    if let Some(e) = refused(&pairs) {
        return Err(e);
    }
    if has(Cap::BackgroundSnapshot) {
        if let Some(other) = NOT_IN_BACKGROUND.iter().find(|cap| has(**cap)) {
            let desc = format!(
                "Background-snapshot is not compatible with {}",
                other.as_str()
            );
            return Err(Error::new(desc));
        }
    }
    let needs = [
        (
            Cap::ZeroCopySend,
            has(Cap::Multifd) && !has(Cap::Xbzrle),
            "Zero copy only available for non-compressed non-TLS multifd migration",
        ),
        (
            Cap::PostcopyPreempt,
            has(Cap::PostcopyRam),
            "Postcopy preempt requires postcopy-ram",
        ),
        (
            Cap::SwitchoverAck,
            has(Cap::ReturnPath),
            "Capability 'switchover-ack' requires capability 'return-path'",
        ),
    ];
    for (cap, fulfilled, desc) in needs {
        if has(cap) && !fulfilled {
            return Err(Error::new(desc));
        }
    }
    if let Some(e) = refused(&later_pairs) {
        return Err(e);
    }
    if has(Cap::DirtyLimit) {
        Err(Error::new(
            "dirty-limit requires KVM with accelerator property 'dirty-ring-size' set",
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_switched_on_and_off() {
        let mut m = Migration::default();
        assert!(m.capabilities().all(|(_, on)| !on));
        m.set_capabilities([(Cap::Events, true), (Cap::Xbzrle, true)])
            .unwrap();
        m.set_capabilities([(Cap::Xbzrle, false)]).unwrap();
        let on: Vec<_> = m.capabilities().filter(|(_, on)| *on).collect();
        assert_eq!(on, [(Cap::Events, true)]);
    }

    #[test]
    fn what_does_not_go_together_changes_nothing() {
        for (caps, desc) in [
            (
                &[Cap::Events, Cap::PostcopyRam, Cap::Multifd][..],
                "Postcopy is not yet compatible with multifd",
            ),
            (
                &[Cap::BackgroundSnapshot, Cap::Xbzrle],
                "Background-snapshot is not compatible with xbzrle",
            ),
            (
                &[Cap::Xbzrle, Cap::ZeroCopySend],
                "Zero copy only available for non-compressed non-TLS multifd migration",
            ),
            (
                &[Cap::PostcopyPreempt],
                "Postcopy preempt requires postcopy-ram",
            ),
            (
                &[Cap::SwitchoverAck],
                "Capability 'switchover-ack' requires capability 'return-path'",
            ),
            (
                &[Cap::DirtyLimit, Cap::AutoConverge],
                "dirty-limit conflicts with auto-converge either of then available currently",
            ),
            (
                &[Cap::DirtyLimit],
                "dirty-limit requires KVM with accelerator property 'dirty-ring-size' set",
            ),
            (
                &[Cap::MappedRam, Cap::PostcopyRam],
                "Mapped-ram migration is incompatible with postcopy",
            ),
        ] {
            let mut m = Migration::default();
            let changes = caps.iter().map(|cap| (*cap, true));
            assert_eq!(m.set_capabilities(changes).unwrap_err().desc(), desc);
            assert!(m.on.is_empty());
        }
        let mut m = Migration::default();
        m.set_capabilities([(Cap::Multifd, true), (Cap::ZeroCopySend, true)])
            .unwrap();
    }
}
