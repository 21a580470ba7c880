//! The trace for those who follow it while the program runs: a websocket that sends every
//! step, from the first on, to one client at a time.
//!
//! It has a loop and a thread of its own. So it does not appear in the trace, and a client
//! that reads slowly does not hold the program up.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};
use qmonitor::chardev::{
    chardev_add, qemu_chr_fe_add_watch, qemu_chr_fe_init, qemu_chr_fe_set_handlers,
    qemu_chr_fe_write, qemu_chr_parse_cli, CharFrontend, CharHandlers, ChrEvent,
};
use qmonitor::main_loop::{BhHandle, Condition, Flow, Host};
use qmonitor::qapi::Error;
use qmonitor::trace::{self, ChromeTrace, Recorder, Step, Translate};
use qmonitor::Runtime;

/// So much of the past is kept for a client that comes later. It hears no more of what was
/// before.
const PAST_MAX: usize = 16 << 20;

/// So much is written at once.
const BLOCK: usize = 64 << 10;

/// How long the end of the program waits for a client to read the end of the trace.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was recorded, shared by the two threads.
#[derive(Default)]
struct Past {
    lines: Vec<u8>,
    /// How many bytes were dropped before these.
    dropped: u64,
    ended: bool,
    /// Tells the thread that there is more, once it runs.
    more: Option<BhHandle>,
    thread: Option<JoinHandle<()>>,
}

impl Past {
    fn push(&mut self, piece: &str) {
        self.lines.extend_from_slice(piece.as_bytes());
        self.lines
            .extend_from_slice(ChromeTrace::BETWEEN.as_bytes());
        if self.lines.len() > PAST_MAX {
            // In large steps, because the rest moves.
            let half = &self.lines[PAST_MAX / 2..];
            let line = half.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            let end = PAST_MAX / 2 + line + 1;
            self.lines.drain(..end);
            self.dropped += end as u64;
        }
    }

    /// What follows the first `sent` bytes, and the place where it begins: later, if that
    /// was dropped.
    fn after(&self, sent: u64) -> (u64, &[u8]) {
        let from = sent.max(self.dropped);
        let start = (from - self.dropped) as usize;
        let end = self.lines.len().min(start + BLOCK);
        (from, &self.lines[start..end])
    }
}

type SharedPast = Arc<Mutex<Past>>;

fn lock(past: &SharedPast) -> MutexGuard<'_, Past> {
    past.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side of the program whose steps are sent.
struct Sending {
    chrome: ChromeTrace,
    past: SharedPast,
}

impl Recorder for Sending {
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        let mut past = lock(&self.past);
        self.chrome.translate(step, &mut |piece| past.push(piece));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(more) = &lock(&self.past).more {
            more.schedule();
        }
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        lock(&self.past).ended = true;
        let _ = self.flush();
        let thread = lock(&self.past).thread.take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// The side of the client.
struct Viewer {
    fe: Option<CharFrontend>,
    past: SharedPast,
    /// How far the client has been told; none while there is none.
    sent: Option<u64>,
    /// It waits until it can write.
    waits: bool,
}

/// A websocket that sends the trace.
#[derive(Clone)]
pub struct TraceServer {
    address: String,
    past: SharedPast,
}

impl fmt::Debug for TraceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceServer").field(&self.address).finish()
    }
}

impl TraceServer {
    /// Records for those who connect to this address later.
    pub(super) fn record(address: &str) -> Self {
        let past = SharedPast::default();
        let sending = Sending {
            chrome: ChromeTrace::default(),
            past: past.clone(),
        };
        trace::record(&format!("websocket:{address}"), Box::new(sending));
        let address = address.to_owned();
        TraceServer { address, past }
    }

    /// Lets clients connect. Apart from the beginning of the recording, because a process
    /// that goes to the background leaves its threads behind.
    ///
    /// # Errors
    ///
    /// The address is none, or it cannot be listened at.
    pub(super) fn start(&self) -> Result<(), Error> {
        let started = self.start_thread();
        started.map_err(|e| e.prepend(format!("-trace-out websocket:{}: ", self.address)))
    }

    fn start_thread(&self) -> Result<(), Error> {
        let wrong = || Error::new(format!("'{}' is not HOST:PORT", self.address));
        let (host, port) = self.address.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let options = format!(
            "socket,id=trace,websocket=on,server=on,wait=off,host={},port={port}",
            host.replace(',', ",,")
        );
        let (started, ready) = mpsc::channel();
        let past = self.past.clone();
        // Signals are the program's; its thread takes them as it likes.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let thread = std::thread::Builder::new()
            .name("trace".to_owned())
            .spawn(move || run(&options, past, &started));
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
        let thread = thread.map_err(|e| Error::from_io("cannot start a thread", &e))?;
        let more = ready.recv().unwrap_or_else(|_| Err(wrong()))?;
        let mut past = lock(&self.past);
        past.more = Some(more);
        past.thread = Some(thread);
        Ok(())
    }
}

