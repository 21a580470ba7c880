//! Networks: hubs and their ports, back ends, adapters, and which end of a cable is wired to
//! which other. No packet moves, for nothing in the machine sends one; what management
//! software sees of it is here.

mod client;
mod stream;

pub use client::{Client, Forward};
pub(crate) use stream::{Connection, Frames, Listener, Socket, Stream, Target};

use qmonitor::qapi::{Error, ErrorClass};

/// All hubs, the newest first; a hub stays when its last port goes.
#[derive(Debug, Default)]
pub struct Network {
    hubs: Vec<Hub>,
    /// Back ends and adapters, in order of making.
    clients: Vec<Client>,
    /// Adapters that got an address of their own so far.
    addresses: u8,
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
        if self.has_netdev(id) {
            return Err(Error::new(format!("Duplicate ID '{id}'")));
        }
        if let Some(name) = peer {
            let other = self
                .peer_mut(name)
                .ok_or_else(|| Error::new(format!("netdev '{name}' not found")))?;
            if other.is_some() {
                return Err(Error::new(format!("netdev '{name}' is in use")));
            }
            *other = Some(id.to_owned());
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
        if let Some(at) = self.clients.iter().position(|c| c.id == id && !c.is_nic()) {
            if self.clients[at].is_deleted {
                return Err(not_found(id));
            }
            // An adapter keeps showing what it is wired to.
            if self.nic_of(id).is_some() {
                self.clients[at].is_deleted = true;
                return Ok(());
            }
            self.clients.remove(at);
            self.unwire(id);
            return Ok(());
        }
        self.port(id).ok_or_else(|| not_found(id))?;
        self.unwire(id);
        for hub in &mut self.hubs {
            hub.ports.retain(|port| port.id != id);
        }
        Ok(())
    }

    /// Cuts the cables that lead to a name.
    fn unwire(&mut self, id: &str) {
        let ports = self.hubs.iter_mut().flat_map(|hub| &mut hub.ports);
        let peers = ports
            .map(|port| &mut port.peer)
            .chain(self.clients.iter_mut().map(|client| &mut client.peer));
        for peer in peers {
            if peer.as_deref() == Some(id) {
                *peer = None;
            }
        }
    }

    /// An id that is not in use, for a back end that was given none.
    pub fn new_id(&self, prefix: &str) -> String {
        let ids = (0..).map(|n| format!("{prefix}{n:03}"));
        let mut free = ids.filter(|id| self.client(id).is_none());
        free.next().unwrap_or_default()
    }

    /// Whether a back end has that id.
    pub fn has_netdev(&self, id: &str) -> bool {
        self.port(id).is_some() || self.client(id).is_some_and(|c| !c.is_nic())
    }

    /// Adds a back end.
    ///
    /// # Errors
    ///
    /// The id is in use.
    pub fn add_client(&mut self, client: Client) -> Result<(), Error> {
        if self.has_netdev(&client.id) {
            return Err(Error::new(format!("Duplicate ID '{}'", client.id)));
        }
        self.clients.push(client);
        Ok(())
    }

    /// Adds an adapter of that model, wired to a back end if there is one. Without an
    /// address it gets the next one.
    pub fn add_nic(
        &mut self,
        id: Option<&str>,
        model: &str,
        mac: &str,
        netdev: Option<&str>,
    ) -> String {
        let name = match id {
            Some(id) => id.to_owned(),
            None => {
                let of_model = |c: &&Client| c.id.rsplit_once('.').is_some_and(|(m, _)| m == model);
                let count = self.clients.iter().filter(of_model).count();
                format!("{model}.{count}")
            }
        };
        let mac = if mac.is_empty() || mac == "00:00:00:00:00:00" {
            self.addresses += 1;
            format!("52:54:00:12:34:{:02x}", 0x55 + self.addresses)
        } else {
            mac.to_owned()
        };
        if let Some(peer) = netdev.and_then(|netdev| self.peer_mut(netdev)) {
            *peer = Some(name.clone());
        }
        self.clients.push(Client {
            id: name.clone(),
            kind: "nic".to_owned(),
            info: format!("model={model},macaddr={mac}"),
            peer: netdev.map(str::to_owned),
            mac: Some(mac),
            ..Client::default()
        });
        name
    }

