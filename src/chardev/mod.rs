//! Character devices: streams of bytes between a front end (a monitor, a serial
//! port) and a backend (a socket, a terminal, a file).
//!
//! ```text
//!      front end                    chardev                       outside
//!   ┌────────────┐  fe_write   ┌──────────────┐  write, send   ┌──────────┐
//!   │  monitor   │ ──────────▶ │ Chardev      │ ─────────────▶ │  socket  │
//!   │            │             │  label       │                │  stdio   │
//!   │ can_read   │ ◀────────── │  class       │                │  file    │
//!   │ read       │  be_write   │  state       │ ◀───────────── │  pty ... │
//!   │ event      │  be_event   │  front ends  │  watch, read   │          │
//!   └────────────┘             └──────────────┘                └──────────┘
//! ```
//!
//! # Two sides that open and close on their own
//!
//! The *backend* is open while there is a peer: a socket from accept to hang-up, a
//! file always, `null` never. The front end hears of it as
//! [`ChrEvent::Opened`] and [`ChrEvent::Closed`]. The *front end* is open while somebody has attached
//! handlers. Nothing is read before there are handlers, nor while
//! [`CharHandlers::can_read`] says 0; but a socket accepts, says its telnet
//! greeting and notices a full close without any front end.
//!
//! # Ids, not references
//!
//! All chardevs live in one table, [`Chardevs`], which the host owns. A front
//! end holds a [`CharFrontend`], which is two numbers. Handlers are function
//! pointers that are copied out of the table before they are called, so a
//! handler gets the whole host and may do anything, such as removing the very
//! chardev it was called for. Hence the rule that every backend follows: after
//! each call that can reach a front end, look the chardev up again, and
//! be done if it is gone.
//!
//! # A backend
//!
//! is one file here: a state, which lives in the table as [`std::any::Any`], and a
//! [`ChardevClass`], a record of functions each with a default, as in QEMU.
//! Programs can bring their own with [`qemu_chardev_new`].
//!
//! | file | what it is |
//! |---|---|
//! | `config`, `opts`, `cli`, `compat` | what a chardev is to be, and how the command line says it |
//! | `table` | [`Chardevs`], [`ChardevClass`] |
//! | `fe` | what a front end calls: `qemu_chr_fe_*` |
//! | `be` | what a backend calls: `qemu_chr_be_*` |
//! | `watch` | what a chardev waits for: [`chr_set_watch`] |
//! | `manage` | adding, changing and removing |
//! | `net`, `resolve`, `address`, `files` | sockets and files, with QEMU's error texts |
//! | `socket` | the socket backend: life, bytes, connecting, serving several, TLS |
//! | `exposure` | whether strangers can reach it |
//! | `codec` | protocols on a socket, telnet, websocket and TLS, as pure codecs |
//! | `fd` | what all backends on plain descriptors share |
//! | the others | a backend each |

mod address;
pub(crate) mod backends;
pub(crate) mod base64;
mod be;
pub mod cli;
mod codec;
pub mod compat;
mod config;
mod exposure;
mod fd;
mod fe;
mod file;
mod files;
mod host;
mod hub;
mod kind;
mod manage;
pub mod memory;
mod mux;
mod mux_stamp;
mod net;
mod null;
pub mod opts;
mod pty;
mod resolve;
mod ringbuf;
pub(crate) mod schema;
mod scm_rights;
mod socket;
pub mod stdio;
mod table;
mod testdev;
mod udp;
mod watch;

pub use backends::{ChardevBackend, ChardevConfig, CHARDEV_BACKENDS};
pub use be::{
    qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event, qemu_chr_be_new_client,
    qemu_chr_be_write,
};
pub use cli::{qemu_chr_parse_cli, qemu_chr_parse_opts, QEMU_CHARDEV_OPTS};
pub use codec::tls::{no_authz, no_tls_credentials, TlsCreds, TlsCredsX509, TlsEndpoint};
pub use codec::{telnet, websocket};
pub use compat::{invalid_char_driver, qemu_chr_parse_compat, ParsedCompat};
pub use config::*;
pub use fe::{
    qemu_chr_check_one_client, qemu_chr_exposed_at, qemu_chr_fe_accept_input,
    qemu_chr_fe_add_watch, qemu_chr_fe_backend_open, qemu_chr_fe_deinit, qemu_chr_fe_get_msgfd,
    qemu_chr_fe_init, qemu_chr_fe_init_server, qemu_chr_fe_is_terminal,
    qemu_chr_fe_keeps_writes_apart, qemu_chr_fe_set_be_change, qemu_chr_fe_set_echo,
    qemu_chr_fe_set_handlers, qemu_chr_fe_set_open, qemu_chr_fe_write, BackendChange, CharFrontend,
    CharHandlers, PeerEnd,
};
pub use file::{FileConfig, ParallelConfig, PipeConfig, SerialConfig};
pub use files::{fifo_reader, FifoReader};
pub(crate) use host::print_report;
pub use host::{print_stderr, ChardevHost, ChardevReport, ChardevRequest};
pub use hub::HubConfig;
pub use kind::{Backend, BackendOptions, RegisteredBackend};
pub use manage::{
    chardev_add, chardev_change, chardev_remove, chardev_send_break, qemu_chardev_new,
    qemu_chr_cleanup, ChardevAdded,
};
pub use mux::{resume_mux_open, set_term_escape_char, suspend_mux_open, MuxConfig};
pub use null::NullConfig;
pub use pty::PtyConfig;
pub use ringbuf::{ringbuf_read, ringbuf_write, RingbufConfig};
pub use socket::{can_yank, char_socket_get_addr, char_socket_yank};
pub use stdio::StdioConfig;
pub use table::{
    filename, frontend_open, label, qemu_chr_find, Chardev, ChardevClass, ChardevId, Chardevs,
    ChrEvent,
};
pub use testdev::TestdevConfig;
pub use udp::UdpConfig;
pub use watch::{chr_has_watch, chr_set_watch, WatchSlot};

/// The most bytes a backend reads and hands over in one go.
pub const CHR_READ_BUF_LEN: usize = 64 * 1024;

#[cfg(test)]
mod tests;
