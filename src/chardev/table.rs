//! The table of chardevs.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;

use super::class::{BackendChange, CharFrontend, CharHandlers, ChardevClass, ChardevId};
use super::kind::Kind;
use super::log::SharedLog;
use super::tap::SharedTap;
use super::watch::Watches;
use crate::hash_order::HashOrder;
use crate::slots::Slots;
use crate::sys::InheritedFds;

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
    pub(super) log: Option<SharedLog>,
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

    /// The `filename` in `query-chardev`.
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
    /// See [`listed`](Self::listed).
    order: HashOrder<ChardevId>,
    pub(super) tap: Option<SharedTap<H>>,
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
            order: HashOrder::default(),
            tap: None,
            mux_open_suspended: false,
            term_escape_char: 1,
            chosen_backends: None,
            kinds: Vec::new(),
            inherited_fds: InheritedFds::default(),
            read_buf: Vec::new(),
        }
    }

    /// The tap, shared, so that it can be given the host.
    #[inline]
    pub(super) fn tap(&self) -> Option<SharedTap<H>> {
        self.tap.clone()
    }

    /// Puts a tap on all chardevs, for a test kit.
    pub fn set_tap(&mut self, tap: SharedTap<H>) {
        self.tap = Some(tap);
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

    /// All chardevs, in the order of QEMU's listings.
    pub fn listed(&self) -> impl Iterator<Item = &Chardev<H>> {
        self.order.listed().filter_map(|id| self.get(id))
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
        log: Option<SharedLog>,
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
        self.order.insert(&label, id);
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
            self.order.remove(&label, id);
        }
    }

    /// Takes the label back.
    pub(super) fn take_label(&mut self, id: ChardevId) {
        if let Some(label) = self.get(id).map(|chr| chr.label.clone()) {
            self.order.insert(&label, id);
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
