//! The loop inside another program's loop.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::MainLoop;

/// In another program's loop.
impl<H> MainLoop<H> {
    /// One fd that is readable when a turn has fds to serve or another thread
    /// called. If this succeeds, the loop uses epoll from here on, whatever was
    /// set. Call it before each sleep: it tells epoll what changed since the
    /// last turn.
    ///
    /// The outer loop, each time before it sleeps, makes turns of zero timeout
    /// until one returns false, for only a turn asks the gates; then it sleeps
    /// until this fd is readable, but no longer than
    /// [`next_timeout`](Self::next_timeout).
    ///
    /// # Errors
    ///
    /// Fails as epoll_create(2) and the like do, mostly with `EMFILE`.
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use std::time::Duration;
    /// # use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    /// # use qmonitor::main_loop::{main_loop_wait, ClockType, MainLoop};
    /// # struct App { main_loop: MainLoop<App>, ticks: u32 }
    /// # qmonitor::impl_host!(App, main_loop);
    /// # fn main() -> std::io::Result<()> {
    /// # let mut app = App { main_loop: MainLoop::new()?, ticks: 0 };
    /// # let timer = app.main_loop.timer_new(ClockType::Realtime, "tick", |app: &mut App| app.ticks += 1);
    /// # app.main_loop.timer_mod(timer, 1_000_000);
    /// loop {
    ///     while main_loop_wait(&mut app, Some(Duration::ZERO))? {}
    ///     if app.ticks > 0 {
    ///         break; // asked here: those turns may have done all there is
    ///     }
    ///     let timeout = match app.main_loop.next_timeout() {
    ///         None => PollTimeout::NONE,
    ///         // Rounded up, or the last millisecond would be spent spinning.
    ///         Some(timeout) => PollTimeout::try_from(timeout.as_micros().div_ceil(1000))
    ///             .unwrap_or(PollTimeout::MAX),
    ///     };
    ///     let fd = app.main_loop.poll_fd()?;
    ///     poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_fd(&mut self) -> io::Result<BorrowedFd<'_>> {
        self.fdmon.pin(true);
        if let Err(error) = self.prepare_fds() {
            self.fdmon.pin(false);
            return Err(error);
        }
        self.fdmon
            .epoll_fd()
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    /// How long an outer loop may sleep before the next turn is due; None means
    /// without limit. It is zero if a turn has something to do at once, or
    /// might have because the last one ran something, or if the loop has fds
    /// that epoll does not take, such as regular files.
    pub fn next_timeout(&self) -> Option<Duration> {
        let at_once =
            !self.settled || self.fds.has_changed() || self.fdmon.has_fds_beside_epoll(&self.fds);
        let limit = self.wait_limit(None, at_once);
        match limit {
            // Simulated time does not pass by sleeping: a turn makes it pass.
            Some(_) if self.clocks.is_simulated() => Some(Duration::ZERO),
            _ => limit,
        }
    }
}
