//! Which addresses other hosts can reach.

use std::net::IpAddr;

use crate::chardev::config::SocketAddress;

/// Whether other hosts can reach what is at this address, or are reached there: TCP at any
/// address but a loopback one.
pub(in crate::chardev) fn is_exposed(addr: &SocketAddress) -> bool {
    matches!(addr, SocketAddress::Inet(inet) if !is_loopback(&inet.host))
}

/// Whether the host is this one and nothing else: `localhost`, or an address of the
/// loopback interface.
fn is_loopback(host: &str) -> bool {
    let ip = match host.parse() {
        Ok(IpAddr::V6(v6)) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        Ok(ip) => ip,
        Err(_) => return host.eq_ignore_ascii_case("localhost"),
    };
    ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_loopback_only() {
        for host in [
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:127.0.0.1",
            "localhost",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "0.0.0.0",
            "::",
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "localhost.example",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
