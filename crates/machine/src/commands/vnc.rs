//! VNC servers: `-vnc`, the passwords, and where they listen.

use std::collections::BTreeMap;
use std::io::Write;

use super::hmp::{fail, Cx};
use super::vnc_clients::{add_client, now, watch_listener};
use super::vnc_listen::{
    connect_to, display_address, listen_on, websocket_address, Address, Choice,
};
use crate::model::backends::secret::secret_data;
use crate::model::display::{expiry, Listening, Password, Security, Share, VncServer};
use crate::schema::{NetworkAddressFamily, SocketAddress};
use crate::Machine;
use qmonitor::main_loop::Host;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The port of display 0.
const PORT: u16 = 5900;

/// Makes a server from the options of `-vnc`.
///
/// # Errors
///
/// The address cannot be read or taken, or something that it needs is missing.
pub(crate) fn vnc_new(rt: &mut Rt, opts: &QemuOpts) -> Result<(), Error> {
    let server = server_of_options(&rt.state, opts)?;
    let id = server.id.clone();
    let choice = Choice {
        ipv4: opts.get_bool("ipv4"),
        ipv6: opts.get_bool("ipv6"),
        to: opts.get_number("to").map(|to| to as u32),
    };
    let text = opts.get("vnc").unwrap_or_default();
    if matches!(text, "" | "none") {
        rt.state.vnc.insert(0, server);
        return Ok(());
    }
    if opts.get_bool("reverse") == Some(true) {
        let (stream, place) = connect_to(text)?;
        rt.state.vnc.insert(0, server);
        add_client(rt, &id, stream, place, false);
        return Ok(());
    }
    let address = display_address(text, choice, PORT)?;
    let around = opts.get("websocket").filter(|text| *text != "off");
    let around = around.map(|text| websocket_address(text, &address, choice));
    let around = around.transpose()?;
    rt.state.vnc.insert(0, server);
    let listening = listen_at(rt, &id, &address, false)
        .and_then(|()| around.map_or(Ok(()), |around| listen_at(rt, &id, &around, true)));
    if let Err(e) = listening {
        rt.state.vnc.remove(0);
        return Err(e);
    }
    if choice.to.is_some() {
        say_where(&rt.state);
    }
    Ok(())
}

/// Says where a server listens that looked for a free port.
fn say_where(m: &Machine) {
    let place = m.vnc.first().and_then(VncServer::place);
    let place = place.filter(|place| place.family != NetworkAddressFamily::Unix);
    if let Some(place) = place {
        let (host, port) = (&place.host, &place.service);
        // A closed standard output means that the message is not wanted.
        let _ = writeln!(std::io::stdout(), "VNC server running on {host}:{port}");
    }
}

fn server_of_options(m: &Machine, opts: &QemuOpts) -> Result<VncServer, Error> {
    let share = match opts.get("share").unwrap_or("allow-exclusive") {
        "ignore" => Share::Ignore,
        "allow-exclusive" => Share::AllowExclusive,
        "force-shared" => Share::ForceShared,
        _ => return Err(Error::new("unknown vnc share= option")),
    };
    let mut password = Password::default();
    let mut security = Security::None;
    if let Some(secret) = opts.get("password-secret") {
        if opts.get("password").is_some() {
            let desc = "'password' flag is redundant with 'password-secret'";
            return Err(Error::new(desc));
        }
        password.text = Some(secret_data(m, secret)?);
        security = Security::Vnc;
    }
    if opts.get_bool("password") == Some(true) {
        security = Security::Vnc;
    }
    if opts.get_bool("sasl") == Some(true) {
        security = Security::Sasl;
    }
    if let Some(creds) = opts.get("tls-creds") {
        return Err(refuse_tls(m, creds));
    } else if opts.get("tls-authz").is_some() {
        let desc = "'tls-authz' provided but TLS is not enabled";
        return Err(Error::new(desc));
    }
    if opts.get("sasl-authz").is_some() && security != Security::Sasl {
        let desc = "'sasl-authz' provided but SASL auth is not enabled";
        return Err(Error::new(desc));
    }
    if let Some(audiodev) = opts.get("audiodev") {
        if m.audiodevs.iter().all(|a| a.id != audiodev) {
            return Err(Error::new(format!("audiodev '{audiodev}' not found")));
        }
    }
    if let Some(display) = opts.get("display") {
        let head = opts.get_number("head").unwrap_or(0);
        m.check_console(display, head as i64)?;
    }
    Ok(VncServer {
        id: free_id(m, opts.id())?,
        security,
        password,
        share,
        display: opts.get("display").map(str::to_owned),
        listeners: Vec::new(),
        clients: BTreeMap::new(),
        next_client: 0,
    })
}

/// Why a server with these credentials is not made. Without TLS it would show the
/// screen to clients that the user wants to keep out.
fn refuse_tls(m: &Machine, creds: &str) -> Error {
    if let Err(e) = m.tls_creds(creds) {
        return e;
    }
    let object = m.user_object(creds);
    let endpoint = object.map(|id| m.str_property(id, "endpoint"));
    if endpoint.as_deref() == Some("server") {
        Error::new("VNC servers do not support 'tls-creds'")
    } else {
        Error::new("Expected TLS credentials for a server endpoint")
    }
}

