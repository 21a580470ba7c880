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
//! Input goes to the focused front end in one piece up to the next escape key. What it
//! cannot take waits in a buffer of its own, so that the escape key is seen even then.

use std::collections::VecDeque;
use std::io;

use super::be::{handlers, qemu_chr_be_drained, qemu_chr_be_event, send_event};
use super::fe::{
    attach_quietly, qemu_chr_fe_accept_input, qemu_chr_fe_deinit, qemu_chr_fe_get_msgfd,
    qemu_chr_fe_init, qemu_chr_fe_set_echo, qemu_chr_write, watch_fd, CharFrontend, CharHandlers,
};
use super::host::{ChardevHost, ChardevRequest};
use super::mux_stamp::Stamper;
use super::table::{ChardevClass, ChardevId, ChrEvent};
use crate::main_loop::ClockType;
use crate::qapi::Error;

/// How many front ends there may be.
const MAX_MUX: usize = 4;
/// How much input is read for a front end that takes none. More may wait for it: what it
/// could have taken when the input was read.
const MUX_BUFFER_SIZE: usize = 32;

struct MuxChardev {
    base: CharFrontend,
    focus: Option<usize>,
    /// The escape key was typed; the next one is a command.
    term_got_escape: bool,
    buffers: [VecDeque<u8>; MAX_MUX],
    stamper: Option<Stamper>,
}

/// The class.
pub(super) fn char_mux_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        opens_at_once: true,
        max_frontends: MAX_MUX,
        chr_write: mux_chr_write,
        chr_watch_fd: |h, id| {
            let base = state(h, id)?.base;
            watch_fd(h, base.chardev())
        },
        chr_update_read_handler: mux_chr_update_read_handlers,
        chr_accept_input: mux_chr_accept_input,
        chr_be_event: mux_chr_be_event,
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
        ..ChardevClass::new("mux")
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut MuxChardev> {
    h.chardevs_mut().state_mut(id)
}

/// The chardev that a mux is on; `None` if it is no mux.
pub(super) fn mux_base<H: ChardevHost>(h: &H, id: ChardevId) -> Option<ChardevId> {
    let mux = h.chardevs().state::<MuxChardev>(id)?;
    Some(mux.base.chardev())
}

/// Opens the backend (`qemu_chr_open_mux`).
pub(super) fn qemu_chr_open_mux<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    chardev: &str,
) -> Result<(), Error> {
    let Some(base) = h.chardevs().find(chardev).filter(|base| *base != id) else {
        return Err(Error::new(format!("mux: base chardev {chardev} not found")));
    };
    let state = MuxChardev {
        base: qemu_chr_fe_init(h, base)?,
        focus: None,
        term_got_escape: false,
        buffers: Default::default(),
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
    let closed = h.chardevs().iter().filter(|(_, chr)| !chr.is_open());
    let muxes: Vec<_> = closed
        .filter(|(id, _)| h.chardevs().state::<MuxChardev>(*id).is_some())
        .map(|(id, _)| id)
        .collect();
    for id in muxes {
        qemu_chr_be_event(h, id, ChrEvent::Opened);
    }
}

/// Sets the key that introduces a mux's commands, `C-a` unless told otherwise
/// (`-echr`).
pub fn set_term_escape_char<H: ChardevHost>(h: &mut H, key: u8) {
    h.chardevs_mut().term_escape_char = key;
}

/// Whether this is a mux that must not open yet.
pub(super) fn is_suspended<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    h.chardevs().mux_open_suspended && h.chardevs().state::<MuxChardev>(id).is_some()
}

