//! A mux: several front ends on one chardev. One of them has the *focus* and
//! gets the input; a key combination passes it on.
//!
//! ```text
//!   monitor ──┐ tag 0
//!   serial  ──┤ tag 1     ┌─────┐    front end of   ┌──────────┐
//!             ├──────────▶│ mux │ ────────────────▶ │ the base │
//!             │           └─────┘                   └──────────┘
//!             └ tag 2, 3
//! ```
//!
//! The mux is itself the front end of its base, attached while it has front
//! ends of its own. It is always open: what the base tells ("Opened", "Closed")
//! goes to all front ends, focused or not.
//!
//! Output of all front ends goes to the base as it comes. Holding it back
//! while another one has the focus is up to the front end, which is told
//! [`ChrEvent::MuxOut`] and [`ChrEvent::MuxIn`].
//!
//! How input is given out is in `mux_input`.

use std::collections::VecDeque;
use std::io;

use super::mux_input::{base_handlers, mux_chr_accept_input, mux_give_out_held};
use super::stamp::Stamper;
use super::Backend;
use crate::chardev::be::{handler, qemu_chr_be_event, send_event};
use crate::chardev::class::{CharFrontend, ChardevClass, ChardevId, ChrEvent};
use crate::chardev::fe::{
    attach_quietly, chr_is_terminal, qemu_chr_exposed_at, qemu_chr_fe_deinit,
    qemu_chr_fe_get_msgfd, qemu_chr_fe_init, qemu_chr_fe_set_echo, qemu_chr_write, watch_fd,
};
use crate::chardev::host::{ChardevHost, ChardevRequest};
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::main_loop::ClockType;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// How many front ends there may be.
const MAX_MUX: usize = 4;

pub(super) struct MuxChardev {
    pub(super) base: CharFrontend,
    pub(super) focus: Option<usize>,
    /// The escape key was typed; the next one is a command.
    pub(super) term_got_escape: bool,
    /// By tag: text for a front end without a backlog.
    pub(super) buffers: [VecDeque<u8>; MAX_MUX],
    /// Input that has not been looked at, because the focused front end is not done with
    /// what came before.
    pub(super) held: Vec<u8>,
    /// Input is being given out. A front end that accepts input meanwhile must not start
    /// this again.
    pub(super) giving_out: bool,
    stamper: Option<Stamper>,
}

/// Options of the mux backend (QEMU's `ChardevMux`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MuxConfig {
    /// The label of the chardev that the front ends share.
    pub chardev: String,
}

impl BackendOptions for MuxConfig {
    type Arguments = q::ChardevMux;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let chardev = opts.require("chardev", "chardev: mux: no chardev given")?;
        Ok(MuxConfig { chardev })
    }

    fn from_arguments(arguments: q::ChardevMux) -> Result<Self, Error> {
        let chardev = arguments.chardev;
        Ok(MuxConfig { chardev })
    }
}

impl<H: ChardevHost> Backend<H> for MuxConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            opens_at_once: true,
            opening_can_be_suspended: true,
            max_frontends: MAX_MUX,
            combines_chardevs: true,
            is_terminal: |h, id| mux_base(h, id).is_some_and(|base| chr_is_terminal(h, base)),
            exposed_at: |h, id| qemu_chr_exposed_at(h, mux_base(h, id)?),
            chr_write: mux_chr_write,
            chr_watch_fd: |h, id| {
                let base = state(h, id)?.base;
                watch_fd(h, base.chardev())
            },
            chr_update_read_handler: mux_chr_update_read_handlers,
            chr_accept_input: mux_chr_accept_input,
            chr_be_event: Some(mux_chr_be_event),
            chr_get_msgfd: |h, id| {
                let base = state(h, id)?.base;
                qemu_chr_fe_get_msgfd(h, base)
            },
            chr_set_echo: |h, id, echo| {
                if let Some(base) = state(h, id).map(|s| s.base) {
                    qemu_chr_fe_set_echo(h, base, echo);
                }
            },
            finalize: |h, id| {
                if let Some(base) = state(h, id).map(|s| s.base) {
                    qemu_chr_fe_deinit(h, base, false);
                }
            },
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qemu_chr_open_mux(h, id, &self.chardev)?;
        Ok(None)
    }
}

pub(super) fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut MuxChardev> {
    h.chardevs_mut().state_mut(id)
}

/// The chardev that a mux is on.
fn mux_base<H: ChardevHost>(h: &H, id: ChardevId) -> Option<ChardevId> {
    let mux = h.chardevs().state::<MuxChardev>(id)?;
    Some(mux.base.chardev())
}

fn qemu_chr_open_mux<H: ChardevHost>(h: &mut H, id: ChardevId, chardev: &str) -> Result<(), Error> {
    let Some(base) = h.chardevs().find(chardev).filter(|base| *base != id) else {
        return Err(Error::new(format!("mux: base chardev {chardev} not found")));
    };
    let state = MuxChardev {
        base: qemu_chr_fe_init(h, base)?,
        focus: None,
        term_got_escape: false,
        buffers: Default::default(),
        held: Vec::new(),
        giving_out: false,
        stamper: None,
    };
    h.chardevs_mut().set_state(id, Box::new(state));
    Ok(())
}

/// From now on muxes stay closed and keep events to themselves, until
/// [`resume_mux_open`]. For the time in which a command line is worked off:
/// each front end is then told "Opened" once, when all of them are there.
pub fn suspend_mux_open<H: ChardevHost>(h: &mut H) {
    h.chardevs_mut().mux_open_suspended = true;
}