/// The thread, from its socket to the end of the trace.
fn run(options: &str, past: SharedPast, started: &Sender<Result<BhHandle, Error>>) {
    trace::ignore_this_thread();
    let listening = listen(options, past.clone());
    let mut rt = match listening {
        Ok((rt, more)) => {
            let _ = started.send(Ok(more));
            rt
        }
        Err(e) => {
            let _ = started.send(Err(e));
            return;
        }
    };
    while !lock(&past).ended {
        if rt.turn(None).is_err() {
            return;
        }
    }
    send(&mut rt);
    let end = Instant::now() + PATIENCE;
    while rt.state.waits && Instant::now() < end {
        if rt.turn(Some(PATIENCE)).is_err() {
            return;
        }
    }
    rt.shut_down();
}

fn listen(options: &str, past: SharedPast) -> Result<(Runtime<Viewer>, BhHandle), Error> {
    let (label, config) = qemu_chr_parse_cli(options, &mut Vec::new())?;
    let viewer = Viewer {
        fe: None,
        past,
        sent: None,
        waits: false,
    };
    let mut rt = Runtime::new(viewer).map_err(|e| Error::from_io("cannot make a loop", &e))?;
    let chr = chardev_add(&mut rt, &label, config)?.id;
    let fe = qemu_chr_fe_init(&mut rt, chr)?;
    rt.state.fe = Some(fe);
    let handlers = CharHandlers::new(|_, _| 4096, |_, _, _| {}, client_event);
    qemu_chr_fe_set_handlers(&mut rt, fe, Some(handlers), 0);
    let more = rt.main_loop_mut().bh_new("trace_send", send);
    let more = rt.main_loop_mut().bh_handle(more);
    Ok((rt, more))
}

fn client_event(rt: &mut Runtime<Viewer>, _: u64, event: ChrEvent) {
    match event {
        ChrEvent::Opened => {
            rt.state.sent = Some(0);
            write(rt, ChromeTrace::HEAD.as_bytes());
            send(rt);
        }
        ChrEvent::Closed => rt.state.sent = None,
        _ => {}
    }
}

/// Sends what the client has not been told, as far as it reads.
fn send(rt: &mut Runtime<Viewer>) {
    while let Some(sent) = rt.state.sent.filter(|_| !rt.state.waits) {
        let past = rt.state.past.clone();
        // Copied, so that the program need not wait for the write.
        let (from, block) = {
            let past = lock(&past);
            let (from, block) = past.after(sent);
            (from, block.to_vec())
        };
        if block.is_empty() {
            return;
        }
        let n = write(rt, &block);
        rt.state.sent = rt.state.sent.map(|_| from + n as u64);
        if n < block.len() {
            wait_for_room(rt);
        }
    }
}

fn write(rt: &mut Runtime<Viewer>, bytes: &[u8]) -> usize {
    let Some(fe) = rt.state.fe else { return 0 };
    match qemu_chr_fe_write(rt, fe, bytes) {
        Ok(n) => n,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
        // The client has gone, which is reported soon.
        Err(_) => bytes.len(),
    }
}

fn wait_for_room(rt: &mut Runtime<Viewer>) {
    let Some(fe) = rt.state.fe else { return };
    let condition = Condition::OUT | Condition::HUP;
    let watch = qemu_chr_fe_add_watch(rt, fe, condition, |rt, _| {
        rt.state.waits = false;
        send(rt);
        Flow::Remove
    });
    rt.state.waits = watch.is_some();
    if watch.is_none() {
        rt.state.sent = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_bounded_and_begins_with_a_whole_line() {
        let mut past = Past::default();
        let line = "x".repeat(1000);
        for _ in 0..40_000 {
            past.push(&line);
            assert!(past.lines.len() <= PAST_MAX);
        }
        assert!(past.lines.starts_with(b"xxx") && past.lines.ends_with(b"x,\n"));
        let all = 40_000 * (line.len() + 2) as u64;
        assert_eq!(past.dropped + past.lines.len() as u64, all);
        let (from, block) = past.after(0);
        assert_eq!((from, block.len()), (past.dropped, BLOCK));
        let (from, block) = past.after(all);
        assert_eq!((from, block.len()), (all, 0));
    }
}
