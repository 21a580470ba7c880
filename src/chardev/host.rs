//! The interface between chardevs and the program they run in.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;

use super::class::ChardevId;
use super::codec::tls::{no_authz, no_tls_credentials, TlsCreds};
use super::table::{Chardev, Chardevs};
use crate::main_loop::{Host, SharedFd};
use crate::qapi::{Error, Profile};

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChardevReport {
    /// `info: ` in QEMU: waiting for a connection.
    Info,
    /// Something works that had better not.
    Warning,
    /// An error in the background, such as a failed reconnection.
    Error,
}

/// Prints on standard error, if that is possible. `eprintln!` panics where it
/// is not: nobody may be reading it any more, and it may be a terminal that a
/// chardev has made non-blocking.
pub fn print_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Reports to standard error, as `info: TEXT`, `warning: TEXT` or plainly `TEXT`.
pub(crate) fn print_report(report: ChardevReport, text: &str) {
    let prefix = match report {
        ChardevReport::Info => "info: ",
        ChardevReport::Warning => "warning: ",
        ChardevReport::Error => "",
    };
    print_stderr(&format!("{prefix}{text}\n"));
}

/// A request of a chardev to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChardevRequest {
    /// End with this exit status (a mux's `C-a x`, the test device).
    Exit(i32),
    /// Write disk changes back (a mux's `C-a s`).
    CommitAll,
}

/// Implements [`Host`] for a struct, given the field that has the loop, and
/// with a second field also [`ChardevHost`], with its defaults.
///
/// [`Runtime`](crate::Runtime) is a host already. This is for a program, or a
/// test, that has no monitors.
///
/// ```
/// use qmonitor::chardev::Chardevs;
/// use qmonitor::impl_host;
/// use qmonitor::main_loop::MainLoop;
///
/// struct App {
///     main_loop: MainLoop<App>,
///     chardevs: Chardevs<App>,
/// }
///
/// impl_host!(App, main_loop, chardevs);
/// ```
#[macro_export]
macro_rules! impl_host {
    ($host:ty, $main_loop:ident) => {
        impl $crate::main_loop::Host for $host {
            fn main_loop(&self) -> &$crate::main_loop::MainLoop<Self> {
                &self.$main_loop
            }
            fn main_loop_mut(&mut self) -> &mut $crate::main_loop::MainLoop<Self> {
                &mut self.$main_loop
            }
        }
    };
    ($host:ty, $main_loop:ident, $chardevs:ident) => {
        $crate::impl_host!($host, $main_loop);
        impl $crate::chardev::ChardevHost for $host {
            fn chardevs(&self) -> &$crate::chardev::Chardevs<Self> {
                &self.$chardevs
            }
            fn chardevs_mut(&mut self) -> &mut $crate::chardev::Chardevs<Self> {
                &mut self.$chardevs
            }
        }
    };
}

/// A [`Host`] that has chardevs.
///
/// Only the table is needed; the other functions have defaults for a program
/// that has nothing to offer there.
pub trait ChardevHost: Host {
    /// The table of chardevs.
    fn chardevs(&self) -> &Chardevs<Self>;

    /// The table of chardevs, to change it.
    fn chardevs_mut(&mut self) -> &mut Chardevs<Self>;

    /// Which QEMU the chardevs behave like.
    fn profile(&self) -> Profile {
        Profile::default()
    }

    /// The descriptor that the monitor being served knows by this name, given
    /// away (`monitor_get_fd`). `None` if no monitor is being served; the name
    /// is then looked at as a number that the parent process left open.
    fn monitor_get_fd(&mut self, name: &str) -> Option<Result<OwnedFd, Error>> {
        let _ = name;
        None
    }

    /// Opens `/dev/fdset/ID`: a duplicate of the descriptor in that set whose
    /// access mode is that of `flags` (`monitor_fdset_dup_fd_add`). The set counts as
    /// in use until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such set, `EACCES` if none in it fits.
    fn open_fdset(&mut self, id: i64, flags: OFlag) -> io::Result<SharedFd> {
        let _ = (id, flags);
        Err(nix::errno::Errno::ENOENT.into())
    }

    /// The TLS credentials of that id (`object_resolve_path_component` and
    /// the checks of `char-socket.c`).
    ///
    /// # Errors
    ///
    /// `No TLS credentials with id 'x'`, which is the default; `Object with id 'x'
    /// is not TLS credentials` if the id is another kind of object's.
    fn tls_creds(&self, id: &str) -> Result<TlsCreds, Error> {
        Err(no_tls_credentials(id))
    }

    /// Whether the authorization of that id lets somebody in
    /// (`qauthz_is_allowed_by_id`). `identity` is the name in the peer's certificate:
    /// `C=GB,O=Example,CN=client`. Asked anew for each connection.
    ///
    /// # Errors
    ///
    /// There is no such authorization, which is the default. Nobody is let in
    /// then.
    fn authz_is_allowed(&self, id: &str, identity: &str) -> Result<bool, Error> {
        let _ = identity;
        Err(no_authz(id))
    }

    /// Tells the person at the terminal something. By default it goes to
    /// standard error, as `info: TEXT`, `warning: TEXT` or plainly `TEXT`.
    fn chardev_report(&mut self, report: ChardevReport, text: &str) {
        print_report(report, text);
    }

    /// Does what a chardev asks for. By default nothing.
    fn chardev_request(&mut self, request: ChardevRequest) {
        let _ = request;
    }
}

/// The chardev of that label (`qemu_chr_find`).
pub fn qemu_chr_find<H: ChardevHost>(h: &H, label: &str) -> Option<ChardevId> {
    h.chardevs().find(label)
}

/// A chardev's label; empty if it is gone.
pub fn label<H: ChardevHost>(h: &H, id: ChardevId) -> &str {
    h.chardevs().get(id).map_or("", |chr| chr.label.as_str())
}

/// The `filename` in `query-chardev`; empty if the chardev is gone.
pub fn filename<H: ChardevHost>(h: &H, id: ChardevId) -> String {
    let chr = h.chardevs().get(id);
    chr.map_or_else(String::new, Chardev::filename)
}

/// The member `frontend-open` of `query-chardev`.
pub fn frontend_open<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let chr = h.chardevs().get(id);
    chr.is_some_and(Chardev::frontend_open)
}