    /// Takes an adapter away, and the back end that was to go with it.
    pub fn remove_nic(&mut self, name: &str) {
        let Some(at) = self.clients.iter().position(|c| c.id == name && c.is_nic()) else {
            return;
        };
        let nic = self.clients.remove(at);
        self.unwire(name);
        if let Some(peer) = nic.peer {
            self.clients.retain(|c| c.id != peer || !c.is_deleted);
        }
    }

    /// What a back end is wired to; `None` if there is no such back end.
    pub fn peer(&self, id: &str) -> Option<&Option<String>> {
        match self.port(id) {
            Some(port) => Some(&port.peer),
            None => {
                let client = self.client(id).filter(|c| !c.is_nic() && !c.is_deleted);
                client.map(|client| &client.peer)
            }
        }
    }

    fn peer_mut(&mut self, id: &str) -> Option<&mut Option<String>> {
        let ports = self.hubs.iter_mut().flat_map(|hub| &mut hub.ports);
        let ports = ports.map(|port| (&port.id, &mut port.peer));
        let clients = self.clients.iter_mut().filter(|c| !c.is_nic());
        let clients = clients.map(|client| (&client.id, &mut client.peer));
        let mut all = ports.chain(clients);
        all.find(|(name, _)| *name == id).map(|(_, peer)| peer)
    }

    /// The adapter that a back end is wired to.
    fn nic_of(&self, id: &str) -> Option<&Client> {
        let mut nics = self.clients.iter().filter(|c| c.is_nic());
        nics.find(|nic| nic.peer.as_deref() == Some(id))
    }

    /// Back ends and adapters, in order of making.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter()
    }

    /// The back end or adapter of that name.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    #[allow(missing_docs)]
    pub fn client_mut(&mut self, id: &str) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.id == id)
    }

    /// Changes what `info network` says of a back end.
    pub(crate) fn set_info(&mut self, id: &str, info: &str) {
        if let Some(client) = self.client_mut(id) {
            client.info = info.to_owned();
        }
    }

    /// The number of the hub that a back end is on, over a port of its own.
    pub fn hub_of(&self, id: &str) -> Option<i32> {
        let on = |hub: &&Hub| hub.ports.iter().any(|p| p.peer.as_deref() == Some(id));
        self.hubs.iter().find(on).map(|hub| hub.id)
    }

    /// Warnings about ends that lead nowhere, once everything is made
    /// (`net_check_clients`).
    pub fn loose_ends(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for hub in &self.hubs {
            let mut peers = Vec::new();
            for port in &hub.ports {
                match port.peer.as_deref() {
                    None => texts.push(format!("hub port {} has no peer", port.id)),
                    Some(peer) => peers.extend(self.client(peer)),
                }
            }
            if !peers.is_empty() && peers.iter().all(|client| !client.is_nic()) {
                texts.push(format!("hub {} with no nics", hub.id));
            }
        }
        let ports = self.ports().filter(|port| port.peer.is_none());
        texts.extend(ports.map(|port| format!("netdev {} has no peer", port.id)));
        for client in self.clients.iter().filter(|c| c.peer.is_none()) {
            let what = if client.is_nic() { "nic" } else { "netdev" };
            texts.push(format!("{what} {} has no peer", client.id));
        }
        texts
    }

    /// Plugs or pulls a port's cable.
    ///
    /// # Errors
    ///
    /// `DeviceNotFound`
    pub fn set_link(&mut self, id: &str, up: bool) -> Result<(), Error> {
        if let Some(client) = self.client_mut(id) {
            client.link_down = !up;
            return Ok(());
        }
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
                    let line = match self.client(peer) {
                        Some(client) => client.line(),
                        None => format!("{peer}: index=0,type=hubport,"),
                    };
                    text.push_str(&format!(": {line}"));
                }
                text.push('\n');
            }
        }
        for client in &self.clients {
            let on_hub = self.hub_of(&client.id).is_some();
            if on_hub || client.peer.is_some() && !client.is_nic() {
                continue;
            }
            text.push_str(&format!("{}\n", client.line()));
            let peer = client.peer.as_deref().and_then(|id| self.client(id));
            if let Some(peer) = peer {
                text.push_str(&format!(" \\ {}\n", peer.line()));
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
