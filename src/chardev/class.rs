//! The parts of a chardev: its id, its class, and the handlers of its front ends. Plain data
//! and function pointers, which know neither the table nor the host.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;

use crate::main_loop::SharedFd;
use crate::qapi::Error;
use crate::slots::Key;

/// An event that a chardev reports to its front end (QEMU's `QEMUChrEvent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChrEvent {
    /// A break was received.
    Break,
    /// A new connection.
    Opened,
    /// The mux that this front end shares gave it the focus.
    MuxIn,
    /// The mux took the focus away.
    MuxOut,
    /// The connection ended.
    Closed,
}

impl ChrEvent {
    /// QEMU's name.
    pub fn name(self) -> &'static str {
        match self {
            ChrEvent::Break => "CHR_EVENT_BREAK",
            ChrEvent::Opened => "CHR_EVENT_OPENED",
            ChrEvent::MuxIn => "CHR_EVENT_MUX_IN",
            ChrEvent::MuxOut => "CHR_EVENT_MUX_OUT",
            ChrEvent::Closed => "CHR_EVENT_CLOSED",
        }
    }
}

/// Names a chardev. Never given to another: the id of a chardev that is gone
/// finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChardevId(pub(super) Key);

impl ChardevId {
    /// The id as a number, to be a front end's opaque value: a mux is the
    /// front end of another chardev. Its highest two bits are 0.
    pub fn to_opaque(self) -> u64 {
        self.0.to_opaque()
    }

    /// The id that [`to_opaque`](Self::to_opaque) made a number of.
    pub fn from_opaque(opaque: u64) -> Self {
        ChardevId(Key::from_opaque(opaque))
    }
}

/// The functions of a backend (QEMU's `ChardevClass`). Each has a default, so a
/// backend names what it has:
///
/// ```
/// use qmonitor::chardev::{ChardevClass, ChardevHost};
///
/// fn sink<H: ChardevHost>() -> ChardevClass<H> {
///     ChardevClass {
///         opens_at_once: true,
///         chr_write: |_host, _id, bytes| Ok(bytes.len()),
///         ..ChardevClass::new("sink")
///     }
/// }
/// ```
///
/// The functions are given the host and the chardev's id and find their state
/// with [`Chardevs::state`](super::Chardevs::state). They may be called while the chardev is on
/// its way out; then the state is not found and there is nothing to do.
pub struct ChardevClass<H> {
    /// The backend's name; also its file name if it has none better.
    pub kind: &'static str,
    /// Whether the backend is open from the start.
    pub opens_at_once: bool,
    /// Whether its opening waits while [`suspend_mux_open`](super::suspend_mux_open) is in
    /// force.
    pub opening_can_be_suspended: bool,
    /// How many front ends may use it at the same time; four at most.
    pub max_frontends: usize,
    /// Whether it has no peer of its own, but makes a chardev for each client
    /// that comes ([`qemu_chr_be_new_client`](super::qemu_chr_be_new_client)).
    pub serves_clients: bool,
    /// Whether it is made of other chardevs: then it cannot be changed, be part of a hub,
    /// or belong to one client.
    pub combines_chardevs: bool,
    /// Whether the peer sees where one write ends and the next begins, by the state.
    pub keeps_writes_apart: fn(&dyn Any) -> bool,
    /// Whether a person sits at the terminal that the program was started from, and at the
    /// other end of this chardev.
    pub is_terminal: fn(&H, ChardevId) -> bool,
    /// The address through which other hosts can reach the front end without showing who
    /// they are; `None` if none can.
    pub exposed_at: fn(&H, ChardevId) -> Option<String>,
    /// Takes output, as much as can be had without blocking.
    pub chr_write: fn(&mut H, ChardevId, &[u8]) -> io::Result<usize>,
    /// The descriptor to watch for writability after `chr_write` took less
    /// than all; `None` if that cannot be watched.
    pub chr_watch_fd: fn(&mut H, ChardevId) -> Option<SharedFd>,
    /// A front end attached or detached its handlers (`tag` says which).
    pub chr_update_read_handler: fn(&mut H, ChardevId, tag: usize),
    /// The front end can take more input. A backend that reads from a watched
    /// descriptor needs to do nothing: the loop asks the gate again each turn.
    pub chr_accept_input: fn(&mut H, ChardevId),
    /// Something happened on the backend. Without this, the front end is told.
    pub chr_be_event: Option<fn(&mut H, ChardevId, ChrEvent)>,
    /// The first descriptor that came with the last message.
    pub chr_get_msgfd: fn(&mut H, ChardevId) -> Option<OwnedFd>,
    /// Whether input is echoed (terminals).
    pub chr_set_echo: fn(&mut H, ChardevId, bool),
    /// The front end says that it is open or closed (`qemu_chr_fe_set_open`).
    pub chr_set_fe_open: fn(&mut H, ChardevId, bool),
    /// `filename` in `query-chardev`, made from the state; `None` is `kind`.
    pub chr_filename: fn(&dyn Any) -> Option<String>,
    /// The chardev is being removed: take timers out of the loop and let go of
    /// chardevs it uses. No front end is told any more. Its
    /// [watches](super::chr_set_watch) go by themselves.
    pub finalize: fn(&mut H, ChardevId),
}

