//! The names of sockets that systemd, or a program like it, opened before it started
//! this one (sd_listen_fds(3)).
//!
//! QEMU's `fd=N` takes such a socket by its number. A number says little and changes
//! with the order of the unit's sockets, so a name is taken as well.

use std::os::fd::RawFd;

/// The first descriptor that is passed on.
const FIRST: RawFd = 3;

/// The descriptors of this name, in order; none if this process was not started so.
pub(super) fn numbers_named(name: &str) -> Vec<RawFd> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    // Variables are inherited, descriptors that are closed on exec are not.
    if variable("LISTEN_PID") != std::process::id().to_string() {
        return Vec::new();
    }
    numbered(name, &variable("LISTEN_FDS"), &variable("LISTEN_FDNAMES"))
}

/// The same, from what the variables say.
fn numbered(name: &str, count: &str, names: &str) -> Vec<RawFd> {
    let count = count.parse().unwrap_or(0);
    let names = names.split(':').take(count);
    let numbers = (FIRST..).zip(names).filter(|(_, known)| *known == name);
    numbers.map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_named_in_their_order() {
        assert_eq!(numbered("qmp", "3", "qmp:hmp:qmp"), [3, 5]);
        assert_eq!(numbered("hmp", "3", "qmp:hmp:qmp"), [4]);
        for (count, names) in [
            ("0", "qmp"),
            ("", "qmp"),
            ("x", "qmp"),
            ("1", ""),
            ("1", "hmp:qmp"),
        ] {
            assert!(numbered("qmp", count, names).is_empty(), "{count} {names}");
        }
    }
}
