//! A VNC server and its clients; the commands move their bytes.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::{Password, Rfb, Security, Share};
use crate::schema::NetworkAddressFamily;
use qmonitor::chardev::websocket::FrameDecoder;
use qmonitor::main_loop::WatchId;

/// A server, by the id of its option.
pub struct VncServer {
    /// Its id.
    pub id: String,
    /// How clients prove who they are.
    pub security: Security,
    /// What they prove it with.
    pub password: Password,
    /// Who may share the screen.
    pub share: Share,
    /// The device whose screen it shows, if the user chose one.
    pub display: Option<String>,
    /// Where it listens, in the order in which that began.
    pub listeners: Vec<Listening>,
    /// Its clients, by number.
    pub clients: BTreeMap<u64, Client>,
    /// The number of the next client.
    pub next_client: u64,
}

/// A socket that takes clients.
pub struct Listening {
    /// Where it is.
    pub place: Place,
    /// Whether clients speak the websocket protocol around the other.
    pub websocket: bool,
    /// What notices a client.
    pub watch: Option<WatchId>,
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
    /// The protocol around it, if there is one.
    pub websocket: Option<Websocket>,
    /// Its socket.
    pub stream: Rc<Stream>,
    /// What its socket did not take yet.
    pub output: Vec<u8>,
    /// Wait until the socket takes more, and until something comes.
    pub writing: Option<WatchId>,
    #[allow(missing_docs)]
    pub reading: Option<WatchId>,
    /// Whether it was let in, and wants the screen for itself.
    pub is_initialized: bool,
    #[allow(missing_docs)]
    pub is_exclusive: bool,
}

/// How far the websocket protocol has come.
#[derive(Debug)]
pub enum Websocket {
    /// The request, as far as it has come.
    Request(Vec<u8>),
    /// Frames.
    Open(FrameDecoder),
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

impl VncServer {
    /// Where it listens for clients that speak its own protocol.
    pub fn place(&self) -> Option<&Place> {
        let mut plain = self.listeners.iter().filter(|l| !l.websocket);
        plain.next().map(|listening| &listening.place)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.place.family == NetworkAddressFamily::Unix {
            // It may be gone.
            let _ = std::fs::remove_file(&self.place.service);
        }
    }
}