fn free_id(m: &Machine, wanted: Option<&str>) -> Result<String, Error> {
    let is_free = |id: &str| m.vnc.iter().all(|server| server.id != id);
    match wanted {
        Some(id) if is_free(id) => Ok(id.to_owned()),
        Some(id) => Err(Error::new(format!("Duplicate ID '{id}' for vnc"))),
        None if is_free("default") => Ok("default".to_owned()),
        None => {
            let mut ids = (2..).map(|n| format!("vnc{n}"));
            Ok(ids.find(|id| is_free(id)).unwrap_or_default())
        }
    }
}

/// Has a server listen at an address.
fn listen_at(rt: &mut Rt, id: &str, address: &Address, websocket: bool) -> Result<(), Error> {
    for (listener, place) in listen_on(address)? {
        let watch = watch_listener(rt, id.to_owned(), listener, websocket);
        let listening = Listening {
            place,
            websocket,
            watch,
        };
        if let Some(server) = super::vnc_clients::server(rt, id) {
            server.listeners.push(listening);
        }
    }
    Ok(())
}

/// Has the first server listen somewhere else (`display-update`).
///
/// # Errors
///
/// There is no server, or an address cannot be taken.
pub(super) fn update(rt: &mut Rt, addresses: Option<Vec<SocketAddress>>) -> Result<(), Error> {
    let server = rt.state.vnc.last_mut();
    let server = server.ok_or_else(no_server)?;
    let Some(addresses) = addresses else {
        return Ok(());
    };
    let id = server.id.clone();
    let old = std::mem::take(&mut server.listeners);
    for watch in old.iter().filter_map(|listening| listening.watch) {
        rt.main_loop_mut().remove_watch(watch);
    }
    drop(old);
    for address in addresses {
        listen_at(rt, &id, &plain_address(address)?, false)?;
    }
    Ok(())
}

fn plain_address(address: SocketAddress) -> Result<Address, Error> {
    match address {
        SocketAddress::Unix(unix) => Ok(Address::Unix(unix.path)),
        SocketAddress::Inet(inet) => {
            let port = inet.port.parse().map_err(|_| {
                let port = &inet.port;
                Error::new(format!("can't convert to a number: {port}"))
            })?;
            let last = inet.to.unwrap_or(port);
            Ok(Address::Tcp {
                host: inet.host,
                port,
                last,
                ipv4: inet.ipv4.unwrap_or(inet.ipv6 != Some(true)),
                ipv6: inet.ipv6.unwrap_or(inet.ipv4 != Some(true)),
            })
        }
        _ => Err(Error::new("Unsupported socket address type")),
    }
}

/// Loads certificates again (`display-reload`). No server has any.
pub(super) fn reload_certificates(m: &Machine) -> Error {
    if m.vnc.is_empty() {
        no_server()
    } else {
        Error::new("vnc tls is not enabled")
    }
}

fn no_server() -> Error {
    Error::new("Can not find vnc display")
}

/// Why a server takes no password.
fn password_refused(rt: &mut Rt, display: Option<&str>) -> Error {
    if !rt.profile().explains_vnc_passwords() {
        return Error::new("Could not set password");
    }
    if find(&mut rt.state, display).is_some() {
        Error::new("VNC password authentication is disabled")
            .with_hint("To enable it, use '-vnc ...,password-secret=ID'")
    } else {
        Error::new("No VNC display is present").with_hint("To enable it, use '-vnc ...'")
    }
}

/// The server of that id, or the first.
fn find<'a>(m: &'a mut Machine, display: Option<&str>) -> Option<&'a mut VncServer> {
    match display {
        Some(id) => m.vnc.iter_mut().find(|s| s.id == id),
        None => m.vnc.last_mut(),
    }
}

/// Sets the password of a server.
///
/// # Errors
///
/// There is no such server, or it has no passwords.
pub(super) fn set_password(
    rt: &mut Rt,
    display: Option<&str>,
    password: &str,
) -> Result<(), Error> {
    let server = find(&mut rt.state, display).filter(|s| s.security != Security::None);
    let Some(server) = server else {
        return Err(password_refused(rt, display));
    };
    server.password.text = Some(password.as_bytes().to_vec());
    Ok(())
}

/// The human monitor hears how to have passwords.
pub(super) fn hint_at_passwords(hmp: Cx, display: Option<&str>) {
    if hmp.rt.profile().explains_vnc_passwords() {
        return; // The error does.
    }
    let server = find(&mut hmp.rt.state, display);
    if server.is_some_and(|s| s.security == Security::None) {
        hmp.print(
            "If you want use passwords please enable password auth using '-vnc \
             ${dpy},password'.\n",
        );
    }
}

/// Sets when the password of a server ends, a time that can be read.
///
/// # Errors
///
/// There is no such server.
pub(super) fn expire_password(rt: &mut Rt, display: Option<&str>, time: &str) -> Result<(), Error> {
    let expires = expiry(time, now(rt));
    let server = find(&mut rt.state, display);
    match (server, expires) {
        (Some(server), Some(expires)) => {
            server.password.expires = expires;
            Ok(())
        }
        _ => Err(Error::new("Could not set password expire time")),
    }
}

/// `change vnc`
pub(super) fn hmp_change_vnc(hmp: Cx, target: &str, password: Option<&str>) {
    if !matches!(target, "passwd" | "password") {
        return fail(hmp, "Expected 'password' after 'vnc'");
    }
    let Some(password) = password else {
        return hmp.print("terminal does not support password prompting\n");
    };
    hint_at_passwords(hmp, None);
    let result = set_password(hmp.rt, None, password);
    hmp.handle_error(result);
}