/// Which front ends have handlers, in order.
fn attached<H: ChardevHost>(h: &H, id: ChardevId) -> Vec<usize> {
    (0..MAX_MUX)
        .filter(|tag| handlers(h, id, *tag).is_some())
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
        return mux_set_focus(h, id, Some(tag));
    }
    s.buffers[tag].clear();
    let had_focus = s.focus == Some(tag);
    if tags.is_empty() {
        attach_quietly(h, base, None, 0);
    }
    if had_focus {
        let next = tags.iter().find(|t| **t > tag).or(tags.first()).copied();
        mux_set_focus(h, id, next);
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

/// What happens to the mux itself: a break is the focused front end's, all
/// else concerns everybody.
fn mux_chr_be_event<H: ChardevHost>(h: &mut H, id: ChardevId, event: ChrEvent) {
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

/// The mux as the front end of its base; the opaque value is the mux's id.
fn base_handlers<H: ChardevHost>() -> CharHandlers<H> {
    CharHandlers {
        drained: Some(|h, opaque, end| qemu_chr_be_drained(h, ChardevId::from_opaque(opaque), end)),
        ..CharHandlers::new(
            |h, opaque| mux_chr_can_read(h, ChardevId::from_opaque(opaque)),
            |h, opaque, buf| mux_chr_read(h, ChardevId::from_opaque(opaque), buf),
            |h, opaque, event| mux_chr_be_event(h, ChardevId::from_opaque(opaque), event),
        )
    }
}

fn mux_chr_can_read<H: ChardevHost>(h: &H, id: ChardevId) -> usize {
    let Some(s) = h.chardevs().state::<MuxChardev>(id) else {
        return 0;
    };
    let Some(focus) = s.focus else {
        return MUX_BUFFER_SIZE;
    };
    let waiting = s.buffers[focus].len();
    if waiting > 0 {
        return MUX_BUFFER_SIZE.saturating_sub(waiting);
    }
    MUX_BUFFER_SIZE.max(frontend_can_read(h, id, focus))
}

fn frontend_can_read<H: ChardevHost>(h: &H, id: ChardevId, tag: usize) -> usize {
    handlers(h, id, tag).map_or(0, |(fe, opaque)| (fe.can_read)(h, opaque))
}

fn mux_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) {
    let mut rest = buf;
    while let Some(&byte) = rest.first() {
        let escape = h.chardevs().term_escape_char;
        let Some(s) = state(h, id) else { return };
        let text = match s.term_got_escape {
            false => find(rest, escape).unwrap_or(rest.len()),
            true => 0,
        };
        if text == 0 {
            rest = &rest[1..];
            if mux_proc_byte(h, id, byte) {
                mux_input(h, id, &[byte]);
            }
            continue;
        }
        mux_input(h, id, &rest[..text]);
        rest = &rest[text..];
    }
}

/// Where the byte is first. Bulk input hardly ever has it, and a loop that does not
/// end early within a piece is compiled to look at many bytes at a time.
fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    const PIECE: usize = 256;
    let has = |piece: &[u8]| piece.iter().fold(false, |found, b| found | (*b == byte));
    let start = PIECE * bytes.chunks(PIECE).position(has)?;
    let within = bytes[start..].iter().position(|b| *b == byte)?;
    Some(start + within)
}

/// Gives text to the focused front end, which may be another one by the time that it is
/// through, or gone. What it cannot take waits for it.
fn mux_input<H: ChardevHost>(h: &mut H, id: ChardevId, mut text: &[u8]) {
    while !text.is_empty() {
        let Some(focus) = state(h, id).and_then(|s| s.focus) else {
            return;
        };
        let room = frontend_can_read(h, id, focus).min(text.len());
        let Some(s) = state(h, id) else { return };
        if room == 0 || !s.buffers[focus].is_empty() {
            s.buffers[focus].extend(text);
            return mux_chr_accept_input(h, id);
        }
        let (now, later) = text.split_at(room);
        text = later;
        if let Some((fe, opaque)) = handlers(h, id, focus) {
            (fe.read)(h, opaque, now);
        }
    }
}

/// Gives the focused front end what waits for it.
fn mux_chr_accept_input<H: ChardevHost>(h: &mut H, id: ChardevId) {
    while let Some(focus) = state(h, id).and_then(|s| s.focus) {
        let Some((fe, opaque)) = handlers(h, id, focus) else {
            break;
        };
        let room = (fe.can_read)(h, opaque);
        let Some(s) = state(h, id) else { return };
        let room = room.min(s.buffers[focus].len());
        if room == 0 {
            break;
        }
        let piece: Vec<u8> = s.buffers[focus].drain(..room).collect();
        (fe.read)(h, opaque, &piece);
    }
    if let Some(base) = state(h, id).map(|s| s.base) {
        if mux_chr_can_read(h, id) > 0 {
            qemu_chr_fe_accept_input(h, base);
        }
    }
}

/// Looks for commands; true if the byte is input.
fn mux_proc_byte<H: ChardevHost>(h: &mut H, id: ChardevId, byte: u8) -> bool {
    let escape = h.chardevs().term_escape_char;
    let Some(s) = state(h, id) else { return false };
    if !s.term_got_escape {
        s.term_got_escape = byte == escape;
        return !s.term_got_escape;
    }
    s.term_got_escape = false;
    if byte == escape {
        return true;
    }
    let base = s.base.chardev();
    // The keys are answered at once, or not at all: there is nobody to wait.
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
    false
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