impl<H> Clone for ChardevClass<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for ChardevClass<H> {}

impl<H> ChardevClass<H> {
    /// A backend that swallows output, has no input and never opens.
    pub fn new(kind: &'static str) -> Self {
        ChardevClass {
            kind,
            opens_at_once: false,
            opening_can_be_suspended: false,
            max_frontends: 1,
            serves_clients: false,
            combines_chardevs: false,
            keeps_writes_apart: |_| false,
            is_terminal: |_, _| false,
            exposed_at: |_, _| None,
            chr_write: |_, _, buf| Ok(buf.len()),
            chr_watch_fd: |_, _| None,
            chr_update_read_handler: |_, _, _| {},
            chr_accept_input: |_, _| {},
            chr_be_event: None,
            chr_get_msgfd: |_, _| None,
            chr_set_echo: |_, _, _| {},
            chr_set_fe_open: |_, _, _| {},
            chr_filename: |_| None,
            finalize: |_, _| {},
        }
    }
}

/// The functions of a front end for input and events (QEMU's
/// `IOCanReadHandler`, `IOReadHandler`, `IOEventHandler`).
///
/// Plain functions: they find what they belong to by the opaque number that was
/// given along with them.
pub struct CharHandlers<H> {
    /// How many bytes it would take now. Asked when there is input; with 0 the
    /// descriptor is not even polled.
    pub can_read: fn(&H, u64) -> usize,
    /// Input, at most as much as `can_read` said.
    pub read: fn(&mut H, u64, &[u8]),
    /// Something happened.
    pub event: fn(&mut H, u64, ChrEvent),
    /// On a chardev that serves several clients: one has come, and this is its
    /// chardev, closed as yet. To take the client in, attach a front end to that
    /// chardev before returning; otherwise the client is turned away.
    ///
    /// The client's chardev opens once and closes once, and is removed when
    /// the front end has been told [`ChrEvent::Closed`], whether or not it
    /// was ever open.
    pub new_client: Option<fn(&mut H, u64, ChardevId)>,
    /// The peer's input has ended: whether the front end has done all that it
    /// owes the peer, so that the connection can be ended. Without, it always
    /// has. Asked anew in each turn until it says so.
    pub drained: Option<fn(&H, u64, PeerEnd) -> bool>,
    /// Whether it has not worked off yet what it has taken. A front end that has this
    /// takes all its input in time, and calls [`qemu_chr_fe_accept_input`](super::qemu_chr_fe_accept_input) when the
    /// answer changes: the keys of a mux wait for it, so that they do not overtake the
    /// input before them. A front end without it, such as a serial port of a guest that
    /// may never read, takes its input when it likes: the keys do not wait.
    pub backlog: Option<fn(&H, u64) -> bool>,
    /// The length of the shortest input of a new peer that may take a descriptor which
    /// came with what follows it. So much of a connection's first input is read without
    /// a look whether descriptors are in it; 0, the default, always looks.
    pub safe_start: usize,
}

/// How a peer ended its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// It sends no more, and may still read.
    HalfClosed,
    /// It is gone.
    Gone,
}

impl<H> CharHandlers<H> {
    /// A front end for one peer, whose connection may be ended as soon as its input
    /// is read.
    pub const fn new(
        can_read: fn(&H, u64) -> usize,
        read: fn(&mut H, u64, &[u8]),
        event: fn(&mut H, u64, ChrEvent),
    ) -> Self {
        CharHandlers {
            can_read,
            read,
            event,
            new_client: None,
            drained: None,
            backlog: None,
            safe_start: 0,
        }
    }
}

impl<H> Clone for CharHandlers<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for CharHandlers<H> {}

/// A front end's hold on its chardev (QEMU's `CharBackend`): the chardev, and
/// which of its users this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CharFrontend {
    pub(super) chr: ChardevId,
    pub(super) tag: usize,
}

impl CharFrontend {
    /// The chardev.
    pub fn chardev(self) -> ChardevId {
        self.chr
    }

    /// The front end as a number, for handlers that need to know nothing else.
    pub fn to_opaque(self) -> u64 {
        self.chr.to_opaque() << TAG_BITS | self.tag as u64
    }

    /// The front end that [`to_opaque`](Self::to_opaque) made a number of.
    pub fn from_opaque(opaque: u64) -> Self {
        CharFrontend {
            chr: ChardevId::from_opaque(opaque >> TAG_BITS),
            tag: (opaque & ((1 << TAG_BITS) - 1)) as usize,
        }
    }
}

/// Low bits of a front end's number: which of a mux's users. The number of a
/// chardev's id leaves room for them.
const TAG_BITS: u32 = crate::slots::SPARE_BITS;

/// How many front ends a chardev can have at most.
pub(super) const MAX_FRONTENDS: usize = 1 << TAG_BITS;

/// Takes another chardev into use in place of the one that the front end has (QEMU's
/// `BackendChangeHandler`). It is given its opaque value and its hold on the new chardev,
/// which it keeps in place of the old, and attaches its handlers there. What it has of its
/// own, such as half a line, stays with it.
///
/// With an error the change is called off, and the front end has the old chardev as before.
pub type BackendChange<H> = fn(&mut H, u64, CharFrontend) -> Result<(), Error>;
