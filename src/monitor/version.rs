//! The version that the monitor reports.

use crate::qapi::json::JsonWriter;

/// The version of QEMU that this monitor behaves like, as `major.minor.micro`.
pub const QEMU_VERSION: &str = "10.0.2";
pub(crate) const MAJOR: i64 = 10;
pub(crate) const MINOR: i64 = 0;
pub(crate) const MICRO: i64 = 2;

/// This crate and its version. QEMU reports the distribution's package here.
pub const PACKAGE: &str = concat!("qmonitor-", env!("CARGO_PKG_VERSION"));

/// Writes a `VersionInfo`.
pub(crate) fn write_version_info(w: &mut JsonWriter) {
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
    w.string(PACKAGE);
    w.end_object();
}
