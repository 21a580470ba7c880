//! The input of a mux: from its base to the focused front end.
//!
//! Input goes to the focused front end in one piece up to the next escape key. Two kinds
//! of front ends differ in what happens when it cannot take all of it:
//!
//! - One that has [`CharHandlers::backlog`], such as a monitor, takes the rest soon. The
//!   input stays in order: the rest and all that follows, keys too, wait in `held`, and
//!   nothing more is read. A key acts when the front end has worked off what came before.
//! - Another, such as the serial port of a guest, may never take it. The rest waits in a
//!   buffer of its own, and the keys act at once: a person can leave a guest that hangs.

use super::mux::{mux_chr_be_event, mux_proc_byte, state, MuxChardev};
use crate::chardev::be::{handler, qemu_chr_be_drained};
use crate::chardev::class::{CharHandlers, ChardevId, ChrEvent, PeerEnd};
use crate::chardev::fe::qemu_chr_fe_accept_input;
use crate::chardev::host::ChardevHost;

/// How much input is read for a front end that takes none. More may wait for it: what it
/// could have taken when the input was read.
const MUX_BUFFER_SIZE: usize = 32;

/// The mux as the front end of its base; the opaque value is the mux's id.
pub(super) fn base_handlers<H: ChardevHost>() -> CharHandlers<H> {
    CharHandlers {
        drained: Some(|h, opaque, end| mux_chr_drained(h, ChardevId::from_opaque(opaque), end)),
        backlog: Some(|h, opaque| mux_chr_backlog(h, ChardevId::from_opaque(opaque))),
        ..CharHandlers::new(
            |h, opaque| mux_chr_can_read(h, ChardevId::from_opaque(opaque)),
            |h, opaque, buf| mux_chr_read(h, ChardevId::from_opaque(opaque), buf),
            |h, opaque, event| {
                let id = ChardevId::from_opaque(opaque);
                if event == ChrEvent::Closed {
                    mux_end_of_input(h, id);
                }
                mux_chr_be_event(h, id, event);
            },
        )
    }
}

fn mux_chr_can_read<H: ChardevHost>(h: &H, id: ChardevId) -> usize {
    let Some(s) = h.chardevs().state::<MuxChardev>(id) else {
        return 0;
    };
    if !s.held.is_empty() {
        return 0;
    }
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
    let can_read = handler(h, id, tag, |fe| fe.can_read);
    can_read.map_or(0, |(can_read, opaque)| can_read(h, opaque))
}

/// Whether a front end promises to take all its input.
fn takes_all<H: ChardevHost>(h: &H, id: ChardevId, tag: usize) -> bool {
    handler(h, id, tag, |fe| fe.backlog).is_some_and(|(backlog, _)| backlog.is_some())
}

/// Whether the focused front end has not worked off what it has taken.
fn focus_has_backlog<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let s = h.chardevs().state::<MuxChardev>(id);
    let focus = s.and_then(|s| s.focus);
    let Some((fe, opaque)) = focus.and_then(|focus| handler(h, id, focus, |fe| *fe)) else {
        return false;
    };
    fe.backlog.is_some_and(|backlog| backlog(h, opaque))
}

/// Whether the mux itself, a front end of another mux, has not worked off its input.
fn mux_chr_backlog<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let s = h.chardevs().state::<MuxChardev>(id);
    s.is_some_and(|s| !s.held.is_empty()) || focus_has_backlog(h, id)
}

/// Held input is owed to a peer that still reads. A peer that is gone is not waited for:
/// the front end that holds the input up may do so for ever.
fn mux_chr_drained<H: ChardevHost>(h: &H, id: ChardevId, end: PeerEnd) -> bool {
    let s = h.chardevs().state::<MuxChardev>(id);
    let owes = end == PeerEnd::HalfClosed && s.is_some_and(|s| !s.held.is_empty());
    !owes && qemu_chr_be_drained(h, id, end)
}

fn mux_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) {
    let Some(s) = state(h, id) else { return };
    if s.giving_out || !s.held.is_empty() {
        return s.held.extend(buf);
    }
    s.giving_out = true;
    let done = mux_give_out(h, id, buf);
    if let Some(s) = state(h, id) {
        s.giving_out = false;
        // Input that came meanwhile follows it.
        s.held.splice(0..0, buf[done..].iter().copied());
    }
}

