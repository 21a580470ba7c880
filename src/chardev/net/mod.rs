//! Sockets and files of the host: opening them, with QEMU's error texts, and naming them.

mod activation;
pub(super) mod connect;
pub(super) mod exposure;
pub(super) mod fd;
pub(super) mod filename;
pub(super) mod listen;
pub(super) mod open;
mod resolve;
mod sockaddr;
