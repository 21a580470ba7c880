//! Host and port to addresses, in the ways and words of `getaddrinfo`.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::chardev::config::InetSocketAddress;
use crate::qapi::error::strerror;
use crate::qapi::Error;

/// Which address families may be used.
#[derive(Clone, Copy)]
pub(super) struct Families {
    ipv4: bool,
    ipv6: bool,
    /// Both were asked for by name.
    both: bool,
}

impl Families {
    pub(super) fn of(addr: &InetSocketAddress) -> Self {
        let (ipv4, ipv6) = match (addr.ipv4, addr.ipv6) {
            (None, None) => (true, true),
            (Some(v4), None) => (v4, !v4),
            (None, Some(v6)) => (!v6, v6),
            (Some(v4), Some(v6)) => (v4, v6),
        };
        Families {
            ipv4,
            ipv6,
            both: addr.ipv4 == Some(true) && addr.ipv6 == Some(true),
        }
    }

    pub(super) fn only_ipv6(self) -> bool {
        self.ipv6 && !self.ipv4
    }

    fn allows(self, addr: &SocketAddr) -> bool {
        if addr.is_ipv4() {
            self.ipv4
        } else {
            self.ipv6
        }
    }
}

/// The addresses that host and port stand for, at least one; `passive` for a
/// server, where no host means all interfaces. A client has to name one.
pub(super) fn inet_resolve(
    addr: &InetSocketAddress,
    passive: bool,
) -> Result<Vec<SocketAddr>, Error> {
    let families = Families::of(addr);
    if !families.ipv4 && !families.ipv6 {
        return Err(Error::new("Cannot disable IPv4 and IPv6 at same time"));
    }
    let (host, port) = (&addr.host, &addr.port);
    let failed = |reason: &str| {
        Error::new(format!(
            "address resolution failed for {host}:{port}: {reason}"
        ))
    };
    if host.is_empty() && (port.is_empty() || !passive) {
        return Err(failed("Name or service not known"));
    }
    let port =
        parse_service(port).ok_or_else(|| failed("Servname not supported for ai_socktype"))?;
    if host.is_empty() {
        let (v4, v6): (IpAddr, IpAddr) = ([0; 4].into(), [0u16; 8].into());
        // An IPv6 socket serves both, so it comes first if both are wanted;
        // without a wish the system's order is IPv4 first.
        let order = if families.both { [v6, v4] } else { [v4, v6] };
        let addrs = order.into_iter().map(|ip| SocketAddr::new(ip, port));
        return Ok(addrs.filter(|a| families.allows(a)).collect());
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        let literal = SocketAddr::new(ip, port);
        return match usable(literal, families, passive) {
            Some(addr) => Ok(vec![addr]),
            None => Err(failed("Address family for hostname not supported")),
        };
    }
    if addr.numeric {
        return Err(failed("Name or service not known"));
    }
    let found = (host.as_str(), port).to_socket_addrs();
    let found = found.map_err(|e| {
        let text = strerror(&e);
        let reason = text.strip_prefix("failed to lookup address information: ");
        failed(reason.unwrap_or(&text))
    })?;
    let mut addrs: Vec<_> = found.filter_map(|a| usable(a, families, passive)).collect();
    addrs.dedup();
    if addrs.is_empty() {
        return Err(failed("Name or service not known"));
    }
    Ok(addrs)
}

/// The address, if its family may be used. A client that may only use IPv6 gets an
/// IPv4 address mapped into it, as `AI_V4MAPPED` does.
fn usable(addr: SocketAddr, families: Families, passive: bool) -> Option<SocketAddr> {
    match addr {
        _ if families.allows(&addr) => Some(addr),
        SocketAddr::V4(v4) if !passive => {
            Some(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
        }
        _ => None,
    }
}

/// A port's number or name, read as `getaddrinfo` does: numbers beyond
/// 16 bits wrap, names are those of `/etc/services`.
fn parse_service(port: &str) -> Option<u16> {
    let digits = port.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.bytes().all(|c| c.is_ascii_digit()) {
        return if digits.is_empty() {
            port.is_empty().then_some(0)
        } else {
            digits.parse::<u64>().ok().map(|n| n as u16)
        };
    }
    let services = std::fs::read_to_string("/etc/services").ok()?;
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let name = words.next()?;
        let number = words.next()?.strip_suffix("/tcp")?;
        (name == port || words.any(|alias| alias == port))
            .then(|| number.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(host: &str, port: &str) -> InetSocketAddress {
        InetSocketAddress::new(host, port)
    }

    fn resolve(addr: &InetSocketAddress, passive: bool) -> Result<Vec<String>, String> {
        let addrs = inet_resolve(addr, passive).map_err(|e| e.to_string())?;
        Ok(addrs.iter().map(SocketAddr::to_string).collect())
    }

    #[test]
    fn ports() {
        for (text, port) in [
            ("0", Some(0)),
            ("80", Some(80)),
            ("070", Some(70)),
            ("+7", Some(7)),
            (" 7", Some(7)),
            ("99999", Some(34463)),
            ("-5", None),
            ("abc-no-such-service", None),
            ("0x10", None),
            ("7x", None),
            ("+", None),
        ] {
            assert_eq!(parse_service(text), port, "{text:?}");
        }
    }

    #[test]
    fn resolution_errors() {
        for (host, port, reason) in [
            (
                "127.0.0.1",
                "abc-x",
                "Servname not supported for ai_socktype",
            ),
            ("[", ":1]:0", "Servname not supported for ai_socktype"),
            ("", "", "Name or service not known"),
        ] {
            let e = resolve(&inet(host, port), true).unwrap_err();
            let text = format!("address resolution failed for {host}:{port}: {reason}");
            assert_eq!(e, text);
        }
        assert_eq!(
            resolve(&inet("", "1"), false).unwrap_err(),
            "address resolution failed for :1: Name or service not known"
        );
        let mut addr = inet("::1", "1");
        addr.ipv4 = Some(true);
        assert_eq!(
            resolve(&addr, false).unwrap_err(),
            "address resolution failed for ::1:1: Address family for hostname not supported"
        );
        let mut addr = inet("localhost", "1");
        addr.numeric = true;
        assert_eq!(
            resolve(&addr, true).unwrap_err(),
            "address resolution failed for localhost:1: Name or service not known"
        );
        let mut addr = inet("127.0.0.1", "1");
        (addr.ipv4, addr.ipv6) = (Some(false), Some(false));
        assert_eq!(
            resolve(&addr, false).unwrap_err(),
            "Cannot disable IPv4 and IPv6 at same time"
        );
    }

    #[test]
    fn wildcards_and_families() {
        for (ipv4, ipv6, addrs) in [
            (None, None, &["0.0.0.0:5", "[::]:5"][..]),
            (Some(true), None, &["0.0.0.0:5"]),
            (None, Some(true), &["[::]:5"]),
            (Some(false), None, &["[::]:5"]),
            (None, Some(false), &["0.0.0.0:5"]),
            (Some(true), Some(true), &["[::]:5", "0.0.0.0:5"]),
        ] {
            let mut addr = inet("", "5");
            (addr.ipv4, addr.ipv6) = (ipv4, ipv6);
            assert_eq!(resolve(&addr, true).unwrap(), addrs, "{ipv4:?} {ipv6:?}");
        }
    }

    #[test]
    fn a_client_for_ipv6_only_gets_mapped_addresses() {
        let mut addr = inet("127.0.0.1", "1");
        addr.ipv6 = Some(true);
        assert_eq!(resolve(&addr, false).unwrap(), ["[::ffff:127.0.0.1]:1"]);
    }
}
