//! Network back ends. There are only ports of hubs, on which nothing is ever sent
//! because the machine has no network adapter. What remains
//! is visible to management software: ids, `info network`, links up and down.

use qmonitor::qapi::{Error, ErrorClass};

/// All hubs, the newest first; a hub stays when its last port goes.
#[derive(Debug, Default)]
pub struct Network {
    hubs: Vec<Hub>,
}

/// A hub and its ports, the newest first.
#[derive(Debug)]
struct Hub {
    id: i32,
    ports: Vec<HubPort>,
}

/// A port of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubPort {
    /// Its id.
    pub id: String,
    /// The port of the same or another hub that it is wired to.
    pub peer: Option<String>,
    /// Whether its cable is pulled.
    pub link_down: bool,
}

impl Network {
    /// Makes a port, and its hub if there is no hub of that number.
    ///
    /// # Errors
    ///
    /// The id is in use, there is no such peer, or it is wired already.
    pub fn add_port(&mut self, hubid: i32, id: &str, peer: Option<&str>) -> Result<(), Error> {
        if self.port(id).is_some() {
            return Err(Error::new(format!("Duplicate ID '{id}'")));
        }
        if let Some(name) = peer {
            let other = self
                .port_mut(name)
                .ok_or_else(|| Error::new(format!("netdev '{name}' not found")))?;
            if other.peer.is_some() {
                return Err(Error::new(format!("netdev '{name}' is in use")));
            }
            other.peer = Some(id.to_owned());
        }
        let at = match self.hubs.iter().position(|hub| hub.id == hubid) {
            Some(at) => at,
            None => {
                let ports = Vec::new();
                self.hubs.insert(0, Hub { id: hubid, ports });
                0
            }
        };
        let port = HubPort {
            id: id.to_owned(),
            peer: peer.map(str::to_owned),
            link_down: false,
        };
        self.hubs[at].ports.insert(0, port);
        Ok(())
    }

    /// Takes a port away; its peer is wired to nothing then.
    ///
    /// # Errors
    ///
    /// `DeviceNotFound`
    pub fn remove_port(&mut self, id: &str) -> Result<(), Error> {
        self.port(id).ok_or_else(|| not_found(id))?;
        for hub in &mut self.hubs {
            hub.ports.retain(|port| port.id != id);
            for port in &mut hub.ports {
                if port.peer.as_deref() == Some(id) {
                    port.peer = None;
                }
            }
        }
        Ok(())
    }

    /// Plugs or pulls a port's cable.
    ///
    /// # Errors
    ///
    /// `DeviceNotFound`
    pub fn set_link(&mut self, id: &str, up: bool) -> Result<(), Error> {
        let port = self.port_mut(id).ok_or_else(|| not_found(id))?;
        port.link_down = !up;
        Ok(())
    }

    /// The port of that id.
    pub fn port(&self, id: &str) -> Option<&HubPort> {
        self.ports().find(|port| port.id == id)
    }

    fn port_mut(&mut self, id: &str) -> Option<&mut HubPort> {
        let mut ports = self.hubs.iter_mut().flat_map(|hub| &mut hub.ports);
        ports.find(|port| port.id == id)
    }

    /// All ports.
    pub fn ports(&self) -> impl Iterator<Item = &HubPort> {
        self.hubs.iter().flat_map(|hub| &hub.ports)
    }

    /// The text of `info network` (`net_hub_info`).
    pub fn info(&self) -> String {
        let mut text = String::new();
        for hub in &self.hubs {
            text.push_str(&format!("hub {}\n", hub.id));
            for port in &hub.ports {
                text.push_str(&format!(" \\ {}", port.id));
                if let Some(peer) = &port.peer {
                    text.push_str(&format!(": {peer}: index=0,type=hubport,"));
                }
                text.push('\n');
            }
        }
        text
    }
}

fn not_found(id: &str) -> Error {
    let desc = format!("Device '{id}' not found");
    Error::with_class(ErrorClass::DeviceNotFound, desc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_hubs_and_ports_come_first_and_hubs_stay() {
        let mut net = Network::default();
        for (hub, id) in [(0, "a"), (7, "b"), (0, "c")] {
            net.add_port(hub, id, None).unwrap();
        }
        assert_eq!(net.info(), "hub 7\n \\ b\nhub 0\n \\ c\n \\ a\n");
        for id in ["a", "b"] {
            net.remove_port(id).unwrap();
        }
        assert_eq!(net.info(), "hub 7\nhub 0\n \\ c\n");
        let e = net.remove_port("a").unwrap_err();
        assert_eq!(e.desc(), "Device 'a' not found");
        assert_eq!(e.class(), ErrorClass::DeviceNotFound);
    }

    #[test]
    fn wired_ports_know_one_another() {
        let mut net = Network::default();
        net.add_port(0, "a", None).unwrap();
        net.add_port(1, "b", Some("a")).unwrap();
        let lines =
            "hub 1\n \\ b: a: index=0,type=hubport,\nhub 0\n \\ a: b: index=0,type=hubport,\n";
        assert_eq!(net.info(), lines);
        for (id, peer, desc) in [
            ("a", None, "Duplicate ID 'a'"),
            ("c", Some("x"), "netdev 'x' not found"),
            ("c", Some("c"), "netdev 'c' not found"),
            ("c", Some("a"), "netdev 'a' is in use"),
        ] {
            assert_eq!(net.add_port(2, id, peer).unwrap_err().desc(), desc);
        }
        net.remove_port("a").unwrap();
        assert_eq!(net.info(), "hub 1\n \\ b\nhub 0\n");
    }

    #[test]
    fn links_go_down_and_up() {
        let mut net = Network::default();
        net.add_port(0, "a", None).unwrap();
        net.set_link("a", false).unwrap();
        assert!(net.port("a").unwrap().link_down);
        net.set_link("a", true).unwrap();
        assert!(!net.port("a").unwrap().link_down);
        assert!(net.set_link("b", true).is_err());
    }
}
