//! Ends of network cables that are no ports of a hub: back ends, and adapters of the machine.

/// A back end or an adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub id: String,
    /// `user`, `tap`, ... or `nic`.
    pub kind: String,
    /// What `info network` says of it.
    pub info: String,
    /// What it is wired to.
    pub peer: Option<String>,
    /// Whether its cable is pulled.
    pub link_down: bool,
    /// The ports of the host that lead to the guest.
    pub forwards: Vec<Forward>,
    /// The address of an adapter.
    pub mac: Option<String>,
    /// Whether an option wanted it gone while an adapter had it.
    pub is_deleted: bool,
}

impl Client {
    /// Whether it is an adapter.
    pub fn is_nic(&self) -> bool {
        self.kind == "nic"
    }

    /// Its line in `info network`.
    pub fn line(&self) -> String {
        format!("{}: index=0,type={},{}", self.id, self.kind, self.info)
    }
}

/// A port of the host that leads to the guest (`hostfwd`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Whether it is for datagrams.
    pub is_udp: bool,
    /// The host's address and port.
    pub host: (String, u16),
    /// The guest's address and port.
    pub guest: (String, u16),
}

/// The guest's address if a rule names none.
const GUEST: &str = "10.0.2.15";

impl Forward {
    /// Reads `[tcp|udp]:[HOST]:PORT-[GUEST]:PORT`.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn parse(rule: &str) -> Result<Self, &'static str> {
        let Some((protocol, rest)) = rule.split_once(':') else {
            return Err("No : separators");
        };
        let is_udp = match protocol {
            "" | "tcp" => false,
            "udp" => true,
            _ => return Err("Bad protocol name"),
        };
        let (host, rest) = rest.split_once(':').ok_or("Missing : separator")?;
        let (host_port, rest) = rest.split_once('-').ok_or("Bad host port separator")?;
        let host_port = host_port.parse().map_err(|_| "Bad host port")?;
        let (guest, guest_port) = rest.split_once(':').ok_or("Missing guest address")?;
        let guest_port: u16 = guest_port.parse().map_err(|_| "Bad guest port")?;
        if guest_port == 0 {
            return Err("Bad guest port");
        }
        let is_address = |text: &str| text.is_empty() || text.parse::<std::net::Ipv4Addr>().is_ok();
        if !is_address(host) {
            return Err("Bad host address");
        }
        if !is_address(guest) {
            return Err("Bad guest address");
        }
        let or = |text: &str, default: &str| match text {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        Ok(Forward {
            is_udp,
            host: (or(host, "0.0.0.0"), host_port),
            guest: (or(guest, GUEST), guest_port),
        })
    }

    /// Its line in `info usernet`.
    pub fn line(&self) -> String {
        let protocol = if self.is_udp { "UDP" } else { "TCP" };
        let host = match self.host.0.as_str() {
            "0.0.0.0" => "*",
            host => host,
        };
        format!(
            "  {:<19} {:>3} {:>15} {:>5} {:>15} {:>5} {:>5} {:>5}\n",
            format!("{protocol}[HOST_FORWARD]"),
            10,
            host,
            self.host.1,
            self.guest.0,
            self.guest.1,
            0,
            0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown() {
        let rule = Forward::parse("tcp:127.0.0.1:5555-:22").unwrap();
        assert_eq!(
            rule.line(),
            "  TCP[HOST_FORWARD]    10       127.0.0.1  5555       10.0.2.15    22     0     0\n"
        );
        assert_eq!(Forward::parse("foo"), Err("No : separators"));
        assert_eq!(Forward::parse("x::1-:2"), Err("Bad protocol name"));
        assert_eq!(Forward::parse("tcp::1-:0"), Err("Bad guest port"));
    }
}
