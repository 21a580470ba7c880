//! Turns of the loop until something has come, and their limits.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use qmonitor::main_loop::Host;

use super::limits::{unwrap, Clock};
use super::wire::Wire;
use super::Session;
use crate::amount::show_duration;

/// Lines of the transcript that a message shows.
const SHOWN: usize = 20;

impl<S> Session<S> {
    /// Sets how many turns of the loop one wait may take; at first 100 000.
    pub fn turn_limit(&mut self, turns: usize) {
        self.limits.turns = turns;
    }

    /// Sets how long a wait gives other threads to act, in the system's time; at first ten
    /// seconds. Simulated time stands still meanwhile.
    pub fn patience(&mut self, time: Duration) {
        self.limits.patience = time;
    }

    /// Has simulated time go on while an answer is waited for, or stand still, as at first. A
    /// command that a timer answers needs it, or [`advance`](Self::advance) between
    /// [`send`](Self::send) and [`answer`](Self::answer).
    pub fn let_time_pass(&mut self, yes: bool) {
        self.answers_take_time = yes;
    }

    pub(super) fn answer_clock(&self) -> Clock {
        if self.answers_take_time {
            Clock::Moves
        } else {
            Clock::Stands
        }
    }

    /// Lets simulated time pass, and what is due happen at its time.
    ///
    /// # Panics
    ///
    /// If the runtime's time is not simulated, or if the loop does not come to rest.
    #[track_caller]
    pub fn advance(&mut self, time: Duration) {
        let since = self.wire.transcript().len();
        let mut left = time;
        let mut turns = 0;
        let advanced = loop {
            if let Err(message) = self.rest(&mut turns) {
                break Err(message);
            }
            if left.is_zero() {
                break Ok(());
            }
            let next = self.rt.main_loop().next_deadline();
            let part = next.map_or(left, |next| next.min(left));
            if let Err(message) = self.pass(part) {
                break Err(message);
            }
            left -= part;
        };
        unwrap(advanced.map_err(|why| self.failure("advancing the clock", &why, since)));
    }

    /// Turns the loop until nothing is left to do at this instant.
    ///
    /// # Panics
    ///
    /// If the loop does not come to rest.
    #[track_caller]
    pub fn settle(&mut self) {
        let since = self.wire.transcript().len();
        let rested = self.rest(&mut 0);
        unwrap(rested.map_err(|why| self.failure("the loop to come to rest", &why, since)));
    }

    fn rest(&mut self, turns: &mut usize) -> Result<(), String> {
        while self.turn()? {
            self.count(turns)?;
        }
        Ok(())
    }

    fn count(&self, turns: &mut usize) -> Result<(), String> {
        *turns += 1;
        if *turns > self.limits.turns {
            return Err(format!(
                "the limit of {} turns is reached",
                self.limits.turns
            ));
        }
        Ok(())
    }

    /// Makes a turn, and collects what came. False if nothing is left to do at this instant.
    fn turn(&mut self) -> Result<bool, String> {
        // A turn that a thread has woken runs nothing; the next one does.
        for _ in 0..2 {
            let turned = self.rt.turn(Some(Duration::ZERO));
            let turned = turned.map_err(|e| format!("the loop failed: {e}"))?;
            if self.wire.collect(&mut self.rt) || turned {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let before = self.now();
        self.rt.main_loop_mut().time_advance(time);
        let passed = self.now() - before;
        if passed < time {
            return Err("the runtime's time is the system's; make it with \
                        Runtime::with_time(state, TimeSource::simulated())"
                .to_owned());
        }
        self.wire.note_time(passed);
        Ok(())
    }

    /// Turns the loop until `take` finds something. The error is the whole message.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        clock: Clock,
        mut take: impl FnMut(&mut Wire) -> Option<T>,
    ) -> Result<T, String> {
        let since = self.wire.transcript().len();
        let mut turns = 0;
        let mut until = None;
        loop {
            if let Some(found) = take(&mut self.wire) {
                return Ok(found);
            }
            let went_on = self.go_on(clock, &mut turns, &mut until);
            if let Err(why) = went_on {
                return Err(self.failure(what, &why, since));
            }
        }
    }

    /// One step of a wait: a turn, or simulated time, or the system's time for other threads.
    fn go_on(
        &mut self,
        clock: Clock,
        turns: &mut usize,
        until: &mut Option<Instant>,
    ) -> Result<(), String> {
        self.count(turns)?;
        if self.turn()? {
            return Ok(());
        }
        if !self.is_open() {
            return Err("the connection is closed".to_owned());
        }
        if clock == Clock::Moves {
            if let Some(next) = self.rt.main_loop().next_deadline() {
                return self.pass(next);
            }
        }
        let patience = self.limits.patience;
        let until = *until.get_or_insert_with(|| Instant::now() + patience);
        if self.wait_outside(until)? {
            return Ok(());
        }
        let patience = show_duration(patience);
        Err(format!("nothing happened within {patience} of real time"))
    }

    /// Waits in the system's time until a descriptor is ready or a thread has called.
    fn wait_outside(&mut self, until: Instant) -> Result<bool, String> {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(false);
        }
        let timeout = PollTimeout::try_from(rest.as_micros().div_ceil(1000));
        let timeout = timeout.unwrap_or(PollTimeout::MAX);
        let fd = self.rt.main_loop_mut().poll_fd();
        let fd = fd.map_err(|e| format!("the loop cannot be waited for: {e}"))?;
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(true),
            Err(e) => Err(format!("the loop cannot be waited for: {e}")),
        }
    }

    /// The message of a wait that failed.
    fn failure(&self, what: &str, why: &str, since: usize) -> String {
        let mut text = format!("waited for {what}, but {why}");
        let came = &self.wire.transcript()[since..];
        text += match came {
            [] => "\nnothing came meanwhile",
            _ => "\nmeanwhile:",
        };
        let hidden = came.len().saturating_sub(SHOWN);
        if hidden > 0 {
            let _ = write!(text, "\n  ({hidden} lines before)");
        }
        for line in &came[hidden..] {
            let _ = write!(text, "\n  {line}");
        }
        for line in self.wire.unread_before(since).take(SHOWN) {
            let _ = write!(text, "\nnot taken before: {line}");
        }
        for command in self.wire.unanswered().take(SHOWN) {
            let _ = write!(text, "\nnot answered: {command}");
        }
        let next = self.rt.main_loop().next_deadline();
        if let Some(next) = next.filter(|next| !next.is_zero()) {
            let _ = write!(text, "\nthe next timer is due in {}", show_duration(next));
            text += "; advance() and let_time_pass() move the clock";
        }
        if let Some(seed) = self.limits.seed {
            let _ = write!(text, "\nseed {seed}; to replay: QMONITOR_SEED={seed}");
        }
        text
    }
}