/// Opens the muxes made since [`suspend_mux_open`].
pub fn resume_mux_open<H: ChardevHost>(h: &mut H) {
    h.chardevs_mut().mux_open_suspended = false;
    let muxes = h.chardevs().iter();
    let muxes = muxes.filter(|(_, chr)| chr.class.opening_can_be_suspended && !chr.is_open());
    let muxes: Vec<_> = muxes.map(|(id, _)| id).collect();
    for id in muxes {
        qemu_chr_be_event(h, id, ChrEvent::Opened);
    }
}

/// Sets the key that introduces a mux's commands, `C-a` unless told otherwise
/// (`-echr`).
pub fn set_term_escape_char<H: ChardevHost>(h: &mut H, key: u8) {
    h.chardevs_mut().term_escape_char = key;
}

/// Which front ends have handlers, in order.
fn attached<H: ChardevHost>(h: &H, id: ChardevId) -> Vec<usize> {
    (0..MAX_MUX)
        .filter(|tag| handler(h, id, *tag, |_| ()).is_some())
        .collect()
}

/// A front end attached, then it gets the focus; or detached, then another one
/// does.
fn mux_chr_update_read_handlers<H: ChardevHost>(h: &mut H, id: ChardevId, tag: usize) {
    let tags = attached(h, id);
    let Some(s) = state(h, id) else { return };
    let base = s.base;
    if tags.contains(&tag) {
        if !h
            .chardevs()
            .get(base.chardev())
            .is_some_and(|b| b.has_handlers_of(base))
        {
            attach_quietly(h, base, Some(base_handlers()), id.to_opaque());
        }
        mux_set_focus(h, id, Some(tag));
        return mux_give_out_held(h, id);
    }
    s.buffers[tag].clear();
    let had_focus = s.focus == Some(tag);
    if tags.is_empty() {
        s.held.clear();
        attach_quietly(h, base, None, 0);
    }
    if had_focus {
        let next = tags.iter().find(|t| **t > tag).or(tags.first()).copied();
        mux_set_focus(h, id, next);
        mux_give_out_held(h, id);
    }
}

fn mux_set_focus<H: ChardevHost>(h: &mut H, id: ChardevId, focus: Option<usize>) {
    let Some(s) = state(h, id) else { return };
    let old = std::mem::replace(&mut s.focus, focus);
    if let Some(old) = old {
        send_event(h, id, old, ChrEvent::MuxOut);
    }
    // The one that lost it may have changed it again.
    if let Some(focus) = focus.filter(|_| state(h, id).is_some_and(|s| s.focus == focus)) {
        send_event(h, id, focus, ChrEvent::MuxIn);
    }
}

/// An event of the mux itself: a break goes to the focused front end, all others go to
/// every front end.
pub(super) fn mux_chr_be_event<H: ChardevHost>(h: &mut H, id: ChardevId, event: ChrEvent) {
    if event == ChrEvent::Break {
        if let Some(focus) = state(h, id).and_then(|s| s.focus) {
            send_event(h, id, focus, event);
        }
        return;
    }
    if h.chardevs().mux_open_suspended {
        return;
    }
    for tag in 0..MAX_MUX {
        send_event(h, id, tag, event);
    }
}

/// Carries out the key behind the escape key.
pub(super) fn mux_proc_byte<H: ChardevHost>(h: &mut H, id: ChardevId, byte: u8) {
    let escape = h.chardevs().term_escape_char;
    let Some(s) = state(h, id) else { return };
    s.term_got_escape = false;
    let base = s.base.chardev();
    // The answer to a key is written at once or lost: the mux has no queue for output.
    match byte {
        b'?' | b'h' => {
            let _ = qemu_chr_write(h, base, mux_help(escape).as_bytes());
        }
        b'x' => {
            let _ = qemu_chr_write(h, base, b"QEMU: Terminated\n\r");
            h.chardev_request(ChardevRequest::Exit(0));
        }
        b's' => h.chardev_request(ChardevRequest::CommitAll),
        b'b' => qemu_chr_be_event(h, id, ChrEvent::Break),
        b'c' => {
            let tags = attached(h, id);
            let focus = state(h, id).and_then(|s| s.focus);
            let next = tags.iter().find(|t| Some(**t) > focus).or(tags.first());
            if let Some(next) = next.copied() {
                mux_set_focus(h, id, Some(next));
            }
        }
        b't' => {
            if let Some(s) = state(h, id) {
                s.stamper = match s.stamper {
                    None => Some(Stamper::new()),
                    Some(_) => None,
                };
            }
        }
        _ => {}
    }
}

fn mux_help(escape: u8) -> String {
    let mut text = String::from("\n\r");
    let key = match escape {
        1..=25 => format!("C-{}", (b'a' + escape - 1) as char),
        _ => {
            text += &format!("Escape-Char set to Ascii: 0x{escape:02x}\n\r\n\r");
            "Escape-Char".to_owned()
        }
    };
    for (command, what) in [
        ("h", "print this help"),
        ("x", "exit emulator"),
        ("s", "save disk data back to file (if -snapshot)"),
        ("t", "toggle console timestamps"),
        ("b", "send break (magic sysrq)"),
        ("c", "switch between console and monitor"),
    ] {
        text += &format!("{key} {command}    {what}\n\r");
    }
    text + &format!("{key} {key}  sends {key}\n\r")
}

fn mux_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    let now = h.main_loop().clock_get_ns(ClockType::Realtime);
    let Some(s) = state(h, id) else {
        return Ok(buf.len());
    };
    let base = s.base.chardev();
    let Some(mut stamper) = s.stamper.take() else {
        return qemu_chr_write(h, base, buf);
    };
    let written = stamper.write(buf, now, |piece| qemu_chr_write(h, base, piece));
    if let Some(s) = state(h, id) {
        s.stamper = Some(stamper);
    }
    written
}
