//! A chardev whose peer is a program: what a test sends comes in as input, and
//! what the front end writes can be compared.
//!
//! It goes through the main loop like a socket does, gate and all, but
//! everything happens in this process and in one order, so the same script gives
//! the same bytes each time. The peer sees a stream: nothing tells it how the
//! front end cut its writes.
//!
//! ```
//! use qmonitor::chardev::MemoryPeer;
//! # use qmonitor::chardev::*;
//! # use qmonitor::main_loop::{MainLoop, TimeSource};
//! # use std::time::Duration;
//! # struct App { main_loop: MainLoop<App>, chardevs: Chardevs<App> }
//! # qmonitor::impl_host!(App, main_loop, chardevs);
//! # let mut app = App {
//! #     main_loop: MainLoop::with_time(TimeSource::simulated()).unwrap(),
//! #     chardevs: Chardevs::new(),
//! # };
//! let peer = MemoryPeer::new(&mut app, "test").unwrap();
//!
//! // A front end that sends back what it gets.
//! let fe = qemu_chr_fe_init(&mut app, peer.chardev()).unwrap();
//! let echo = CharHandlers::new(
//!     |_, _| 100,
//!     |app: &mut App, label, bytes| {
//!         let fe = CharFrontend::from_opaque(label);
//!         qemu_chr_fe_write(app, fe, bytes).unwrap();
//!     },
//!     |_, _, _| {},
//! );
//! qemu_chr_fe_set_handlers(&mut app, fe, Some(echo), fe.to_opaque());
//!
//! peer.open(&mut app);
//! peer.split(&mut app, 1); // one byte at a time
//! peer.send(&mut app, "hello");
//! peer.expect(&mut app, "hello");
//!
//! // Time passes, and what is due meanwhile happens.
//! peer.delay(&mut app, Duration::from_secs(1));
//! peer.send(&mut app, "again");
//! peer.expect(&mut app, "again");
//! peer.close(&mut app);
//! ```
//!
//! A test of code with timers gives its loop a simulated clock, so that
//! [`delay`](MemoryPeer::delay) costs no time.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::chardev::be::{
    chr_set_watch, qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event, qemu_chr_be_write,
};
use crate::chardev::class::{ChardevClass, ChardevId, ChrEvent, PeerEnd};
use crate::chardev::host::ChardevHost;
use crate::chardev::object::qemu_chardev_new;
use crate::chardev::watch::WatchSlot;
use crate::chardev::CHR_READ_BUF_LEN;
use crate::main_loop::{main_loop_wait, ClockType, Condition, Flow, SharedFd, Watch};
use crate::qapi::Error;

/// The peer's end of a chardev in memory. Two numbers; copies are the same
/// peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPeer {
    chr: ChardevId,
}

struct PeerChardev {
    input: VecDeque<u8>,
    piece: usize,
    /// To close once the input is read and the front end has done what it owes.
    closing: Option<PeerEnd>,
    output: Vec<u8>,
    capacity: usize,
    msgfd: Option<OwnedFd>,
    /// Readable while there is something for the front end.
    ready: Rc<EventFd>,
    /// Writable while there is room; made when a front end asks for it.
    room: Option<Rc<EventFd>>,
}

/// The largest value that an eventfd holds; with it the descriptor is not
/// writable.
const EVENTFD_FULL: u64 = u64::MAX - 1;

fn event_fd() -> Result<Rc<EventFd>, Error> {
    let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
    let fd = fd.map_err(|e| Error::from_io("Could not make an eventfd", &e.into()))?;
    Ok(Rc::new(fd))
}

fn class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        chr_write: peer_chr_write,
        chr_watch_fd: peer_chr_watch_fd,
        chr_update_read_handler: |h, id, _| peer_chr_update_read_handler(h, id),
        chr_get_msgfd: |h, id| state(h, id)?.msgfd.take(),
        ..ChardevClass::new("peer")
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut PeerChardev> {
    h.chardevs_mut().state_mut(id)
}

impl MemoryPeer {
    /// Makes a chardev of that label and its peer. It is closed at first.
    ///
    /// # Errors
    ///
    /// The label is in use, or the process is out of descriptors.
    pub fn new<H: ChardevHost>(h: &mut H, label: &str) -> Result<Self, Error> {
        let state = PeerChardev {
            input: VecDeque::new(),
            piece: usize::MAX,
            closing: None,
            output: Vec::new(),
            capacity: usize::MAX,
            msgfd: None,
            ready: event_fd()?,
            room: None,
        };
        let chr = qemu_chardev_new(h, label, class(), Box::new(state))?;
        Ok(MemoryPeer { chr })
    }

    /// The chardev.
    pub fn chardev(self) -> ChardevId {
        self.chr
    }

    /// Connects.
    pub fn open<H: ChardevHost>(self, h: &mut H) {
        qemu_chr_be_event(h, self.chr, ChrEvent::Opened);
    }

    /// Disconnects after the front end has read what was sent.
    pub fn close<H: ChardevHost>(self, h: &mut H) {
        self.end(h, PeerEnd::Gone);
    }

    /// Sends no more, but goes on reading until the front end has done what it
    /// owes; then disconnects.
    pub fn half_close<H: ChardevHost>(self, h: &mut H) {
        self.end(h, PeerEnd::HalfClosed);
    }

    fn end<H: ChardevHost>(self, h: &mut H, end: PeerEnd) {
        if let Some(s) = state(h, self.chr) {
            s.closing = Some(end);
            let _ = s.ready.write(1);
        }
    }

