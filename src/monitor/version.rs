//! The version that the monitor speaks for.

use crate::qapi::json::JsonWriter;

/// QEMU's version whose monitor this is, as `major.minor.micro`.
pub const QEMU_VERSION: &str = "10.0.2";
pub(crate) const MAJOR: i64 = 10;
pub(crate) const MINOR: i64 = 0;
pub(crate) const MICRO: i64 = 2;

/// The package: this crate and its version, in the place where QEMU has the
/// distribution's.
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
