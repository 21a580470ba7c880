//! Protocols on a socket, as pure codecs: bytes in, bytes out.

pub mod telnet;
pub(super) mod tls;
pub mod websocket;
