//! The version that the monitor reports.

use crate::qapi::json::JsonWriter;

/// The version of QEMU that this monitor behaves like, as `major.minor.micro`.
pub const QEMU_VERSION: &str = "10.0.2";
pub(crate) const MAJOR: i64 = 10;
pub(crate) const MINOR: i64 = 0;
pub(crate) const MICRO: i64 = 2;

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

impl Default for Identity {
    fn default() -> Self {
        Identity {
            package: PACKAGE.to_owned(),
            banner: format!("QEMU {QEMU_VERSION} monitor - type 'help' for more information"),
            prompt: "(qemu) ".to_owned(),
        }
    }
}

/// Writes a `VersionInfo`.
pub(crate) fn write_version_info(w: &mut JsonWriter, package: &str) {
    w.begin_object();
    w.key("qemu");
    w.begin_object();
    w.key("micro");
    w.i64(MICRO);
    w.key("minor");
    w.i64(MINOR);
    w.key("major");
    w.i64(MAJOR);
    w.end_object();
    w.key("package");
    w.string(package);
    w.end_object();
}
