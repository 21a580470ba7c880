//! A server that serves several clients at once (`max-clients`), which QEMU's
//! does not.
//!
//! The chardev `ID` only listens. Each client gets a chardev of its own, `ID.0`, `ID.1`,
//! and so on, which is a connected socket like any other but lives as long as the
//! connection:
//!
//! ```text
//!   accept4 ──▶ ID.N is made ──▶ front end of ID: new_client ──▶ ID.N in use? ── no ──▶ removed
//!                                                                   │ yes
//!                              removed ◀── "Closed" ◀── connected ◀─┘ "Opened"
//! ```
//!
//! The front end of the server attaches another one to the client's chardev before that
//! opens; from then on the two know nothing of each other. So nothing that one client does,
//! takes or leaves behind affects another.
//!
//! The listener is watched while there is a front end and fewer clients than allowed; others
//! wait in the kernel's queue, as with a server of one client. A client counts from accept
//! until its chardev is removed, for whatever reason. Removing the server removes its clients.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::{
    char_socket_class, state, tcp_chr_disconnect, tcp_chr_listen, tcp_chr_new_client,
    tcp_chr_unlisten, SocketChardev,
};
use crate::chardev::be::qemu_chr_be_new_client;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::host::ChardevHost;
use crate::chardev::object::{object_unparent, qemu_chardev_insert};

/// The clients of a server.
pub(super) struct Clients {
    max: usize,
    /// A front end takes them in.
    attached: bool,
    /// In the order in which they came.
    ids: Vec<ChardevId>,
    /// Number of the next one. Numbers are not used again: a label that was read for
    /// one client never names another.
    next: u64,
}

impl Clients {
    /// None if the server serves one client at a time.
    pub(super) fn new(max: u64) -> Option<Self> {
        (max > 1).then(|| Clients {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            attached: false,
            ids: Vec::new(),
            next: 0,
        })
    }

    /// Whether one more may come.
    pub(super) fn has_room(&self) -> bool {
        self.attached && self.ids.len() < self.max
    }
}

/// The class of servers with several clients.
pub(in crate::chardev) fn char_socket_server_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        serves_clients: true,
        chr_update_read_handler: |h, id, _| update_handlers(h, id),
        ..char_socket_class()
    }
}

fn clients<H: ChardevHost>(h: &mut H, server: ChardevId) -> Option<&mut Clients> {
    state(h, server)?.clients.as_mut()
}

/// A front end attached or detached. If it detached, its clients stay.
fn update_handlers<H: ChardevHost>(h: &mut H, server: ChardevId) {
    let attached = h.chardevs().has_handlers(server);
    if let Some(clients) = clients(h, server) {
        clients.attached = attached;
    }
    update_listener(h, server);
}

fn update_listener<H: ChardevHost>(h: &mut H, server: ChardevId) {
    if clients(h, server).is_some_and(|clients| clients.has_room()) {
        tcp_chr_listen(h, server);
    } else {
        tcp_chr_unlisten(h, server);
    }
}

/// Makes the chardev of an accepted client, and turns the client away unless the front
/// end takes it in.
pub(super) fn add<H: ChardevHost>(h: &mut H, server: ChardevId, fd: Rc<OwnedFd>) {
    let Some(label) = free_label(h, server) else {
        return;
    };
    let log = h.chardevs().get(server).and_then(|chr| chr.log.clone());
    let Some(s) = state(h, server) else { return };
    let mut own = SocketChardev::new(&s.config, &s.addr, s.tls_creds.clone());
    own.server = Some(server);
    let class = char_socket_class();
    let Ok(client) = qemu_chardev_insert(h, &label, class, Box::new(own), log) else {
        return;
    };
    if let Some(clients) = clients(h, server) {
        clients.ids.push(client);
    }
    update_listener(h, server);
    qemu_chr_be_new_client(h, server, client);
    if h.chardevs().has_handlers(client) {
        tcp_chr_new_client(h, client, fd);
    } else {
        object_unparent(h, client);
    }
}

/// The next label that no other chardev has.
fn free_label<H: ChardevHost>(h: &mut H, server: ChardevId) -> Option<String> {
    let id = h.chardevs().get(server)?.label().to_owned();
    loop {
        let clients = clients(h, server)?;
        let label = format!("{id}.{}", clients.next);
        clients.next += 1;
        if h.chardevs().find(&label).is_none() {
            return Some(label);
        }
    }
}

/// A chardev is being removed. A client's makes room in its server; a server's clients go
/// as if they had left.
pub(super) fn left<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id) else { return };
    let (server, own) = (s.server, s.clients.take());
    if let Some(clients) = server.and_then(|server| clients(h, server)) {
        clients.ids.retain(|client| *client != id);
    }
    if let Some(server) = server {
        update_listener(h, server);
    }
    for client in own.into_iter().flat_map(|clients| clients.ids) {
        tcp_chr_disconnect(h, client);
    }
}
