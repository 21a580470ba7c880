//! The backends, one file each. Sockets, which are larger, have a room of their own.

mod fd;
pub(super) mod file;
pub(super) mod hub;
pub(super) mod mux;
pub(super) mod null;
pub(super) mod peer;
pub(super) mod pty;
pub(super) mod ringbuf;
mod stamp;
pub mod stdio;
pub(super) mod testdev;
pub(super) mod udp;
