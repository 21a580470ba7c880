//! The version that the monitor reports.

use crate::qapi::json::JsonWriter;
use crate::qapi::Profile;

/// This crate and its version. QEMU reports the distribution's package here.
pub const PACKAGE: &str = concat!("qmonitor-", env!("CARGO_PKG_VERSION"));

/// Writes a `VersionInfo`.
pub(crate) fn write_version_info(w: &mut JsonWriter, profile: Profile) {
    let [major, minor, micro] = profile.version_numbers();
    w.begin_object();
    w.key("qemu");
    w.begin_object();
    w.key("micro");
    w.i64(micro);
    w.key("minor");
    w.i64(minor);
    w.key("major");
    w.i64(major);
    w.end_object();
    w.key("package");
    w.string(PACKAGE);
    w.end_object();
}
