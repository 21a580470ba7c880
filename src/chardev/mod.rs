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
//! [`ChrEvent::Opened`] and [`ChrEvent::Closed`]. The *front end* is open while it has handlers
//! attached. Nothing is read before there are handlers, nor while
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
//! is one file: its options ([`BackendOptions`]), how they are opened ([`Backend`]), a
//! state, which lives in the table as [`std::any::Any`], and a [`ChardevClass`], a record
//! of functions each with a default, as in QEMU. `docs/add-a-backend.md` tells how to add
//! one, here or in a program.
//!
//! | file | what it is |
//! |---|---|
//! | `config` | addresses and the options of sockets |
//! | `class` | [`ChardevClass`], [`CharHandlers`]: what backends and front ends are made of |
//! | `table` | [`Chardevs`] |
//! | `object` | entering chardevs into the table, and taking them out |
//! | `kind`, `backends` | what a kind of backend is made of; the list of kinds |
//! | `fe` | what a front end calls: `qemu_chr_fe_*` |
//! | `be` | what a backend calls: `qemu_chr_be_*`, [`chr_set_watch`] |
//! | `manage` | adding, changing and removing |
//! | `options` | `-chardev`, and the short forms of `-serial` and `-monitor` |
//! | `tap`, `past_tap` | what a test kit puts between front ends and backends |
//! | `net` | sockets and files, with QEMU's error texts |
//! | `backend` | a backend each; `backend/fd.rs` is what those on plain descriptors share |
//! | `socket` | the socket backend: life, protocols, bytes, connecting, serving several |
//! | `codec` | telnet, websocket and TLS, as pure codecs |

mod backend;
pub(crate) mod backends;
mod be;
mod class;
mod codec;
mod config;
mod fe;
mod host;
mod kind;
mod log;
mod manage;
mod net;
mod object;
mod options;
mod past_tap;
pub mod schema;
mod scm_rights;
mod socket;
mod table;
mod tap;
mod watch;

pub use backend::file::{FileConfig, ParallelConfig, PipeConfig, SerialConfig};
pub use backend::hub::HubConfig;
pub use backend::mux::{resume_mux_open, set_term_escape_char, suspend_mux_open, MuxConfig};
pub use backend::peer::MemoryPeer;
pub use backend::pty::PtyConfig;
pub use backend::ringbuf::{ringbuf_read, ringbuf_write, RingbufConfig};
pub use backend::stdio::{self, StdioConfig};
pub use backend::udp::UdpConfig;
pub use backend::Backend;
pub use backends::{ChardevBackend, ChardevConfig, CHARDEV_BACKENDS};
pub use be::{
    chr_has_watch, chr_set_watch, qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event,
    qemu_chr_be_new_client, qemu_chr_be_write,
};
pub use class::{
    BackendChange, CharFrontend, CharHandlers, ChardevClass, ChardevId, ChrEvent, PeerEnd,
};
pub use codec::tls::{no_authz, no_tls_credentials, TlsCreds, TlsCredsX509, TlsEndpoint};
pub use codec::{telnet, websocket};
pub use config::*;
pub use fe::{
    qemu_chr_check_one_client, qemu_chr_exposed_at, qemu_chr_fe_accept_input,
    qemu_chr_fe_add_watch, qemu_chr_fe_backend_open, qemu_chr_fe_deinit, qemu_chr_fe_get_msgfd,
    qemu_chr_fe_init, qemu_chr_fe_init_server, qemu_chr_fe_is_terminal,
    qemu_chr_fe_keeps_writes_apart, qemu_chr_fe_set_be_change, qemu_chr_fe_set_echo,
    qemu_chr_fe_set_handlers, qemu_chr_fe_set_open, qemu_chr_fe_write,
};
pub(crate) use host::print_report;
pub use host::{
    filename, frontend_open, label, print_stderr, qemu_chr_find, ChardevHost, ChardevReport,
    ChardevRequest,
};
pub use kind::{BackendOptions, RegisteredBackend};
pub use manage::{
    chardev_add, chardev_change, chardev_remove, chardev_send_break, qemu_chr_cleanup, ChardevAdded,
};
pub use net::connect::{connect_next, connect_result, socket_connect_async, Connecting};
pub use net::fd::set_nonblocking;
pub use net::filename::socket_address_to_string;
pub use net::listen::{socket_accept, socket_listen, Listening, UnixPath};
pub use net::open::{fifo_reader, qemu_open, FifoReader};
pub use object::qemu_chardev_new;
pub use options::cli::{
    qemu_chardev_opts, qemu_chr_parse_cli, qemu_chr_parse_opts, QEMU_CHARDEV_OPTS,
};
pub use options::compat::{invalid_char_driver, qemu_chr_parse_compat, ParsedCompat};
pub use past_tap::{chr_event_past_tap, chr_watch_output, chr_write_past_tap};
pub use socket::{
    can_yank, char_socket_close_listener, char_socket_cut, char_socket_end_if_gone,
    char_socket_get_addr, char_socket_stop_accepting, char_socket_yank,
};
pub use table::{Chardev, Chardevs};
pub use tap::{ChardevTap, SharedTap};
pub use watch::WatchSlot;

/// The most bytes a backend reads and hands over in one go.
pub const CHR_READ_BUF_LEN: usize = 64 * 1024;

#[cfg(test)]
mod tests;
