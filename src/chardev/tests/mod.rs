//! Chardevs with a toy host: front ends that note what they are told.

mod backends;
mod bad_input;
mod change;
mod events;
mod hub;
mod kinds;
mod model;
mod mux;
mod mux_keys;
mod process;
mod socket;
mod socket_addr;
mod socket_connect;
mod socket_fd;
mod socket_server;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_client;
#[cfg(feature = "websocket")]
mod websocket;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::*;
use crate::fd_guard::FdGuard;
use crate::impl_host;
use crate::main_loop::{main_loop_wait, Host, MainLoop, TimeSource};
use crate::qapi::Error;

pub(super) struct App {
    main_loop: MainLoop<App>,
    chardevs: Chardevs<App>,
    pub fronts: Vec<Front>,
    pub reports: Vec<String>,
    pub requests: Vec<ChardevRequest>,
    /// What `monitor_get_fd` knows; none while no monitor is being served.
    pub named_fds: Option<Vec<(String, OwnedFd)>>,
    /// By id.
    pub tls_creds: Vec<(&'static str, TlsCreds)>,
    /// Whom the authorization `authz` lets in.
    pub allowed: Vec<&'static str>,
    /// What is done with a client of a server with several.
    pub new_client: fn(&mut App, ChardevId),
    /// The label of what a front end is to remove.
    pub removes: &'static str,
    /// Last, to be dropped last.
    _fds: FdGuard,
}

/// A front end; its opaque value is its place in the list.
pub(super) struct Front {
    pub fe: CharFrontend,
    pub room: usize,
    pub got: Vec<u8>,
    /// Sizes of the pieces in which it came.
    pub pieces: Vec<usize>,
    pub events: Vec<ChrEvent>,
    pub on_read: fn(&mut App, usize, &[u8]),
    pub on_event: fn(&mut App, usize, ChrEvent),
}

impl_host!(App, main_loop);

impl ChardevHost for App {
    fn chardevs(&self) -> &Chardevs<Self> {
        &self.chardevs
    }
    fn chardevs_mut(&mut self) -> &mut Chardevs<Self> {
        &mut self.chardevs
    }
    fn monitor_get_fd(&mut self, name: &str) -> Option<Result<OwnedFd, Error>> {
        let fds = self.named_fds.as_mut()?;
        Some(match fds.iter().position(|(n, _)| n == name) {
            Some(i) => Ok(fds.remove(i).1),
            None => Err(Error::new(format!(
                "File descriptor named '{name}' has not been found"
            ))),
        })
    }
    fn tls_creds(&self, id: &str) -> Result<TlsCreds, Error> {
        let found = self.tls_creds.iter().find(|(name, _)| *name == id);
        found
            .map(|(_, creds)| creds.clone())
            .ok_or_else(|| no_tls_credentials(id))
    }
    fn authz_is_allowed(&self, id: &str, identity: &str) -> Result<bool, Error> {
        match id {
            "authz" => Ok(self.allowed.contains(&identity)),
            _ => Err(no_authz(id)),
        }
    }
    fn chardev_report(&mut self, _report: ChardevReport, text: &str) {
        self.reports.push(text.to_owned());
    }
    fn chardev_request(&mut self, request: ChardevRequest) {
        self.requests.push(request);
    }
}

impl App {
    pub fn new() -> Self {
        let fds = FdGuard::new();
        App {
            main_loop: MainLoop::with_time(TimeSource::simulated()).unwrap(),
            chardevs: Chardevs::new(),
            fronts: Vec::new(),
            reports: Vec::new(),
            requests: Vec::new(),
            named_fds: None,
            tls_creds: Vec::new(),
            allowed: Vec::new(),
            new_client: |_, _| {},
            removes: "",
            _fds: fds,
        }
    }

    /// Makes a chardev as the command line does.
    pub fn try_add(&mut self, opts: &str) -> Result<ChardevAdded, Error> {
        let (label, config) = qemu_chr_parse_cli(opts, &mut Vec::new())?;
        chardev_add(self, &label, config)
    }

    #[track_caller]
    pub fn add(&mut self, opts: &str) -> ChardevId {
        self.try_add(opts).unwrap().id
    }

    /// Attaches a front end; returns its number.
    #[track_caller]
    pub fn attach(&mut self, chr: ChardevId) -> usize {
        let fe = qemu_chr_fe_init(self, chr).unwrap();
        self.fronts.push(Front {
            fe,
            room: usize::MAX,
            got: Vec::new(),
            pieces: Vec::new(),
            events: Vec::new(),
            on_read: |_, _, _| {},
            on_event: |_, _, _| {},
        });
        let n = self.fronts.len() - 1;
        qemu_chr_fe_set_handlers(self, fe, Some(HANDLERS), n as u64);
        n
    }

    /// Turns the loop until nothing happens.
    pub fn turn(&mut self) {
        while main_loop_wait(self, Some(Duration::ZERO)).unwrap() {}
    }

    /// Turns the loop until something is so, for what the kernel or another
    /// thread does in its own time.
    #[track_caller]
    pub fn until(&mut self, mut so: impl FnMut(&mut App) -> bool) {
        let start = Instant::now();
        loop {
            self.turn();
            if so(self) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "did not happen");
            std::thread::yield_now();
        }
    }

    pub fn advance(&mut self, ms: u64) {
        self.main_loop.time_advance(Duration::from_millis(ms));
        self.turn();
    }

    pub fn write(&mut self, front: usize, bytes: impl AsRef<[u8]>) -> std::io::Result<usize> {
        let fe = self.fronts[front].fe;
        qemu_chr_fe_write(self, fe, bytes.as_ref())
    }

    pub fn filename(&self, chr: ChardevId) -> String {
        filename(self, chr)
    }

    #[track_caller]
    pub fn expect_events(&mut self, front: usize, events: &[ChrEvent]) {
        assert_eq!(std::mem::take(&mut self.fronts[front].events), events);
    }

    #[track_caller]
    pub fn expect_input(&mut self, front: usize, bytes: impl AsRef<[u8]>) {
        let got = std::mem::take(&mut self.fronts[front].got);
        assert_eq!(
            got.escape_ascii().to_string(),
            bytes.as_ref().escape_ascii().to_string()
        );
    }
}

const HANDLERS: CharHandlers<App> = CharHandlers::new(
    |app, n| app.fronts[n as usize].room,
    |app, n, bytes| {
        let front = &mut app.fronts[n as usize];
        assert!(bytes.len() <= front.room, "more than it could take");
        front.got.extend(bytes);
        front.pieces.push(bytes.len());
        (front.on_read)(app, n as usize, bytes);
    },
    |app, n, event| {
        let front = &mut app.fronts[n as usize];
        front.events.push(event);
        (front.on_event)(app, n as usize, event);
    },
);

/// What has arrived at a client by now, without waiting.
pub(super) fn received(mut client: &UnixStream) -> Vec<u8> {
    client.set_nonblocking(true).unwrap();
    let mut all = Vec::new();
    let mut buf = [0; 65536];
    while let Ok(n @ 1..) = client.read(&mut buf) {
        all.extend(&buf[..n]);
    }
    all
}

pub(super) fn is_at_end(mut client: &UnixStream) -> bool {
    client.set_nonblocking(true).unwrap();
    matches!(client.read(&mut [0; 1]), Ok(0))
}

pub(super) fn send(mut client: &UnixStream, bytes: impl AsRef<[u8]>) {
    client.write_all(bytes.as_ref()).unwrap();
}
