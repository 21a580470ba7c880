//! The table of chardevs, and what a chardev is made of.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use super::fe::{BackendChange, CharFrontend, CharHandlers};
use super::host::ChardevHost;
use super::kind::Kind;
use super::watch::Watches;
use crate::main_loop::SharedFd;
use crate::slots::{Key, Slots};
use crate::sys::InheritedFds;

/// What a front end is told about its chardev (QEMU's `QEMUChrEvent`).
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
pub struct ChardevId(Key);

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
/// with [`Chardevs::state`]. They may be called while the chardev is on
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
    /// The front end can take more input. What reads from a watched
    /// descriptor needs to do nothing: the gate is asked again each turn.
    pub chr_accept_input: fn(&mut H, ChardevId),
    /// Something happened on the backend; the default tells the front end.
    pub chr_be_event: fn(&mut H, ChardevId, ChrEvent),
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

impl<H: ChardevHost> ChardevClass<H> {
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
            chr_be_event: super::be::chr_be_event,
            chr_get_msgfd: |_, _| None,
            chr_set_echo: |_, _, _| {},
            chr_set_fe_open: |_, _, _| {},
            chr_filename: |_| None,
            finalize: |_, _| {},
        }
    }
}

/// A front end as its chardev knows it.
pub(super) struct FrontendSlot<H> {
    pub handlers: Option<CharHandlers<H>>,
    pub opaque: u64,
    pub open: bool,
    /// Takes another chardev in place of this one; none if it cannot.
    pub be_change: Option<BackendChange<H>>,
}

impl<H> FrontendSlot<H> {
    pub(super) fn new() -> Self {
        FrontendSlot {
            handlers: None,
            opaque: 0,
            open: false,
            be_change: None,
        }
    }
}

/// A chardev in the table.
pub struct Chardev<H> {
    pub(super) label: String,
    pub(super) class: ChardevClass<H>,
    pub(super) be_open: bool,
    /// By tag; none while that place is free.
    pub(super) frontends: Vec<Option<FrontendSlot<H>>>,
    pub(super) log: Option<SharedFd>,
    pub(super) watches: Watches,
    state: Box<dyn Any>,
}

impl<H> Chardev<H> {
    /// Its label, the `id` of the command line and of QMP.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The name of its backend.
    pub fn kind(&self) -> &'static str {
        self.class.kind
    }

    /// What `query-chardev` shows as `filename`.
    pub fn filename(&self) -> String {
        let name = (self.class.chr_filename)(&*self.state);
        name.unwrap_or_else(|| self.class.kind.to_owned())
    }

    /// Whether there is a peer.
    pub fn is_open(&self) -> bool {
        self.be_open
    }

    /// Whether a front end has attached handlers, or said that it is open.
    pub fn frontend_open(&self) -> bool {
        self.frontends.iter().flatten().any(|fe| fe.open)
    }

    /// Whether it makes a chardev for each client, and so needs a front end
    /// that can have several.
    pub fn serves_clients(&self) -> bool {
        self.class.serves_clients
    }

    /// Whether it is a mux or a hub, or another that is made of chardevs.
    pub fn combines_chardevs(&self) -> bool {
        self.class.combines_chardevs
    }

    /// Whether the peer sees where one write ends and the next begins.
    pub(super) fn keeps_writes_apart(&self) -> bool {
        (self.class.keeps_writes_apart)(&*self.state)
    }

    /// Whether any front end has attached handlers.
    pub(super) fn has_handlers(&self) -> bool {
        self.frontends
            .iter()
            .flatten()
            .any(|fe| fe.handlers.is_some())
    }

    /// Whether this front end has attached handlers.
    pub(super) fn has_handlers_of(&self, fe: CharFrontend) -> bool {
        let slot = self.frontends.get(fe.tag).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.handlers.is_some())
    }

    /// Whether it has a front end or is part of a mux or hub; then it cannot
    /// be removed.
    pub fn is_busy(&self) -> bool {
        self.frontends.iter().any(Option::is_some)
    }
}

/// Extra bytes per read buffer. Buffers of a round size start at the same page
/// offset, and copying between two such is ten times slower (4K aliasing).
const READ_BUF_SKEW: usize = 512;

/// All chardevs of a host.
pub struct Chardevs<H> {
    slots: Slots<Chardev<H>>,
    by_label: HashMap<String, ChardevId>,
    /// See [`suspend_mux_open`](super::suspend_mux_open).
    pub(super) mux_open_suspended: bool,
    /// See [`set_term_escape_char`](super::set_term_escape_char).
    pub(super) term_escape_char: u8,
    /// See [`set_backends`](Self::set_backends).
    chosen_backends: Option<&'static [&'static str]>,
    /// See [`register`](Self::register).
    kinds: Vec<Kind<H>>,
    inherited_fds: InheritedFds,
    read_buf: Vec<u8>,
}

impl<H> Default for Chardevs<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Chardevs<H> {
    /// An empty table.
    pub fn new() -> Self {
        Chardevs {
            slots: Slots::new(),
            by_label: HashMap::new(),
            mux_open_suspended: false,
            term_escape_char: 1,
            chosen_backends: None,
            kinds: Vec::new(),
            inherited_fds: InheritedFds::default(),
            read_buf: Vec::new(),
        }
    }

