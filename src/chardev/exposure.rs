//! Who can reach the front end of a chardev: only this host, or the network.

use std::net::IpAddr;

use super::address::socket_address_to_string;
use super::config::SocketAddress;
use super::host::ChardevHost;
use super::hub::hub_parts;
use super::mux::mux_base;
use super::socket::{char_socket_get_addr, SocketChardev};
use super::table::ChardevId;

/// The address through which other hosts can reach the front end of a chardev
/// without showing who they are; `None` if none can. Of a mux or hub it is that
/// of a chardev it is on.
///
/// That is TCP at any address but a loopback one, whether the chardev listens
/// there or connects to it, unless TLS verifies the peer's certificate.
pub fn qemu_chr_exposed_at<H: ChardevHost>(h: &H, id: ChardevId) -> Option<String> {
    if let Some(base) = mux_base(h, id) {
        return qemu_chr_exposed_at(h, base);
    }
    if let Some(parts) = hub_parts(h, id) {
        return parts
            .into_iter()
            .find_map(|part| qemu_chr_exposed_at(h, part));
    }
    let addr = char_socket_get_addr(h, id)?;
    match addr {
        SocketAddress::Inet(inet) if !is_loopback(&inet.host) && !verifies_peer(h, id) => {
            Some(socket_address_to_string(addr))
        }
        _ => None,
    }
}

fn verifies_peer<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let s: Option<&SocketChardev> = h.chardevs().state(id);
    let creds = s.and_then(|s| s.tls_creds.as_ref());
    creds.is_some_and(|creds| creds.verify_peer())
}

/// Whether the host is this one and nothing else: the name that everybody has
/// for it, or an address of the loopback interface.
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