/// Goes on with what is held, as far as it can be given out.
pub(super) fn mux_give_out_held<H: ChardevHost>(h: &mut H, id: ChardevId) {
    while let Some(s) = state(h, id).filter(|s| !s.giving_out && !s.held.is_empty()) {
        s.giving_out = true;
        let held = std::mem::take(&mut s.held);
        let done = mux_give_out(h, id, &held);
        let Some(s) = state(h, id) else { return };
        s.giving_out = false;
        s.held.splice(0..0, held[done..].iter().copied());
        if done == 0 {
            return;
        }
    }
}

/// The base has closed, so the rest of the input cannot wait any more. Drops text that the
/// focused front end cannot take; keys and the text behind them take effect.
fn mux_end_of_input<H: ChardevHost>(h: &mut H, id: ChardevId) {
    mux_give_out_held(h, id);
    let Some(s) = state(h, id).filter(|s| !s.giving_out) else {
        return;
    };
    let held = std::mem::take(&mut s.held);
    let mut rest = &held[..];
    while !rest.is_empty() {
        let escape = h.chardevs().term_escape_char;
        let Some(s) = state(h, id) else { return };
        if s.term_got_escape {
            mux_proc_byte(h, id, rest[0]);
            rest = &rest[1..];
        } else {
            rest = &rest[find(rest, escape).unwrap_or(rest.len())..];
        }
        rest = &rest[mux_give_out(h, id, rest)..];
    }
}

/// Gives input to the focused front end and carries keys out; returns how much was done.
/// The rest has to wait.
fn mux_give_out<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> usize {
    let mut done = 0;
    while done < buf.len() {
        let rest = &buf[done..];
        let escape = h.chardevs().term_escape_char;
        let Some(s) = state(h, id) else {
            return buf.len();
        };
        let is_key = s.term_got_escape && rest[0] != escape;
        let text = if s.term_got_escape {
            &rest[..1]
        } else {
            &rest[..find(rest, escape).unwrap_or(rest.len())]
        };
        if is_key {
            if focus_has_backlog(h, id) {
                return done;
            }
            mux_proc_byte(h, id, rest[0]);
            done += 1;
        } else if text.is_empty() {
            s.term_got_escape = true;
            done += 1;
        } else {
            let taken = mux_input(h, id, text);
            done += taken;
            if taken < text.len() {
                return done;
            }
            if let Some(s) = state(h, id) {
                s.term_got_escape = false;
            }
        }
    }
    done
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
/// through, or gone. Returns how much was taken or put aside.
fn mux_input<H: ChardevHost>(h: &mut H, id: ChardevId, text: &[u8]) -> usize {
    let mut done = 0;
    while done < text.len() {
        let rest = &text[done..];
        let Some(focus) = state(h, id).and_then(|s| s.focus) else {
            return text.len();
        };
        let room = frontend_can_read(h, id, focus).min(rest.len());
        let takes_all = takes_all(h, id, focus);
        let Some(s) = state(h, id) else {
            return text.len();
        };
        if takes_all && room == 0 {
            return done;
        }
        if room == 0 || !s.buffers[focus].is_empty() {
            s.buffers[focus].extend(rest);
            mux_give_buffered(h, id);
            return text.len();
        }
        done += room;
        if let Some((fe, opaque)) = handler(h, id, focus, |fe| *fe) {
            (fe.read)(h, opaque, &rest[..room]);
        }
    }
    done
}

/// Gives the focused front end what was put aside for it.
fn mux_give_buffered<H: ChardevHost>(h: &mut H, id: ChardevId) {
    while let Some(focus) = state(h, id).and_then(|s| s.focus) {
        let Some((fe, opaque)) = handler(h, id, focus, |fe| *fe) else {
            return;
        };
        let room = (fe.can_read)(h, opaque);
        let Some(s) = state(h, id) else { return };
        let room = room.min(s.buffers[focus].len());
        if room == 0 {
            return;
        }
        let piece: Vec<u8> = s.buffers[focus].drain(..room).collect();
        (fe.read)(h, opaque, &piece);
    }
}

/// A front end can take input again.
pub(super) fn mux_chr_accept_input<H: ChardevHost>(h: &mut H, id: ChardevId) {
    mux_give_buffered(h, id);
    mux_give_out_held(h, id);
    let Some(base) = state(h, id).filter(|s| !s.giving_out).map(|s| s.base) else {
        return;
    };
    if mux_chr_can_read(h, id) > 0 {
        qemu_chr_fe_accept_input(h, base);
    }
}
