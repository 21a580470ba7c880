//! The version that the monitor reports.

use crate::qapi::Profile;

/// This crate and its version. QEMU reports the distribution's package here.
pub const PACKAGE: &str = concat!("qmonitor-", env!("CARGO_PKG_VERSION"));

/// What a program calls itself, where clients see it. The default is what QEMU says,
/// but for the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `package` in the greeting and in `query-version`. The numbers stay QEMU's: they
    /// tell clients which commands there can be.
    pub package: String,
    /// The line that people see when they connect.
    pub banner: String,
    /// What stands in front of the line that they type.
    pub prompt: String,
}

impl Identity {
    /// What a program of that profile calls itself unless it says otherwise.
    pub fn of(profile: Profile) -> Self {
        Identity {
            package: PACKAGE.to_owned(),
            banner: format!(
                "QEMU {} monitor - type 'help' for more information",
                profile.version()
            ),
            prompt: "(qemu) ".to_owned(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Identity::of(Profile::default())
    }
}
