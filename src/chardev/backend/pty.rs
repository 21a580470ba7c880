//! A new pseudo terminal. Whoever opens its name is the peer.
//!
//! ```text
//!                     terminal opened: pty_chr_timer, or a front end attached
//!      disconnected ─────────────────────────────────────────▶ connected
//!   looks once a second ◀───────────────────────────────────── watches for input
//!                     terminal closed: EIO or hang-up           and hang-up
//! ```
//!
//! The kernel tells a close, as a hang-up of our end that stays until the
//! next open; but it does not tell an open. Hence the timer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::{open, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg};
use nix::unistd::{read, write};

use super::Backend;
use crate::chardev::be::{
    chr_set_watch, qemu_chr_be_can_write, qemu_chr_be_event, qemu_chr_be_write,
};
use crate::chardev::class::{ChardevClass, ChardevId, ChrEvent};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::chardev::watch::WatchSlot;
use crate::chardev::CHR_READ_BUF_LEN;
use crate::main_loop::{ClockType, Condition, Flow, SharedFd, TimerId, Watch};
use crate::qapi::Error;
use crate::trace_event;
use crate::util::qemu_opts::QemuOpts;

const LOOK_AGAIN: Duration = Duration::from_secs(1);

struct PtyChardev {
    master: Rc<OwnedFd>,
    name: String,
    connected: bool,
    timer: Option<TimerId>,
    _link: Option<Link>,
}

/// The symbolic link to the terminal, removed with the chardev.
struct Link(PathBuf);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Options of the pty backend (QEMU's `ChardevPty`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PtyConfig {
    /// A symbolic link to make to the terminal.
    pub path: Option<String>,
}

impl BackendOptions for PtyConfig {
    type Arguments = q::ChardevPty;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let path = opts.get("path").map(str::to_owned);
        Ok(PtyConfig { path })
    }

    fn from_arguments(arguments: q::ChardevPty) -> Result<Self, Error> {
        let path = arguments.path;
        Ok(PtyConfig { path })
    }
}

impl<H: ChardevHost> Backend<H> for PtyConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            chr_write: pty_chr_write,
            chr_watch_fd: |h, id| {
                let s = state(h, id).filter(|s| s.connected)?;
                let fd: SharedFd = s.master.clone();
                Some(fd)
            },
            chr_update_read_handler: |h, id, _| pty_chr_update_read_handler(h, id),
            chr_filename: |state| {
                let s: &PtyChardev = state.downcast_ref()?;
                Some(format!("pty:{}", s.name))
            },
            finalize: char_pty_finalize,
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        char_pty_open(h, id, self.path.as_deref()).map(Some)
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut PtyChardev> {
    h.chardevs_mut().state_mut(id)
}

/// Opens the backend and tells the terminal's name.
fn char_pty_open<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    path: Option<&str>,
) -> Result<String, Error> {
    let (master, name) = make_pty().map_err(|e| Error::from_io("Failed to create PTY", &e))?;
    let link = match path {
        None => None,
        Some(path) => {
            std::os::unix::fs::symlink(&name, path)
                .map_err(|e| Error::from_io("Failed to create PTY symlink", &e))?;
            Some(Link(PathBuf::from(path)))
        }
    };
    let state = PtyChardev {
        master: Rc::new(master),
        name: name.clone(),
        connected: false,
        timer: None,
        _link: link,
    };
    h.chardevs_mut().set_state(id, Box::new(state));
    pty_chr_rearm_timer(h, id);
    Ok(name)
}

/// Our end of a terminal in raw mode, and its name. The terminal has been open
/// once, so our end is hung up until the terminal is opened again.
fn make_pty() -> io::Result<(OwnedFd, String)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let master = posix_openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname_r(&master)?;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let terminal = open(name.as_str(), flags, Mode::empty())?;
    let mut tty = tcgetattr(&terminal)?;
    cfmakeraw(&mut tty);
    tcsetattr(&terminal, SetArg::TCSAFLUSH, &tty)?;
    Ok((master.into(), name))
}

fn pty_chr_rearm_timer<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(timer) = state(h, id).map(|s| s.timer) else {
        return;
    };
    let main_loop = h.main_loop_mut();
    let timer = timer.unwrap_or_else(|| {
        main_loop.timer_new(ClockType::Realtime, "pty_chr_timer", move |h: &mut H| {
            pty_chr_look(h, id);
        })
    });
    main_loop.timer_mod_in(timer, LOOK_AGAIN);
    if let Some(s) = state(h, id) {
        s.timer = Some(timer);
    }
}

/// Looks whether the terminal is open by now.
fn pty_chr_look<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id).filter(|s| !s.connected) else {
        return;
    };
    let mut fds = [PollFd::new(s.master.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    let events = fds[0].revents().unwrap_or(PollFlags::empty());
    let open = polled.is_ok() && !events.contains(PollFlags::POLLHUP);
    if !open {
        return pty_chr_rearm_timer(h, id);
    }
    s.connected = true;
    watch(h, id);
    qemu_chr_be_event(h, id, ChrEvent::Opened);
}

fn watch<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().has_handlers(id);
    let Some(s) = state(h, id).filter(|s| s.connected) else {
        return unwatch(h, id);
    };
    let fd: SharedFd = s.master.clone();
    let read_watch = attached.then(|| {
        let watch = Watch::new("pty_chr_read", fd.clone(), Condition::IN, move |h, _| {
            pty_chr_read(h, id);
            Flow::Keep
        });
        watch.gate(move |h| qemu_chr_be_can_write(h, id) > 0)
    });
    let hup_watch = Watch::new("pty_chr_hup", fd, Condition::HUP, move |h, condition| {
        if condition.contains(Condition::HUP) {
            pty_chr_disconnect(h, id);
        }
        Flow::Keep
    });
    chr_set_watch(h, id, WatchSlot::Read, read_watch);
    chr_set_watch(h, id, WatchSlot::Hangup, Some(hup_watch));
}

fn unwatch<H: ChardevHost>(h: &mut H, id: ChardevId) {
    for slot in [WatchSlot::Read, WatchSlot::Hangup] {
        chr_set_watch(h, id, slot, None);
    }
}

fn pty_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId) {
    watch(h, id);
    pty_chr_look(h, id);
}

fn pty_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let len = qemu_chr_be_can_write(h, id).min(CHR_READ_BUF_LEN);
    let Some(fd) = state(h, id).map(|s| s.master.clone()).filter(|_| len > 0) else {
        return;
    };
    let mut buf = h.chardevs_mut().take_read_buf(len);
    match read(&fd, &mut buf[..len]) {
        Ok(n @ 1..) => {
            trace_event!(chr_read, "fd {} got {n} bytes", fd.as_raw_fd());
            qemu_chr_be_write(h, id, &buf[..n]);
        }
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
        Ok(0) | Err(_) => pty_chr_disconnect(h, id),
    }
    h.chardevs_mut().put_read_buf(buf);
}

fn pty_chr_disconnect<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id).filter(|s| s.connected) else {
        return;
    };
    s.connected = false;
    unwatch(h, id);
    pty_chr_rearm_timer(h, id);
    qemu_chr_be_event(h, id, ChrEvent::Closed);
}

fn pty_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    match state(h, id).filter(|s| s.connected) {
        Some(s) => Ok(write(&s.master, buf)?),
        None => Ok(buf.len()),
    }
}

fn char_pty_finalize<H: ChardevHost>(h: &mut H, id: ChardevId) {
    if let Some(timer) = state(h, id).and_then(|s| s.timer.take()) {
        h.main_loop_mut().timer_free(timer);
    }
}
