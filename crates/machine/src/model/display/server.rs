//! A VNC server and its clients; the commands move their bytes.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::{Rfb, Security};
use crate::schema::NetworkAddressFamily;
use qmonitor::main_loop::WatchId;

/// A server, by the id of its option.
pub struct VncServer {
    /// Its id.
    pub id: String,
    /// How clients prove who they are.
    pub security: Security,
    /// Where it listens, if it does.
    pub place: Option<Place>,
    /// Its clients, by number.
    pub clients: BTreeMap<u64, Client>,
    /// The number of the next client.
    pub next_client: u64,
    /// The path of its socket, which is removed with the server.
    pub path: Option<String>,
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address; empty for a unix socket.
    pub host: String,
    /// The port, or the path.
    pub service: String,
    #[allow(missing_docs)]
    pub family: NetworkAddressFamily,
}

/// A client of a server.
pub struct Client {
    /// Where it is.
    pub place: Place,
    /// What was said.
    pub rfb: Rfb,
    /// Its socket.
    pub stream: Rc<Stream>,
    /// What its socket did not take yet.
    pub output: Vec<u8>,
    /// Waits until the socket takes more.
    pub writing: Option<WatchId>,
    /// Whether it was let in.
    pub is_initialized: bool,
}

/// A socket.
pub enum Stream {
    #[allow(missing_docs)]
    Tcp(TcpStream),
    #[allow(missing_docs)]
    Unix(UnixStream),
}

impl std::os::fd::AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Stream::Tcp(s) => s.as_fd(),
            Stream::Unix(s) => s.as_fd(),
        }
    }
}

impl Drop for VncServer {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may be gone.
            let _ = std::fs::remove_file(path);
        }
    }
}
