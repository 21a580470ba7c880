//! The side of a socket chardev that connects, and connects again.
//!
//! ```text
//!   attempt ──▶ in progress ──▶ connected ──▶ (lost)
//!     ▲  │ fails     │ fails: the next address, then │
//!     │  ▼           ▼                               ▼
//!     └────────────────── reconnect timer ◀──────────┘
//! ```
//!
//! Without `reconnect` the connection is made before the chardev is, and once lost never
//! comes back. With it, all is done in the background: the first attempt at once, each
//! further one a fixed time after a failure or a loss. Only the first of several failures
//! in a row is reported.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::SockFlag;

use super::{state, tcp_chr_new_client};
use crate::chardev::be::chr_set_watch;
use crate::chardev::class::ChardevId;
use crate::chardev::config::SocketConfig;
use crate::chardev::host::{ChardevHost, ChardevReport};
use crate::chardev::net::connect::{
    connect_next, connect_result, socket_connect, socket_connect_async, Connecting,
};
use crate::chardev::watch::WatchSlot;
use crate::main_loop::{ClockType, Condition, Flow, SharedFd, TimerId, Watch};
use crate::qapi::Error;

/// The state of a client between connections.
pub(super) struct Client {
    /// From a failure or a loss to the next attempt; none without `reconnect`.
    reconnect: Option<Duration>,
    timer: Option<TimerId>,
    /// An attempt under way.
    attempt: Option<Attempt>,
    /// A failure was reported since the last connection.
    pub(super) reported: bool,
}

struct Attempt {
    fd: Rc<OwnedFd>,
    /// Further addresses to try.
    rest: Vec<SocketAddr>,
}

impl Client {
    pub(super) fn new(config: &SocketConfig) -> Self {
        let ms = config.reconnect_ms.unwrap_or(0);
        let ms = config.reconnect.map_or(ms, |s| s.saturating_mul(1000));
        Client {
            reconnect: (ms > 0 && !config.server).then(|| Duration::from_millis(ms.unsigned_abs())),
            timer: None,
            attempt: None,
            reported: false,
        }
    }
}

/// Makes the connection, or starts to in the background.
pub(super) fn qmp_chardev_open_socket_client<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
) -> Result<(), Error> {
    let Some(s) = state(h, id) else { return Ok(()) };
    if s.client.reconnect.is_some() {
        tcp_chr_connect_client_async(h, id);
        return Ok(());
    }
    let addr = s.addr.clone();
    let fd = socket_connect(h, &addr)?;
    tcp_chr_new_client(h, id, Rc::new(fd));
    Ok(())
}

/// Starts an attempt in the background.
fn tcp_chr_connect_client_async<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(addr) = state(h, id).map(|s| s.addr.clone()) else {
        return;
    };
    let started = socket_connect_async(h, &addr);
    go_on(h, id, started);
}

fn go_on<H: ChardevHost>(h: &mut H, id: ChardevId, connecting: Result<Connecting, Error>) {
    match connecting {
        Ok(Connecting::Done(fd)) => tcp_chr_new_client(h, id, Rc::new(fd)),
        Ok(Connecting::InProgress(fd, rest)) => {
            let fd = Rc::new(fd);
            let shared: SharedFd = fd.clone();
            let name = "qemu_chr_socket_connected";
            let watch = Watch::new(name, shared, Condition::OUT, move |h: &mut H, _| {
                qemu_chr_socket_connected(h, id);
                Flow::Remove
            });
            if let Some(s) = state(h, id) {
                s.client.attempt = Some(Attempt { fd, rest });
            }
            chr_set_watch(h, id, WatchSlot::Connect, Some(watch));
        }
        Err(e) => {
            check_report_connect_error(h, id, &e);
            restart_timer(h, id);
        }
    }
}

/// Takes the result of an attempt.
fn qemu_chr_socket_connected<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id) else { return };
    let Some(attempt) = s.client.attempt.take() else {
        return;
    };
    let addr = s.addr.clone();
    chr_set_watch(h, id, WatchSlot::Connect, None);
    match connect_result(&addr, &attempt.fd) {
        Ok(()) => tcp_chr_new_client(h, id, attempt.fd),
        Err(e) if attempt.rest.is_empty() => go_on(h, id, Err(e)),
        Err(_) => {
            let next = connect_next(&addr, attempt.rest, SockFlag::SOCK_NONBLOCK);
            go_on(h, id, next);
        }
    }
}

fn check_report_connect_error<H: ChardevHost>(h: &mut H, id: ChardevId, e: &Error) {
    let Some(s) = state(h, id).filter(|s| !s.client.reported) else {
        return;
    };
    s.client.reported = true;
    let label = crate::chardev::host::label(h, id);
    let text = format!("Unable to connect character device {label}: {e}");
    h.chardev_report(ChardevReport::Error, &text);
}

/// Arms the timer of the next attempt, if this is a client that reconnects
/// (`qemu_chr_socket_restart_timer`).
pub(super) fn restart_timer<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id) else { return };
    let Some(delay) = s.client.reconnect else {
        return;
    };
    let timer = s.client.timer;
    let main_loop = h.main_loop_mut();
    let timer = timer.unwrap_or_else(|| {
        main_loop.timer_new(
            ClockType::Realtime,
            "socket_reconnect_timeout",
            move |h: &mut H| tcp_chr_connect_client_async(h, id),
        )
    });
    main_loop.timer_mod_in(timer, delay);
    if let Some(s) = state(h, id) {
        s.client.timer = Some(timer);
    }
}

/// Stops connecting.
pub(super) fn cancel<H: ChardevHost>(h: &mut H, id: ChardevId) {
    chr_set_watch(h, id, WatchSlot::Connect, None);
    let Some(s) = state(h, id) else { return };
    s.client.attempt = None;
    if let Some(timer) = s.client.timer.take() {
        h.main_loop_mut().timer_free(timer);
    }
}
