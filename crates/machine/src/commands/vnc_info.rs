//! What is told of VNC servers: `query-vnc`, `query-vnc-servers`, `info vnc`, and the ends of
//! a connection in events.

use crate::model::display::{Client, Place, Security, VncServer};
use crate::schema::{
    VncBasicInfo, VncClientInfo, VncInfo, VncInfo2, VncPrimaryAuth, VncServerInfo, VncServerInfo2,
};
use crate::Machine;

pub(super) fn basic(client: &Client) -> VncBasicInfo {
    let Place {
        host,
        service,
        family,
    } = client.place.clone();
    VncBasicInfo {
        host,
        service,
        family,
        websocket: client.websocket.is_some(),
    }
}

pub(super) fn client_info(client: &Client) -> VncClientInfo {
    let VncBasicInfo {
        host,
        service,
        family,
        websocket,
    } = basic(client);
    VncClientInfo {
        host,
        service,
        family,
        websocket,
        x509_dname: None,
        sasl_username: None,
    }
}

fn auth(server: &VncServer) -> VncPrimaryAuth {
    match server.security {
        Security::None => VncPrimaryAuth::None,
        Security::Vnc => VncPrimaryAuth::Vnc,
        Security::Sasl => VncPrimaryAuth::Sasl,
    }
}

/// The server's end in an event; a server that does not listen has none.
pub(super) fn server_info(server: &VncServer) -> Option<VncServerInfo> {
    let listening = server.listeners.first()?;
    let place = listening.place.clone();
    Some(VncServerInfo {
        host: place.host,
        service: place.service,
        family: place.family,
        websocket: listening.websocket,
        auth: Some(auth(server).as_str().to_owned()),
    })
}

fn clients(server: &VncServer) -> Vec<VncClientInfo> {
    let clients = server.clients.values().filter(|c| c.is_initialized);
    clients.map(client_info).collect()
}

/// What `query-vnc` tells, of the first server.
pub(super) fn query_vnc(m: &Machine) -> VncInfo {
    let server = m.vnc.last().and_then(|s| Some((s, s.place()?)));
    VncInfo {
        enabled: server.is_some(),
        host: server.map(|(_, place)| place.host.clone()),
        family: server.map(|(_, place)| place.family),
        service: server.map(|(_, place)| place.service.clone()),
        auth: server.map(|(s, _)| auth(s).as_str().to_owned()),
        clients: server.map(|(s, _)| clients(s)),
    }
}

/// What `query-vnc-servers` tells, the newest first.
pub(super) fn query_vnc_servers(m: &Machine) -> Vec<VncInfo2> {
    let info = |server: &VncServer| VncInfo2 {
        id: server.id.clone(),
        server: server
            .listeners
            .iter()
            .rev()
            .map(|listening| VncServerInfo2 {
                host: listening.place.host.clone(),
                service: listening.place.service.clone(),
                family: listening.place.family,
                websocket: listening.websocket,
                auth: auth(server),
                vencrypt: None,
            })
            .collect(),
        clients: clients(server),
        auth: auth(server),
        vencrypt: None,
        display: server.display.clone().or_else(|| {
            let first = m.displays().into_iter().next()?;
            m.device_id(first).map(str::to_owned)
        }),
    };
    m.vnc.iter().map(info).collect()
}

/// The text of `info vnc`.
pub(super) fn info_vnc(m: &Machine) -> String {
    if m.vnc.is_empty() {
        return "None\n".to_owned();
    }
    let websocket = |is: bool| if is { " (Websocket)" } else { "" };
    let mut text = String::new();
    for server in query_vnc_servers(m) {
        text += &format!("{}:\n", server.id);
        for s in &server.server {
            let (family, auth) = (s.family.as_str(), s.auth.as_str());
            let around = websocket(s.websocket);
            text += &format!("  Server: {}:{} ({family}{around})\n", s.host, s.service);
            text += &format!("    Auth: {auth} (Sub: none)\n");
        }
        for c in &server.clients {
            let family = c.family.as_str();
            let around = websocket(c.websocket);
            text += &format!("  Client: {}:{} ({family}{around})\n", c.host, c.service);
            text += "    x509_dname: none\n    sasl_username: none\n";
        }
        if server.server.is_empty() {
            text += &format!("  Auth: {} (Sub: none)\n", server.auth.as_str());
        }
        if let Some(display) = &server.display {
            text += &format!("  Display: {display}\n");
        }
    }
    text
}
