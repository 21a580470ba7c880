//! A hub: several chardevs behind one front end. Output goes to all of them, input
//! comes from any.
//!
//! The hub opens when the first of its parts opens and closes when the last
//! one closes. Only what changes after the front end attached counts: a part that is
//! always open, such as a ring buffer, never opens the hub.
//!
//! Parts take output at different speeds. The front end is told the count of the
//! slowest, and the others' lead is remembered, so that each gets every byte once
//! when the front end offers the rest again.

use std::io;

use super::Backend;
use crate::chardev::be::{
    qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event, qemu_chr_be_write,
};
use crate::chardev::class::{CharFrontend, CharHandlers, ChardevClass, ChardevId, ChrEvent};
use crate::chardev::fe::{
    attach_quietly, qemu_chr_exposed_at, qemu_chr_fe_accept_input, qemu_chr_fe_deinit,
    qemu_chr_fe_get_msgfd, qemu_chr_fe_init, qemu_chr_fe_set_echo, qemu_chr_write, watch_fd,
};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// How many parts there may be.
const MAX_HUB: usize = 4;
const _: () = assert!(MAX_HUB <= 1 << crate::slots::SPARE_BITS);

struct HubChardev {
    parts: Vec<Part>,
}

struct Part {
    fe: CharFrontend,
    /// Has opened since the front end attached.
    opened: bool,
    /// Bytes that this part has already and the slowest has not.
    ahead: usize,
    /// The last write did not take all.
    blocked: bool,
}

/// Options of the hub backend (QEMU's `ChardevHub`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubConfig {
    /// The labels of the chardevs that it joins.
    pub chardevs: Vec<String>,
}

impl BackendOptions for HubConfig {
    type Arguments = q::ChardevHub;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let names = ["chardevs.0", "chardevs.1", "chardevs.2", "chardevs.3"];
        let given = names.iter().map_while(|name| opts.get(name));
        let chardevs: Vec<String> = given.map(str::to_owned).collect();
        if chardevs.is_empty() {
            return Err(Error::new("hub: 'chardevs' list is not defined"));
        }
        Ok(HubConfig { chardevs })
    }

    fn from_arguments(arguments: q::ChardevHub) -> Result<Self, Error> {
        let chardevs = arguments.chardevs;
        Ok(HubConfig { chardevs })
    }
}

impl<H: ChardevHost> Backend<H> for HubConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            combines_chardevs: true,
            exposed_at: |h, id| {
                let mut parts = hub_parts(h, id).into_iter();
                parts.find_map(|part| qemu_chr_exposed_at(h, part))
            },
            chr_write: hub_chr_write,
            chr_watch_fd: |h, id| {
                let blocked = state(h, id)?.parts.iter().find(|p| p.blocked)?.fe;
                watch_fd(h, blocked.chardev())
            },
            chr_update_read_handler: |h, id, _| hub_chr_update_read_handlers(h, id),
            chr_accept_input: |h, id| for_each_part(h, id, |h, fe| qemu_chr_fe_accept_input(h, fe)),
            chr_get_msgfd: |h, id| {
                let fes: Vec<_> = state(h, id)?.parts.iter().map(|p| p.fe).collect();
                fes.into_iter().find_map(|fe| qemu_chr_fe_get_msgfd(h, fe))
            },
            chr_set_echo: |h, id, echo| {
                for_each_part(h, id, |h, fe| qemu_chr_fe_set_echo(h, fe, echo));
            },
            finalize: |h, id| for_each_part(h, id, |h, fe| qemu_chr_fe_deinit(h, fe, false)),
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qemu_chr_open_hub(h, id, &self.chardevs)?;
        Ok(None)
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut HubChardev> {
    h.chardevs_mut().state_mut(id)
}

fn for_each_part<H: ChardevHost>(h: &mut H, id: ChardevId, f: impl Fn(&mut H, CharFrontend)) {
    let fes = state(h, id).map(|s| s.parts.iter().map(|p| p.fe).collect::<Vec<_>>());
    for fe in fes.unwrap_or_default() {
        f(h, fe);
    }
}

/// The chardevs that a hub joins.
fn hub_parts<H: ChardevHost>(h: &H, id: ChardevId) -> Vec<ChardevId> {
    let hub = h.chardevs().state::<HubChardev>(id);
    let parts = hub.into_iter().flat_map(|hub| &hub.parts);
    parts.map(|part| part.fe.chardev()).collect()
}

