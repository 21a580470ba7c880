//! Network back ends on sockets for datagrams (`-netdev dgram`, and `-netdev socket` with
//! `mcast` or `udp`). Nothing in the machine wants what comes, so nothing counts it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;

use super::netdevs::Flat;
use super::streams::resolve;
use crate::model::net::Target;
use crate::Machine;
use nix::sys::socket::{getsockname, SockaddrStorage};
use qmonitor::chardev::ChardevHost;
use qmonitor::main_loop::{Condition, Flow, Host, SharedFd, Watch};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// A bound socket.
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Socket::Udp(s) => s.as_fd(),
            Socket::Unix(s) => s.as_fd(),
        }
    }
}

impl Socket {
    /// Reads and drops all that is there.
    fn drain(&self) {
        let mut buffer = [0; 2048];
        let mut read = || match self {
            Socket::Udp(s) => s.recv(&mut buffer),
            Socket::Unix(s) => s.recv(&mut buffer),
        };
        while read().is_ok() {}
    }
}

/// Opens the sockets of `dgram`, and returns what `info network` says of them.
///
/// # Errors
///
/// An option is missing or wrong, or an address cannot be taken.
pub(super) fn dgram(rt: &mut Rt, id: &str, options: &Flat) -> Result<String, Error> {
    let target = |prefix| {
        let given = options.has(&format!("{prefix}."));
        given.then(|| Target::of(options, prefix)).transpose()
    };
    let (local, remote) = (target("local")?, target("remote")?);
    let group = multicast_group(remote.as_ref());
    let (info, socket) = match (local, remote) {
        (None, Some(_)) if group.is_some() => join(group),
        (None, _) => return Err(Error::new("dgram requires local= parameter")),
        (Some(Target::Fd(_)), Some(_)) => {
            return Err(Error::new("don't set remote with local.fd"));
        }
        (Some(Target::Fd(number)), None) => inherited(rt, id, &number)?,
        (Some(_), None) => {
            return Err(Error::new(
                "type=inet or type=unix requires remote parameter",
            ));
        }
        (Some(Target::Unix { path, .. }), Some(Target::Unix { path: to, .. })) => {
            (format!("udp={path}:{to}"), Some(bind_path(&path)?))
        }
        (Some(Target::Inet { .. }), Some(Target::Inet { .. })) if group.is_some() => join(group),
        (Some(local @ Target::Inet { .. }), Some(remote @ Target::Inet { .. })) => {
            let (from, to) = (first(&local)?, first(&remote)?);
            (format!("udp={from}/{to}"), Some(bind(from)?))
        }
        (Some(_), Some(_)) => {
            return Err(Error::new("remote and local types must be the same"));
        }
    };
    if let Some(socket) = socket {
        watch(rt, id, socket);
    }
    Ok(info)
}

/// Opens the socket of `-netdev socket,mcast=`. Returns the text of `info network` about it.
///
/// # Errors
///
/// The address is none of a group.
pub(super) fn mcast(rt: &mut Rt, id: &str, text: &str) -> Result<String, Error> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "0"));
    let address: Ipv4Addr = host
        .parse()
        .map_err(|_| Error::new(format!("can't resolve host address '{host}'")))?;
    if !address.is_multicast() {
        return Err(Error::new(format!(
            "specified mcastaddr {address} (0x{:08x}) does not contain a multicast address",
            u32::from(address)
        )));
    }
    if let (_, Some(socket)) = join(Some((address, port.parse().unwrap_or(0)))) {
        watch(rt, id, socket);
    }
    Ok(format!("socket: mcast={text}"))
}

/// Opens the socket of `-netdev socket,udp=`.
///
/// # Errors
///
/// The address cannot be taken.
pub(super) fn udp(rt: &mut Rt, id: &str, text: &str, local: &str) -> Result<String, Error> {
    let (host, port) = super::netdevs::host_and_port(local)?;
    let from = first(&Target::Inet {
        host,
        port,
        versions: (true, false),
    })?;
    let socket = bind(from)?;
    watch(rt, id, socket);
    Ok(format!("socket: udp={text}"))
}

/// Closes the socket of a back end that is gone.
pub(super) fn close(rt: &mut Rt, id: &str) {
    if let Some(watch) = rt.state.datagrams.remove(id) {
        rt.main_loop_mut().remove_watch(watch);
    }
}

fn watch(rt: &mut Rt, id: &str, socket: Socket) {
    let socket = Rc::new(socket);
    let fd: SharedFd = socket.clone();
    let watch = Watch::new("net_dgram", fd, Condition::IN, move |_: &mut Rt, _| {
        socket.drain();
        Flow::Keep
    });
    let watch = rt.main_loop_mut().add_watch(watch);
    rt.state.datagrams.insert(id.to_owned(), watch);
}

fn first(target: &Target) -> Result<SocketAddr, Error> {
    let addresses = resolve(target)?;
    let mut four = addresses.iter().filter(|a| a.is_ipv4());
    let found = four.next().or(addresses.first()).copied();
    found.ok_or_else(|| Error::new("no address of the wanted version"))
}

fn multicast_group(remote: Option<&Target>) -> Option<(Ipv4Addr, u16)> {
    let Some(Target::Inet { host, port, .. }) = remote else {
        return None;
    };
    let address: Ipv4Addr = host.parse().ok()?;
    address
        .is_multicast()
        .then(|| (address, port.parse().unwrap_or(0)))
}

/// Listens to a group; where there is no such network, nothing comes.
fn join(group: Option<(Ipv4Addr, u16)>) -> (String, Option<Socket>) {
    let Some((address, port)) = group else {
        return (String::new(), None);
    };
    let joined = UdpSocket::bind((address, port)).and_then(|socket| {
        socket.join_multicast_v4(&address, &Ipv4Addr::UNSPECIFIED)?;
        socket.set_nonblocking(true)?;
        Ok(Socket::Udp(socket))
    });
    (format!("mcast={address}:{port}"), joined.ok())
}

fn bind(address: SocketAddr) -> Result<Socket, Error> {
    let failed = |e| Error::from_io(format!("can't bind ip={} to socket", address.ip()), &e);
    let socket = UdpSocket::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Socket::Udp(socket))
}

fn bind_path(path: &str) -> Result<Socket, Error> {
    let failed = |e| Error::from_io(format!("can't bind unix={path} to socket"), &e);
    // It may not be there.
    let _ = std::fs::remove_file(path);
    let socket = UnixDatagram::bind(path).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Socket::Unix(socket))
}

fn inherited(rt: &mut Rt, id: &str, number: &str) -> Result<(String, Option<Socket>), Error> {
    let bad = || {
        Error::new(format!(
            "{id}: Can't use file descriptor {number}: Bad file descriptor"
        ))
    };
    let no_socket =
        || Error::new("Unable to query local socket address: Socket operation on non-socket");
    let fd: i32 = number.parse().map_err(|_| bad())?;
    let fds = rt.chardevs_mut().inherited_fds_mut();
    let owned = fds.take(fd).and_then(|fd| fd.try_clone());
    let owned = owned.map_err(|_| bad())?;
    let name = getsockname::<SockaddrStorage>(owned.as_raw_fd()).map_err(|_| no_socket())?;
    let (kind, socket) = if name.as_unix_addr().is_some() {
        let socket = UnixDatagram::from(owned);
        let _ = socket.set_nonblocking(true);
        ("unix", Socket::Unix(socket))
    } else {
        let socket = UdpSocket::from(owned);
        let _ = socket.set_nonblocking(true);
        ("inet", Socket::Udp(socket))
    };
    Ok((format!("fd={fd} {kind}"), Some(socket)))
}
