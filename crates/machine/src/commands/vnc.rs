//! VNC servers: their sockets and clients, `-vnc`, `query-vnc` and the passwords.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use crate::model::display::{Client, Place, Rfb, RfbEvent, Screen, Security, Stream, VncServer};
use crate::schema::{
    qapi_event_send_vnc_connected, qapi_event_send_vnc_disconnected,
    qapi_event_send_vnc_initialized, NetworkAddressFamily, VncBasicInfo, VncClientInfo, VncInfo,
    VncInfo2, VncPrimaryAuth, VncServerInfo, VncServerInfo2,
};
use crate::Machine;
use qmonitor::main_loop::{Condition, Flow, Host, SharedFd, Watch};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl std::os::fd::AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Listener::Tcp(l) => l.as_fd(),
            Listener::Unix(l) => l.as_fd(),
        }
    }
}

fn address(addr: SocketAddr) -> Place {
    Place {
        host: addr.ip().to_string(),
        service: addr.port().to_string(),
        family: match addr {
            SocketAddr::V4(_) => NetworkAddressFamily::Ipv4,
            SocketAddr::V6(_) => NetworkAddressFamily::Ipv6,
        },
    }
}

/// The port of display 0.
const PORT: u32 = 5900;

/// Makes a server from the options of `-vnc`.
///
/// # Errors
///
/// The address cannot be read or taken, or something that it needs is missing.
pub(crate) fn vnc_new(rt: &mut Rt, opts: &QemuOpts) -> Result<(), Error> {
    let servers = &rt.state.vnc;
    let id = match opts.id() {
        Some(id) => id.to_owned(),
        None if servers.iter().all(|s| s.id != "default") => "default".to_owned(),
        None => {
            let ids = (2..).map(|n| format!("vnc{n}"));
            let mut free = ids.filter(|id| servers.iter().all(|s| s.id != *id));
            free.next().unwrap_or_default()
        }
    };
    let share = opts.get("share").unwrap_or("allow-exclusive");
    if !["ignore", "allow-exclusive", "force-shared"].contains(&share) {
        return Err(Error::new("unknown vnc share= option"));
    }
    if let Some(secret) = opts.get("password-secret") {
        if rt.state.user_object(secret).is_none() {
            return Err(Error::new(format!("No secret with id '{secret}'")));
        }
    }
    if let Some(creds) = opts.get("tls-creds") {
        if rt.state.user_object(creds).is_none() {
            return Err(Error::new(format!("No TLS credentials with id '{creds}'")));
        }
    }
    if let Some(audiodev) = opts.get("audiodev") {
        if rt.state.audiodevs.iter().all(|a| a.id != audiodev) {
            return Err(Error::new(format!("audiodev '{audiodev}' not found")));
        }
    }
    let with_password =
        opts.get_bool("password").unwrap_or(false) || opts.get("password-secret").is_some();
    let mut server = VncServer {
        id,
        security: if with_password {
            Security::Vnc
        } else {
            Security::None
        },
        place: None,
        clients: BTreeMap::new(),
        next_client: 0,
        path: None,
    };
    let addr = opts.get("vnc").unwrap_or_default();
    let listener = match addr {
        "" | "none" => None,
        addr => Some(listen(
            addr,
            opts.get_number("to").unwrap_or(0) as u32,
            &mut server,
        )?),
    };
    let id = server.id.clone();
    rt.state.vnc.insert(0, server);
    if let Some(listener) = listener {
        watch(rt, id, listener);
    }
    Ok(())
}

