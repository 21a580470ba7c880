//! The common part of all backends on plain descriptors: files, pipes, serial lines
//! and standard input (QEMU's `char-fd.c`).
//!
//! ```text
//!            front end attaches                     end of file, error
//!   no watch ─────────────────▶ fd_chr_read watched ──────────────────▶ no watch
//!        ◀─────────────────────        │                                 "Closed"
//!            front end detaches        └── up to can_read bytes per wake-up
//! ```
//!
//! The end of input does not close anything: output goes on. "Closed" is put off
//! while the front end owes something to what it has read.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::{read, write};

use crate::chardev::be::{
    chr_set_watch, qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event, qemu_chr_be_write,
};
use crate::chardev::class::{ChardevClass, ChardevId, ChrEvent, PeerEnd};
use crate::chardev::host::ChardevHost;
use crate::chardev::watch::WatchSlot;
use crate::chardev::CHR_READ_BUF_LEN;
use crate::main_loop::{Condition, Flow, SharedFd, Watch};
use crate::trace_event;

/// The state of such a backend.
pub(super) struct FdChardev {
    input: Option<SharedFd>,
    output: Option<SharedFd>,
    /// Dropped with the chardev: restores a terminal, say.
    _guard: Option<Box<dyn std::any::Any>>,
}

impl FdChardev {
    pub(super) fn new(input: Option<SharedFd>, output: Option<SharedFd>) -> Self {
        FdChardev {
            input,
            output,
            _guard: None,
        }
    }

    pub(super) fn with_guard(mut self, guard: Box<dyn std::any::Any>) -> Self {
        self._guard = Some(guard);
        self
    }
}

/// A class on plain descriptors, open from the start.
pub(super) fn char_fd_class<H: ChardevHost>(kind: &'static str) -> ChardevClass<H> {
    ChardevClass {
        opens_at_once: true,
        chr_write: fd_chr_write,
        chr_watch_fd: |h, id| state(h, id)?.output.clone(),
        chr_update_read_handler: fd_chr_update_read_handler,
        ..ChardevClass::new(kind)
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut FdChardev> {
    h.chardevs_mut().state_mut(id)
}

fn fd_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    match state(h, id).and_then(|s| s.output.as_ref()) {
        Some(fd) => match write(fd.as_fd(), buf) {
            // No page for a pipe's next bytes: as good as full.
            Err(Errno::ENOMEM) => Err(io::ErrorKind::WouldBlock.into()),
            written => Ok(written?),
        },
        None => Ok(buf.len()),
    }
}

fn fd_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId, _tag: usize) {
    let attached = h.chardevs().has_handlers(id);
    let input = state(h, id).and_then(|s| s.input.clone());
    let watch = input.filter(|_| attached).map(|fd| {
        let watch = Watch::new("fd_chr_read", fd, Condition::IN, move |h: &mut H, _| {
            fd_chr_read(h, id)
        });
        watch.gate(move |h| qemu_chr_be_can_write(h, id) > 0)
    });
    chr_set_watch(h, id, WatchSlot::Read, watch);
}

fn fd_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId) -> Flow {
    let len = qemu_chr_be_can_write(h, id).min(CHR_READ_BUF_LEN);
    let Some(fd) = state(h, id).and_then(|s| s.input.clone()) else {
        return Flow::Remove;
    };
    if len == 0 {
        return Flow::Keep;
    }
    let mut buf = h.chardevs_mut().take_read_buf(len);
    let got = read(fd.as_fd(), &mut buf[..len]);
    if let Ok(n @ 1..) = got {
        trace_event!(
            chr_read,
            "{} got {n} bytes",
            crate::chardev::host::label(h, id)
        );
        qemu_chr_be_write(h, id, &buf[..n]);
    }
    h.chardevs_mut().put_read_buf(buf);
    match got {
        Ok(1..) | Err(Errno::EAGAIN | Errno::EINTR) => Flow::Keep,
        Ok(0) | Err(_) => {
            chr_set_watch(h, id, WatchSlot::Read, None);
            fd_chr_end_of_input(h, id, fd);
            Flow::Remove
        }
    }
}

/// All input is read: tells the front end, once it has done what it owes.
fn fd_chr_end_of_input<H: ChardevHost>(h: &mut H, id: ChardevId, input: SharedFd) {
    if qemu_chr_be_drained(h, id, PeerEnd::HalfClosed) {
        return qemu_chr_be_event(h, id, ChrEvent::Closed);
    }
    // The end stays readable, so all that is missing is a gate.
    let watch = Watch::new(
        "fd_chr_drained",
        input,
        Condition::IN,
        move |h: &mut H, _| {
            chr_set_watch(h, id, WatchSlot::Read, None);
            qemu_chr_be_event(h, id, ChrEvent::Closed);
            Flow::Remove
        },
    );
    let watch = watch.gate(move |h| qemu_chr_be_drained(h, id, PeerEnd::HalfClosed));
    chr_set_watch(h, id, WatchSlot::Read, Some(watch));
}