    /// Sends bytes. They arrive in the next turns of the loop, as the front end
    /// takes them.
    pub fn send<H: ChardevHost>(self, h: &mut H, bytes: impl AsRef<[u8]>) {
        if let Some(s) = state(h, self.chr) {
            s.input.extend(bytes.as_ref());
            let _ = s.ready.write(1);
        }
    }

    /// Lets time pass, and the loop run what is due. With simulated time this takes no
    /// time.
    pub fn delay<H: ChardevHost>(self, h: &mut H, duration: Duration) {
        let clock = ClockType::Realtime;
        let timer = h.main_loop_mut().timer_new(clock, "peer_delay", |_| {});
        h.main_loop_mut().timer_mod_in(timer, duration);
        while h.main_loop().timer_pending(timer) {
            if main_loop_wait(h, None).is_err() {
                break;
            }
        }
        h.main_loop_mut().timer_free(timer);
    }

    /// Attaches a descriptor to what was sent; it replaces one that was not
    /// taken.
    pub fn send_fd<H: ChardevHost>(self, h: &mut H, fd: OwnedFd) {
        if let Some(s) = state(h, self.chr) {
            s.msgfd = Some(fd);
        }
    }

    /// From now on input arrives in pieces of at most `len` bytes, one per turn.
    pub fn split<H: ChardevHost>(self, h: &mut H, len: usize) {
        if let Some(s) = state(h, self.chr) {
            s.piece = len.max(1);
        }
    }

    /// From now on at most `bytes` of output are held; what does not fit is
    /// refused as by a peer that does not read.
    pub fn limit<H: ChardevHost>(self, h: &mut H, bytes: usize) {
        if let Some(s) = state(h, self.chr) {
            s.capacity = bytes;
            note_room(s);
        }
    }

    /// Takes the output there is, without turning the loop.
    pub fn output<H: ChardevHost>(self, h: &mut H) -> Vec<u8> {
        let Some(s) = state(h, self.chr) else {
            return Vec::new();
        };
        let output = std::mem::take(&mut s.output);
        note_room(s);
        output
    }

    /// Turns the loop until nothing happens any more, then takes the output;
    /// with a limit, again and again until there is no more.
    pub fn recv<H: ChardevHost>(self, h: &mut H) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            while matches!(main_loop_wait(h, Some(Duration::ZERO)), Ok(true)) {}
            let output = self.output(h);
            if output.is_empty() {
                return all;
            }
            all.extend(output);
        }
    }

    /// [Receives](Self::recv) and compares.
    ///
    /// # Panics
    ///
    /// If something else came.
    #[track_caller]
    pub fn expect<H: ChardevHost>(self, h: &mut H, bytes: impl AsRef<[u8]>) {
        let got = self.recv(h);
        let bytes = bytes.as_ref();
        assert!(
            got == bytes,
            "expected \"{}\", got \"{}\"",
            bytes.escape_ascii(),
            got.escape_ascii()
        );
    }
}

fn peer_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    let is_open = h.chardevs().get(id).is_some_and(|chr| chr.is_open());
    let Some(s) = state(h, id).filter(|_| is_open) else {
        return Ok(buf.len());
    };
    let n = buf.len().min(s.capacity.saturating_sub(s.output.len()));
    if n == 0 && !buf.is_empty() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    s.output.extend(&buf[..n]);
    note_room(s);
    Ok(n)
}

fn peer_chr_watch_fd<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<SharedFd> {
    let s = state(h, id)?;
    if s.room.is_none() {
        s.room = Some(event_fd().ok()?);
        note_room(s);
    }
    let room: SharedFd = s.room.clone()?;
    Some(room)
}

/// Makes the descriptor that is watched for room say the truth.
fn note_room(s: &mut PeerChardev) {
    if let Some(room) = &s.room {
        let _ = room.read();
        if s.output.len() >= s.capacity {
            let _ = room.write(EVENTFD_FULL);
        }
    }
}

fn peer_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().has_handlers(id);
    let watch = state(h, id).filter(|_| attached).map(|s| {
        let fd: SharedFd = s.ready.clone();
        let watch = Watch::new("peer_chr_read", fd, Condition::IN, move |h, _| {
            peer_chr_read(h, id);
            Flow::Keep
        });
        watch.gate(move |h| may_read(h, id))
    });
    chr_set_watch(h, id, WatchSlot::Read, watch);
}

/// Whether the front end takes input or, if there is no more, the end of it.
fn may_read<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let s = h.chardevs().state::<PeerChardev>(id);
    match s.filter(|s| s.input.is_empty()).and_then(|s| s.closing) {
        Some(end) => qemu_chr_be_drained(h, id, end),
        None => qemu_chr_be_can_write(h, id) > 0,
    }
}

fn peer_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let len = qemu_chr_be_can_write(h, id).min(CHR_READ_BUF_LEN);
    let Some(s) = state(h, id) else {
        return;
    };
    let len = len.min(s.piece).min(s.input.len());
    let piece: Vec<u8> = s.input.drain(..len).collect();
    if !piece.is_empty() {
        qemu_chr_be_write(h, id, &piece);
    }
    let Some(s) = state(h, id).filter(|s| s.input.is_empty()) else {
        return;
    };
    if s.closing.is_none() {
        let _ = s.ready.read();
    } else if may_read(h, id) {
        disconnect(h, id);
    }
}

fn disconnect<H: ChardevHost>(h: &mut H, id: ChardevId) {
    if let Some(s) = state(h, id) {
        s.closing = None;
        let _ = s.ready.read();
    }
    qemu_chr_be_event(h, id, ChrEvent::Closed);
    if let Some(s) = state(h, id) {
        s.msgfd = None;
    }
}