fn listen(addr: &str, to: u32, server: &mut VncServer) -> Result<Listener, Error> {
    if let Some(path) = addr.strip_prefix("unix:") {
        if let Err(e) = std::fs::remove_file(path) {
            if e.kind() != ErrorKind::NotFound {
                return Err(Error::from_io(
                    format!("Failed to unlink socket {path}"),
                    &e,
                ));
            }
        }
        let listener = UnixListener::bind(path)
            .map_err(|e| Error::from_io(format!("Failed to bind socket to {path}"), &e))?;
        server.path = Some(path.to_owned());
        server.place = Some(Place {
            host: String::new(),
            service: path.to_owned(),
            family: NetworkAddressFamily::Unix,
        });
        return Ok(Listener::Unix(listener));
    }
    let Some((host, display)) = addr.rsplit_once(':') else {
        return Err(Error::new("no vnc port specified"));
    };
    let number: u32 = display
        .parse()
        .map_err(|_| Error::new(format!("can't convert to a number: {display}")))?;
    if number > 65535 - PORT {
        return Err(Error::new(format!("port {display} out of range")));
    }
    let host = match host {
        "" => "0.0.0.0",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    let first = PORT + number;
    let mut last = None;
    for port in first..=first.max(first + to.saturating_sub(number)).min(65535) {
        match TcpListener::bind((host, port as u16)) {
            Ok(listener) => {
                server.place = listener.local_addr().ok().map(address);
                return Ok(Listener::Tcp(listener));
            }
            Err(e) => last = Some(e),
        }
    }
    Err(match last {
        Some(e) if e.raw_os_error().is_none() => Error::new(format!(
            "address resolution failed for {host}:{first}: Name or service not known"
        )),
        Some(e) => Error::from_io("Failed to bind socket", &e),
        None => Error::new("Failed to find an available port"),
    })
}

fn watch(rt: &mut Rt, id: String, listener: Listener) {
    let nonblocking = match &listener {
        Listener::Tcp(l) => l.set_nonblocking(true),
        Listener::Unix(l) => l.set_nonblocking(true),
    };
    if nonblocking.is_err() {
        return;
    }
    let listener = Rc::new(listener);
    let fd: SharedFd = listener.clone();
    let accept = move |rt: &mut Rt, _: Condition| {
        accept(rt, &id, &listener);
        Flow::Keep
    };
    let watch = Watch::new("vnc_listen_io", fd, Condition::IN, accept);
    rt.main_loop_mut().add_watch(watch);
}

fn accept(rt: &mut Rt, id: &str, listener: &Listener) {
    let accepted = match listener {
        Listener::Tcp(l) => l
            .accept()
            .map(|(stream, peer)| (Stream::Tcp(stream), address(peer))),
        Listener::Unix(l) => l.accept().map(|(stream, _)| {
            let place = Place {
                host: String::new(),
                service: String::new(),
                family: NetworkAddressFamily::Unix,
            };
            (Stream::Unix(stream), place)
        }),
    };
    let Ok((stream, place)) = accepted else {
        return;
    };
    let nonblocking = match &stream {
        Stream::Tcp(s) => s.set_nonblocking(true),
        Stream::Unix(s) => s.set_nonblocking(true),
    };
    if nonblocking.is_err() {
        return;
    }
    let name = match rt.state.name.as_str() {
        "" => "QEMU".to_owned(),
        name => format!("QEMU ({name})"),
    };
    let Some(server) = rt.state.vnc.iter_mut().find(|s| s.id == id) else {
        return;
    };
    let number = server.next_client;
    server.next_client += 1;
    let stream = Rc::new(stream);
    let client = Client {
        place: place.clone(),
        rfb: Rfb::new(server.security, &name),
        stream: stream.clone(),
        output: Vec::new(),
        writing: None,
        is_initialized: false,
    };
    server.clients.insert(number, client);
    if let Some(info) = server_info(server) {
        qapi_event_send_vnc_connected(rt, info, basic(&place));
    }
    let server_id = id.to_owned();
    let read = move |rt: &mut Rt, _: Condition| {
        if read_client(rt, &server_id, number) {
            Flow::Keep
        } else {
            Flow::Remove
        }
    };
    let fd: SharedFd = stream;
    let watch = Watch::new("vnc_client_io", fd, Condition::IN, read);
    rt.main_loop_mut().add_watch(watch);
    send(rt, id, number);
}

fn client<'a>(rt: &'a mut Rt, id: &str, number: u64) -> Option<&'a mut Client> {
    let server = rt.state.vnc.iter_mut().find(|s| s.id == id)?;
    server.clients.get_mut(&number)
}

/// Reads what a client sent; false if it is gone.
fn read_client(rt: &mut Rt, id: &str, number: u64) -> bool {
    let Some(it) = client(rt, id, number) else {
        return false;
    };
    let mut bytes = [0; 4096];
    let read = match &*it.stream {
        Stream::Tcp(s) => (&*s).read(&mut bytes),
        Stream::Unix(s) => (&*s).read(&mut bytes),
    };
    let events = match read {
        Ok(0) => {
            disconnect(rt, id, number);
            return false;
        }
        Ok(n) => it.rfb.feed(&bytes[..n], &Screen::TEXT),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Vec::new(),
        Err(_) => {
            disconnect(rt, id, number);
            return false;
        }
    };
    let mut refused = false;
    for event in events {
        match event {
            RfbEvent::Initialized => initialized(rt, id, number),
            RfbEvent::Refused => refused = true,
            // The keys go where those of send-key go: to a guest that does not run.
            RfbEvent::Key(..) | RfbEvent::Pointer => {}
        }
    }
    send(rt, id, number);
    if refused {
        disconnect(rt, id, number);
    }
    !refused
}

fn initialized(rt: &mut Rt, id: &str, number: u64) {
    let Some(it) = client(rt, id, number) else {
        return;
    };
    it.is_initialized = true;
    let info = client_info(&it.place);
    let server = rt.state.vnc.iter().find(|s| s.id == id);
    if let Some(server) = server.and_then(server_info) {
        qapi_event_send_vnc_initialized(rt, server, info);
    }
}