    /// Lets only these kinds of this library's backends be made, whoever asks, and clients
    /// be told of these only. Others are `not a valid char driver name`, as those
    /// that a QEMU was built without.
    pub fn set_backends(&mut self, backends: &'static [&'static str]) {
        self.chosen_backends = Some(backends);
    }

    pub(super) fn chosen_backends(&self) -> Option<&'static [&'static str]> {
        self.chosen_backends
    }

    /// The kinds that the program has added.
    pub(super) fn kinds(&self) -> &[Kind<H>] {
        &self.kinds
    }

    pub(super) fn push_kind(&mut self, kind: Kind<H>) {
        self.kinds.push(kind);
    }

    /// The inherited descriptors that may still be taken by number.
    pub fn inherited_fds_mut(&mut self) -> &mut InheritedFds {
        &mut self.inherited_fds
    }

    /// Lets inherited descriptors be taken by number
    /// (`-chardev socket,fd=N`). Without this each number is refused.
    pub fn set_inherited_fds(&mut self, fds: InheritedFds) {
        self.inherited_fds = fds;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A chardev, unless it is gone.
    pub fn get(&self, id: ChardevId) -> Option<&Chardev<H>> {
        self.slots.get(id.0)
    }

    pub(super) fn get_mut(&mut self, id: ChardevId) -> Option<&mut Chardev<H>> {
        self.slots.get_mut(id.0)
    }

    /// The chardev of that label.
    pub fn find(&self, label: &str) -> Option<ChardevId> {
        self.by_label.get(label).copied()
    }

    /// Whether a chardev has a front end with handlers: without one, nothing is read.
    pub fn has_handlers(&self, id: ChardevId) -> bool {
        self.get(id).is_some_and(Chardev::has_handlers)
    }

    /// All chardevs, in the order of creation.
    pub fn iter(&self) -> impl Iterator<Item = (ChardevId, &Chardev<H>)> {
        let all = self.slots.iter_in_order();
        all.map(|(key, chr)| (ChardevId(key), chr))
    }

    /// A backend's state, if the chardev exists and its state is a `T`.
    pub fn state<T: 'static>(&self, id: ChardevId) -> Option<&T> {
        self.get(id)?.state.downcast_ref()
    }

    /// A backend's state, to change it.
    pub fn state_mut<T: 'static>(&mut self, id: ChardevId) -> Option<&mut T> {
        self.get_mut(id)?.state.downcast_mut()
    }

    /// Gives a chardev its state, in place of the one that it has.
    pub fn set_state(&mut self, id: ChardevId, state: Box<dyn Any>) {
        if let Some(chr) = self.get_mut(id) {
            chr.state = state;
        }
    }

    /// Puts a chardev in; the label must be free.
    pub(super) fn insert(
        &mut self,
        label: String,
        class: ChardevClass<H>,
        state: Box<dyn Any>,
        log: Option<SharedFd>,
    ) -> ChardevId {
        let key = self.slots.insert(Chardev {
            label: label.clone(),
            class,
            be_open: false,
            frontends: Vec::new(),
            log,
            watches: Watches::default(),
            state,
        });
        let id = ChardevId(key);
        self.by_label.insert(label, id);
        id
    }

    /// Takes a chardev out and drops its state.
    pub(super) fn remove(&mut self, id: ChardevId) {
        if self.get(id).is_some() {
            self.give_up_label(id);
            self.slots.remove(id.0);
        }
    }

    /// Lets another chardev have the label: this one is not found by it any more.
    pub(super) fn give_up_label(&mut self, id: ChardevId) {
        let Some(label) = self.get(id).map(|chr| chr.label.clone()) else {
            return;
        };
        if self.by_label.get(&label) == Some(&id) {
            self.by_label.remove(&label);
        }
    }

    /// Takes the label back.
    pub(super) fn take_label(&mut self, id: ChardevId) {
        if let Some(label) = self.get(id).map(|chr| chr.label.clone()) {
            self.by_label.insert(label, id);
        }
    }

    /// A buffer for reading, at least `len` bytes; to be
    /// [given back](Self::put_read_buf). Reads may nest, hence no borrow.
    pub(super) fn take_read_buf(&mut self, len: usize) -> Vec<u8> {
        let mut buf = std::mem::take(&mut self.read_buf);
        if buf.len() < len {
            buf.resize(len + READ_BUF_SKEW, 0);
        }
        buf
    }

    pub(super) fn put_read_buf(&mut self, buf: Vec<u8>) {
        if buf.len() > self.read_buf.len() {
            self.read_buf = buf;
        }
    }
}

impl<H> fmt::Debug for Chardevs<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self
            .slots
            .iter()
            .map(|(_, chr)| (&chr.label, chr.class.kind));
        f.debug_map().entries(entries).finish()
    }
}

/// The chardev of that label (`qemu_chr_find`).
pub fn qemu_chr_find<H: ChardevHost>(h: &H, label: &str) -> Option<ChardevId> {
    h.chardevs().find(label)
}

/// A chardev's label; empty if it is gone.
pub fn label<H: ChardevHost>(h: &H, id: ChardevId) -> &str {
    h.chardevs().get(id).map_or("", |chr| chr.label.as_str())
}

/// What `query-chardev` shows as `filename`; empty if the chardev is gone.
pub fn filename<H: ChardevHost>(h: &H, id: ChardevId) -> String {
    let chr = h.chardevs().get(id);
    chr.map_or_else(String::new, Chardev::filename)
}

/// What `query-chardev` shows as `frontend-open`.
pub fn frontend_open<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let chr = h.chardevs().get(id);
    chr.is_some_and(Chardev::frontend_open)
}