fn qemu_chr_open_hub<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    chardevs: &[String],
) -> Result<(), Error> {
    if chardevs.is_empty() {
        return Err(Error::new("hub: 'chardevs' list is not defined"));
    }
    // Kept in the table from the start, so that a failure half way gives the
    // parts back.
    let parts = Vec::new();
    h.chardevs_mut()
        .set_state(id, Box::new(HubChardev { parts }));
    for (i, name) in chardevs.iter().enumerate() {
        let Some(chr) = h.chardevs().find(name).filter(|chr| *chr != id) else {
            return Err(Error::new(format!(
                "hub: chardev can't be found by id '{name}'"
            )));
        };
        let found = h.chardevs().get(chr);
        if found.is_some_and(|chr| chr.class.combines_chardevs) {
            return Err(Error::new(format!(
                "hub: multiplexers and hub devices can't be stacked, check chardev '{name}', \
                 chardev should not be a hub device or have 'mux=on' enabled"
            )));
        }
        if i == MAX_HUB {
            let label = crate::chardev::host::label(h, id);
            return Err(Error::new(format!(
                "hub: too many uses of chardevs '{label}' (maximum is {MAX_HUB})"
            )));
        }
        let part = Part {
            fe: qemu_chr_fe_init(h, chr)?,
            opened: false,
            ahead: 0,
            blocked: false,
        };
        if let Some(s) = state(h, id) {
            s.parts.push(part);
        }
    }
    Ok(())
}

/// A part's opaque value: the hub, and which of its parts.
fn opaque(id: ChardevId, part: usize) -> u64 {
    id.to_opaque() * MAX_HUB as u64 + part as u64
}

fn from_opaque(opaque: u64) -> (ChardevId, usize) {
    let max = MAX_HUB as u64;
    (
        ChardevId::from_opaque(opaque / max),
        (opaque % max) as usize,
    )
}

fn hub_chr_update_read_handlers<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().has_handlers(id);
    let handlers = attached.then(part_handlers);
    let mut part = 0;
    while let Some(fe) = state(h, id).and_then(|s| s.parts.get(part)).map(|p| p.fe) {
        attach_quietly(h, fe, handlers, opaque(id, part));
        part += 1;
    }
}

/// The hub as the front end of a part.
fn part_handlers<H: ChardevHost>() -> CharHandlers<H> {
    CharHandlers {
        drained: Some(|h, opaque, end| qemu_chr_be_drained(h, from_opaque(opaque).0, end)),
        ..CharHandlers::new(
            |h, opaque| qemu_chr_be_can_write(h, from_opaque(opaque).0),
            |h, opaque, buf| qemu_chr_be_write(h, from_opaque(opaque).0, buf),
            |h, opaque, event| {
                let (id, part) = from_opaque(opaque);
                hub_chr_event(h, id, part, event);
            },
        )
    }
}

fn hub_chr_event<H: ChardevHost>(h: &mut H, id: ChardevId, part: usize, event: ChrEvent) {
    let Some(s) = state(h, id) else { return };
    let any_before = s.parts.iter().any(|p| p.opened);
    let Some(p) = s.parts.get_mut(part) else {
        return;
    };
    match event {
        ChrEvent::Opened => p.opened = true,
        ChrEvent::Closed => {
            p.opened = false;
            p.blocked = false;
        }
        ChrEvent::Break | ChrEvent::MuxIn | ChrEvent::MuxOut => {
            return qemu_chr_be_event(h, id, event)
        }
    }
    let any_now = s.parts.iter().any(|p| p.opened);
    if any_before != any_now {
        for p in &mut s.parts {
            p.ahead = 0;
        }
        qemu_chr_be_event(h, id, event);
    }
}

fn hub_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    let mut slowest = buf.len();
    let mut part = 0;
    while let Some((chr, ahead)) = state(h, id)
        .and_then(|s| s.parts.get(part))
        .map(|p| (p.fe.chardev(), p.ahead.min(buf.len())))
    {
        let is_open = h.chardevs().get(chr).is_some_and(|chr| chr.is_open());
        let rest = &buf[ahead..];
        let taken = match rest {
            [] => 0,
            _ if !is_open => rest.len(),
            _ => match qemu_chr_write(h, chr, rest) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                // This part will not take it any more; the others shall.
                Err(_) => rest.len(),
            },
        };
        if let Some(p) = state(h, id).and_then(|s| s.parts.get_mut(part)) {
            p.ahead = ahead + taken;
            p.blocked = taken < rest.len();
        }
        slowest = slowest.min(ahead + taken);
        part += 1;
    }
    if let Some(s) = state(h, id) {
        for p in &mut s.parts {
            p.ahead -= slowest.min(p.ahead);
        }
    }
    match slowest {
        0 if !buf.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
        n => Ok(n),
    }
}
