//! The way to a server.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::client::Connection;
use super::remote::Remote;
use super::stream::NbdStream;
use crate::schema::{BlockdevOptionsNbd, SocketAddress};
use qmonitor::qapi::Error;

/// How long a server may take to be reached.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to the server of a node, and the name of the node.
///
/// # Errors
///
/// Nothing listens there, or what listens is no server of that export.
pub fn connect(options: &BlockdevOptionsNbd) -> Result<(Remote, String), Error> {
    if options.tls_creds.is_some() {
        return Err(Error::new(
            "this machine reaches servers of disks without TLS",
        ));
    }
    if options.x_dirty_bitmap.is_some() {
        return Err(Error::new("this machine reads no bitmaps of other servers"));
    }
    let export = options.export.as_deref().unwrap_or_default();
    let slash = if export.is_empty() { "" } else { "/" };
    let (stream, name) = match &options.server {
        SocketAddress::Unix(unix) => {
            let path = &unix.path;
            let stream = UnixStream::connect(path)
                .map_err(|e| Error::from_io(format!("Failed to connect to '{path}'"), &e))?;
            let name = format!("nbd+unix://{slash}{export}?socket={path}");
            (NbdStream::Unix(stream), name)
        }
        SocketAddress::Inet(inet) => {
            let place = format!("{}:{}", inet.host, inet.port);
            let stream = connect_tcp(&place)?;
            let name = format!("nbd://{place}{slash}{export}");
            (NbdStream::Tcp(stream), name)
        }
        _ => {
            return Err(Error::new(
                "this machine reaches servers by unix and inet only",
            ))
        }
    };
    let connection = Connection::open(stream, export)?;
    Ok((Remote::new(connection), name))
}

fn connect_tcp(place: &str) -> Result<TcpStream, Error> {
    let unknown = |_| {
        Error::new(format!(
            "address resolution failed for {place}: Name or service not known"
        ))
    };
    let mut last = None;
    for address in place.to_socket_addrs().map_err(unknown)? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = Some(e),
        }
    }
    Err(match last {
        Some(e) => Error::from_io(format!("Failed to connect to '{place}'"), &e),
        None => Error::new(format!("address resolution failed for {place}")),
    })
}