/// Sends what waits; what the socket does not take waits for it.
fn send(rt: &mut Rt, id: &str, number: u64) {
    let Some(it) = client(rt, id, number) else {
        return;
    };
    let more = it.rfb.take_output();
    it.output.extend_from_slice(&more);
    while !it.output.is_empty() {
        let written = match &*it.stream {
            Stream::Tcp(s) => (&*s).write(&it.output),
            Stream::Unix(s) => (&*s).write(&it.output),
        };
        match written {
            Ok(n) => drop(it.output.drain(..n)),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // An error is noticed when reading.
            Err(_) => break,
        }
    }
    if it.output.is_empty() || it.writing.is_some() {
        return;
    }
    let fd: SharedFd = it.stream.clone();
    let server = id.to_owned();
    let write = move |rt: &mut Rt, _: Condition| {
        if let Some(it) = client(rt, &server, number) {
            it.writing = None;
        }
        send(rt, &server, number);
        Flow::Remove
    };
    let watch = Watch::new("vnc_client_write", fd, Condition::OUT, write);
    let watch = rt.main_loop_mut().add_watch(watch);
    if let Some(it) = client(rt, id, number) {
        it.writing = Some(watch);
    }
}

fn disconnect(rt: &mut Rt, id: &str, number: u64) {
    let Some(server) = rt.state.vnc.iter_mut().find(|s| s.id == id) else {
        return;
    };
    let Some(gone) = server.clients.remove(&number) else {
        return;
    };
    let info = server_info(server);
    if let Some(writing) = gone.writing {
        rt.main_loop_mut().remove_watch(writing);
    }
    if let Some(info) = info {
        qapi_event_send_vnc_disconnected(rt, info, client_info(&gone.place));
    }
}

fn basic(place: &Place) -> VncBasicInfo {
    VncBasicInfo {
        host: place.host.clone(),
        service: place.service.clone(),
        family: place.family,
        websocket: false,
    }
}

fn client_info(place: &Place) -> VncClientInfo {
    VncClientInfo {
        host: place.host.clone(),
        service: place.service.clone(),
        family: place.family,
        websocket: false,
        x509_dname: None,
        sasl_username: None,
    }
}

fn auth(server: &VncServer) -> VncPrimaryAuth {
    match server.security {
        Security::None => VncPrimaryAuth::None,
        Security::Vnc => VncPrimaryAuth::Vnc,
    }
}

fn server_info(server: &VncServer) -> Option<VncServerInfo> {
    let place = server.place.as_ref()?;
    Some(VncServerInfo {
        host: place.host.clone(),
        service: place.service.clone(),
        family: place.family,
        websocket: false,
        auth: Some(auth(server).as_str().to_owned()),
    })
}

fn clients(server: &VncServer) -> Vec<VncClientInfo> {
    let clients = server.clients.values().filter(|c| c.is_initialized);
    clients.map(|client| client_info(&client.place)).collect()
}

/// What `query-vnc` tells: of the server whose option has no id, or of the first.
pub(super) fn query_vnc(m: &Machine) -> VncInfo {
    let server = m.vnc.last().and_then(|s| Some((s, s.place.as_ref()?)));
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
        server: match &server.place {
            None => Vec::new(),
            Some(place) => vec![VncServerInfo2 {
                host: place.host.clone(),
                service: place.service.clone(),
                family: place.family,
                websocket: false,
                auth: auth(server),
                vencrypt: None,
            }],
        },
        clients: clients(server),
        auth: auth(server),
        vencrypt: None,
        display: None,
    };
    m.vnc.iter().map(info).collect()
}

/// The text of `info vnc`.
pub(super) fn info_vnc(m: &Machine) -> String {
    if m.vnc.is_empty() {
        return "None\n".to_owned();
    }
    let mut text = String::new();
    for server in query_vnc_servers(m) {
        text += &format!("{}:\n", server.id);
        for s in &server.server {
            let (family, auth) = (s.family.as_str(), s.auth.as_str());
            text += &format!("  Server: {}:{} ({family})\n", s.host, s.service);
            text += &format!("    Auth: {auth} (Sub: none)\n");
        }
        for c in &server.clients {
            let family = c.family.as_str();
            text += &format!("  Client: {}:{} ({family})\n", c.host, c.service);
            text += "    x509_dname: none\n    sasl_username: none\n";
        }
        if server.server.is_empty() {
            text += &format!("  Auth: {} (Sub: none)\n", server.auth.as_str());
        }
    }
    text
}

/// Whether a password can be set on that server, or on the one without a name.
pub(super) fn takes_password(m: &Machine, display: Option<&str>) -> bool {
    let server = match display {
        Some(id) => m.vnc.iter().find(|s| s.id == id),
        None => m.vnc.last(),
    };
    server.is_some_and(|s| s.security == Security::Vnc)
}

/// Why it takes no password.
pub(super) fn password_refused(rt: &Rt, display: Option<&str>) -> Error {
    if !rt.profile().explains_vnc_passwords() {
        return Error::new("Could not set password");
    }
    if has_server(&rt.state, display) {
        Error::new("VNC password authentication is disabled")
            .with_hint("To enable it, use '-vnc ...,password-secret=ID'")
    } else {
        Error::new("No VNC display is present").with_hint("To enable it, use '-vnc ...'")
    }
}

/// Whether there is such a server.
pub(super) fn has_server(m: &Machine, display: Option<&str>) -> bool {
    match display {
        Some(id) => m.vnc.iter().any(|s| s.id == id),
        None => !m.vnc.is_empty(),
    }
}
