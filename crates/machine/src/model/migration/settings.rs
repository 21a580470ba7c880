//! What clients set before the machine is moved: capabilities and parameters.

use super::{parameters, StreamError};
use crate::schema::MigrationCapability as Cap;
use qmonitor::qapi::{Error, QDict, QObject};

/// The settings of migration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The capabilities that are on.
    on: Vec<Cap>,
    /// The settings by name.
    parameters: QDict,
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

/// Capabilities that both sides must have, or that the side here must have if the other has.
const IN_THE_STREAM: &[Cap] = &[
    Cap::PostcopyRam,
    Cap::XColo,
    Cap::Multifd,
    Cap::XIgnoreShared,
];

impl Default for Settings {
    /// With QEMU's settings.
    fn default() -> Self {
        Settings {
            on: Vec::new(),
            parameters: parameters::defaults(),
        }
    }
}

impl Settings {
    /// The settings by name, with values of the schema's types.
    pub fn parameters(&self) -> &QDict {
        &self.parameters
    }

    /// Changes settings, all or none; no value at all is the empty text.
    ///
    /// # Errors
    ///
    /// A value is out of range (`migrate_params_check`).
    pub fn set_parameters(&mut self, changes: QDict) -> Result<(), Error> {
        let mut parameters = self.parameters.clone();
        for (name, value) in changes {
            let value = match value {
                QObject::Null => "".into(),
                value => value,
            };
            parameters.insert(name, value);
        }
        parameters::check(&parameters, self.has(Cap::ZeroCopySend))?;
        self.parameters = parameters;
        Ok(())
    }

    /// Whether a capability is on.
    pub fn has(&self, cap: Cap) -> bool {
        self.on.contains(&cap)
    }

    /// A parameter that is a number; 0 for another.
    pub fn number(&self, name: &str) -> u64 {
        parameters::number(&self.parameters, name)
    }

    /// A parameter that is a word.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.parameters.get_str(name)
    }

    /// All capabilities, and whether they are on.
    pub fn capabilities(&self) -> impl Iterator<Item = (Cap, bool)> + '_ {
        Cap::ALL.iter().map(|cap| (*cap, self.on.contains(cap)))
    }

    /// The capabilities that the other side must know of, as far as they are on.
    pub(super) fn in_the_stream(&self) -> impl Iterator<Item = Cap> + '_ {
        IN_THE_STREAM
            .iter()
            .copied()
            .filter(|cap| self.shapes(*cap))
    }

    /// Whether a capability changes what is sent. Memory that has its place in a file is the
    /// same with several channels.
    fn shapes(&self, cap: Cap) -> bool {
        self.has(cap) && !(cap == Cap::Multifd && self.has(Cap::MappedRam))
    }

    /// Refuses a stream that was written with other capabilities.
    pub(super) fn check_received(&self, names: Option<&QObject>) -> Result<(), StreamError> {
        let names = match names {
            Some(QObject::List(names)) => names.as_slice(),
            _ => &[],
        };
        for cap in IN_THE_STREAM {
            let name = cap.as_str();
            let (here, there) = (self.shapes(*cap), names.contains(&name.into()));
            let what = match (cap, there, here) {
                (Cap::PostcopyRam, true, false) => {
                    "RAM postcopy is disabled but have 16 byte advise".to_owned()
                }
                (Cap::XColo, true, false) => {
                    "ENABLE_COLO command come in migration stream, but x-colo capability is not set"
                        .to_owned()
                }
                (Cap::Multifd | Cap::XIgnoreShared, _, _) if here != there => {
                    let word = |on| if on { "on" } else { "off" };
                    format!(
                        "Capability {name} is {}, but received capability is {}",
                        word(here),
                        word(there)
                    )
                }
                _ => continue,
            };
            return Err(StreamError::invalid(what));
        }
        Ok(())
    }

    /// Switches capabilities on and off, all or none. `is_arriving`: a machine comes here.
    ///
    /// # Errors
    ///
    /// Two of them do not go together, or one needs another
    /// (`migrate_caps_check`).
    pub fn set_capabilities(
        &mut self,
        changes: impl IntoIterator<Item = (Cap, bool)>,
        is_arriving: bool,
    ) -> Result<(), Error> {
        let mut on = self.on.clone();
        for (cap, state) in changes {
            on.retain(|c| *c != cap);
            if state {
                on.push(cap);
            }
        }
        let is_plain = parameters::is_uncompressed_without_tls(&self.parameters);
        let is_late = |cap| is_arriving && !self.has(cap);
        check(&on, is_plain, is_late)?;
        self.on = on;
        Ok(())
    }
}

/// `is_plain`: neither TLS nor compression is set. `is_late`: the channel for a capability has
/// been opened without it.
fn check(on: &[Cap], is_plain: bool, is_late: impl Fn(Cap) -> bool) -> Result<(), Error> {
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
            has(Cap::Multifd) && !has(Cap::Xbzrle) && is_plain,
            "Zero copy only available for non-compressed non-TLS multifd migration",
        ),
        (
            Cap::PostcopyPreempt,
            has(Cap::PostcopyRam),
            "Postcopy preempt requires postcopy-ram",
        ),
        (
            Cap::PostcopyPreempt,
            !is_late(Cap::PostcopyPreempt),
            "Postcopy preempt must be set before incoming starts",
        ),
        (
            Cap::Multifd,
            !is_late(Cap::Multifd),
            "Multifd must be set before incoming starts",
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
        let mut m = Settings::default();
        assert!(m.capabilities().all(|(_, on)| !on));
        m.set_capabilities([(Cap::Events, true), (Cap::Xbzrle, true)], false)
            .unwrap();
        m.set_capabilities([(Cap::Xbzrle, false)], false).unwrap();
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
            let mut m = Settings::default();
            let changes = caps.iter().map(|cap| (*cap, true));
            assert_eq!(m.set_capabilities(changes, false).unwrap_err().desc(), desc);
            assert!(m.on.is_empty());
        }
        let mut m = Settings::default();
        m.set_capabilities([(Cap::Multifd, true), (Cap::ZeroCopySend, true)], false)
            .unwrap();
    }

    #[test]
    fn what_the_channel_depends_on_is_set_before_it_is_opened() {
        let mut m = Settings::default();
        let mut set = |caps: &[Cap], is_arriving| {
            let set = m.set_capabilities(caps.iter().map(|cap| (*cap, true)), is_arriving);
            set.map_err(|e| e.desc().to_owned())
        };
        let late = |what: &str| Err(format!("{what} must be set before incoming starts"));
        assert_eq!(set(&[Cap::Multifd], true), late("Multifd"));
        let preempt = [Cap::PostcopyRam, Cap::PostcopyPreempt];
        assert_eq!(set(&preempt, true), late("Postcopy preempt"));
        assert_eq!(set(&[Cap::Multifd], false), Ok(()));
        assert_eq!(set(&[Cap::Multifd], true), Ok(()));
    }
}
