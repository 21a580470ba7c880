//! Protocols that QEMU has in packages of their own, which are not installed.

/// How QEMU begins to complain about a module that is not installed.
pub(crate) const MISSING_MODULE: &str = "Unable to load module";

/// The module for a protocol, which QEMU has in packages of their own.
pub(super) fn missing_module(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" | "https" | "ftp" | "ftps" => Some("curl"),
        "ssh" => Some("ssh"),
        "iscsi" => Some("iscsi"),
        "rbd" => Some("rbd"),
        "gluster" => Some("gluster"),
        _ => None,
    }
}
