//! `user`: a network of the program's own, which needs nothing of the host.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::netdevs::{invalid_rule, Flat};
use crate::model::net::{Client, Forward};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::qapi_bool_parse;

/// What `info network` says of it. Its forwarded ports go into `client`.
///
/// # Errors
///
/// A value is wrong, or an address is no part of the network.
pub(super) fn user(client: &mut Client, options: &Flat) -> Result<String, Error> {
    let switch = |name: &str| {
        let value = options.get(name).map(|value| qapi_bool_parse(name, value));
        value.transpose()
    };
    let (ipv4, ipv6) = (switch("ipv4")?, switch("ipv6")?);
    let restrict = switch("restrict")?.unwrap_or(false);
    let bits = prefix_bits(options)?;
    check_families(options, ipv4, ipv6)?;
    let (base, mask) = network(options.get("net").unwrap_or("10.0.2.0/24"))?;
    check_ipv4(options, base, mask)?;
    check_ipv6(options, bits)?;
    if options.get("domainname") == Some("") {
        let desc = "'domainname' parameter cannot be empty";
        return Err(Error::new(desc));
    }
    for rule in options.all("hostfwd") {
        let forward = Forward::parse(rule).map_err(|reason| invalid_rule(rule, reason))?;
        client.forwards.push(forward);
    }
    for rule in options.all("guestfwd") {
        check_guest_rule(rule, base, mask)?;
    }
    if options.get("smb").is_some() {
        let desc = "Could not find '/usr/sbin/smbd', please install it";
        return Err(Error::new(desc));
    }
    let net = Ipv4Addr::from(base);
    let restrict = if restrict { "on" } else { "off" };
    Ok(format!("net={net},restrict={restrict}"))
}

/// The two families cannot both be off, and one that is off has no addresses.
fn check_families(options: &Flat, ipv4: Option<bool>, ipv6: Option<bool>) -> Result<(), Error> {
    let given = |names: &[&str]| names.iter().any(|name| options.get(name).is_some());
    if ipv4 == Some(false) && given(&["net", "host", "dns"]) {
        let desc = "IPv4 disabled but netmask/host/dns provided";
        return Err(Error::new(desc));
    }
    if ipv6 == Some(false) && given(&["ipv6-prefix", "ipv6-host", "ipv6-dns"]) {
        let desc = "IPv6 disabled but prefix/host6/dns6 provided";
        return Err(Error::new(desc));
    }
    if (ipv4, ipv6) == (Some(false), Some(false)) {
        return Err(Error::new("IPv4 and IPv6 disabled"));
    }
    Ok(())
}

/// The first address of `ADDRESS[/BITS|/MASK]`, and the mask.
fn network(text: &str) -> Result<(u32, u32), Error> {
    let (address, mask) = text.split_once('/').unwrap_or((text, "24"));
    let wrong = || Error::new("Failed to parse netmask");
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let mask = match (mask.parse::<u32>(), mask.parse::<Ipv4Addr>()) {
        (Ok(bits @ 4..=32), _) => u32::MAX.checked_shl(32 - bits).unwrap_or(0),
        (Ok(_), _) => {
            let desc = "Invalid netmask provided (must be in range 4-32)";
            return Err(Error::new(desc));
        }
        (_, Ok(mask)) => u32::from(mask),
        _ => {
            let desc = "Failed to parse netmask (trailing chars)";
            return Err(Error::new(desc));
        }
    };
    Ok((u32::from(address) & mask, mask))
}

fn check_ipv4(options: &Flat, base: u32, mask: u32) -> Result<(), Error> {
    let read = |name: &str, shown: &str, default: u32| match options.get(name) {
        None => Ok(base | (default & !mask)),
        Some(text) => match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(u32::from(address)),
            Err(_) => Err(Error::new(format!("Failed to parse {shown}"))),
        },
    };
    let is_inside = |address: u32| address & mask == base;
    let host = read("host", "host", 0x202)?;
    if !is_inside(host) {
        return Err(Error::new("Host doesn't belong to network"));
    }
    // The server of names may be anywhere.
    if read("dns", "DNS", 0x203)? == host {
        return Err(Error::new("DNS must be different from host"));
    }
    if !is_inside(read("dhcpstart", "DHCP start address", 0x20f)?) {
        return Err(Error::new("DHCP doesn't belong to network"));
    }
    Ok(())
}

/// The length of the prefix of IPv6.
fn prefix_bits(options: &Flat) -> Result<i64, Error> {
    let Some(text) = options.get("ipv6-prefixlen") else {
        return Ok(64);
    };
    text.parse().map_err(|_| {
        let desc = "Parameter 'ipv6-prefixlen' expects an int64 value";
        Error::new(desc)
    })
}

fn check_ipv6(options: &Flat, bits: i64) -> Result<(), Error> {
    let read = |name: &str, shown: &str| match options.get(name).map(str::parse::<Ipv6Addr>) {
        None => Ok(None),
        Some(Ok(address)) => Ok(Some(u128::from(address))),
        Some(Err(_)) => Err(Error::new(format!("Failed to parse IPv6 {shown}"))),
    };
    let prefix = read("ipv6-prefix", "prefix")?.unwrap_or(0xfec0 << 112);
    if !(0..=126).contains(&bits) {
        let desc = "Invalid IPv6 prefix provided (IPv6 prefix length must be between 0 and 126)";
        return Err(Error::new(desc));
    }
    let mask = u128::MAX.checked_shl(128 - bits as u32).unwrap_or(0);
    let is_outside = |address: u128| address & mask != prefix & mask;
    if read("ipv6-host", "host")?.is_some_and(is_outside) {
        return Err(Error::new("IPv6 Host doesn't belong to network"));
    }
    read("ipv6-dns", "DNS")?;
    Ok(())
}

/// `tcp:SERVER:PORT-WHAT`: connections of the guest to an address of the network.
fn check_guest_rule(rule: &str, base: u32, mask: u32) -> Result<(), Error> {
    let invalid = || Error::new(format!("Invalid guest forwarding rule '{rule}'"));
    let (place, _) = rule.split_once('-').ok_or_else(invalid)?;
    let [_, server, port] = place.split(':').collect::<Vec<_>>()[..] else {
        return Err(invalid());
    };
    let port: Result<u16, _> = port.parse();
    port.map_err(|_| invalid())?;
    let server = server.parse::<Ipv4Addr>().map(u32::from);
    if server.is_ok_and(|server| server & mask == base) {
        return Ok(());
    }
    Err(Error::new(format!(
        "Conflicting/invalid host:port in guest forwarding rule '{rule}'"
    )))
}
