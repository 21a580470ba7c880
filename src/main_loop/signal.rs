//! Signals as ordinary callbacks, over a signalfd.

use std::io;
use std::rc::Rc;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub use nix::sys::signal::Signal;

use super::condition::Condition;
use super::watch::{Flow, Watch, WatchId};
use super::MainLoop;

/// A signal and its sender; QEMU's `qemu_system_killed(signal, pid)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalInfo {
    /// Which one.
    pub signal: Signal,
    /// The sender's process, 0 if the kernel sent it (a key on the terminal).
    pub pid: u32,
    /// The sender's real user.
    pub uid: u32,
}

impl<H> MainLoop<H> {
    /// Delivers signals to a callback of the loop, which may do anything that a
    /// callback may do. QEMU's `os_setup_signal_handling()` and
    /// `qemu_signal_init()` in one.
    ///
    /// The signals are blocked in the calling thread, and the threads it starts
    /// later inherit that; so call this before starting any, or the kernel will
    /// give the signal to one that does not block it. Signals of one kind that
    /// come before the first is taken are one, as always on Unix. Removing the
    /// watch leaves them blocked.
    ///
    /// # Errors
    ///
    /// Fails as signalfd(2) does, mostly with `EMFILE`; nothing is blocked
    /// then.
    ///
    /// ```
    /// use qmonitor::main_loop::Signal;
    /// # use qmonitor::main_loop::{main_loop_wait, MainLoop};
    /// # struct App { main_loop: MainLoop<App>, killed_by: Option<u32> }
    /// # qmonitor::impl_host!(App, main_loop);
    /// # fn main() -> std::io::Result<()> {
    /// # let mut app = App { main_loop: MainLoop::new()?, killed_by: None };
    /// let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    /// app.main_loop.add_signals(&signals, |app: &mut App, info| {
    ///     app.killed_by = Some(info.pid);
    /// })?;
    /// # nix::sys::signal::raise(Signal::SIGTERM)?;
    /// while app.killed_by.is_none() {
    ///     main_loop_wait(&mut app, None)?;
    /// }
    /// # assert_eq!(app.killed_by, Some(std::process::id()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_signals(
        &mut self,
        signals: &[Signal],
        mut callback: impl FnMut(&mut H, SignalInfo) + 'static,
    ) -> io::Result<WatchId> {
        let mask: SigSet = signals.iter().copied().collect();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = Rc::new(SignalFd::with_flags(&mask, flags)?);
        mask.thread_block()?;
        let source = fd.clone();
        let watch = Watch::new("sigfd_handler", fd, Condition::IN, move |host, _| {
            // One per turn: the callback may remove this watch.
            if let Ok(Some(info)) = source.read_signal() {
                let number = i32::try_from(info.ssi_signo).unwrap_or_default();
                if let Ok(signal) = Signal::try_from(number) {
                    let (pid, uid) = (info.ssi_pid, info.ssi_uid);
                    callback(host, SignalInfo { signal, pid, uid });
                }
            }
            Flow::Keep
        });
        Ok(self.add_watch(watch))
    }
}
