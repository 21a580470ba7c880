//! Recorders: takers of every step, for a viewer or a diagram.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::chrome::ChromeTrace;
use super::event::{Fact, Recorder, Step, TraceEvent};
use super::events::{self, ALL};
use super::file::FileRecorder;
use super::mermaid::SequenceDiagram;

struct Recording {
    began: Instant,
    recorders: Vec<(String, Box<dyn Recorder>)>,
}

static RECORDING: Mutex<Option<Recording>> = Mutex::new(None);
static THREADS: AtomicU32 = AtomicU32::new(1);

thread_local! {
    /// The number of this thread once it has taken a step.
    static THREAD: Cell<Option<u32>> = const { Cell::new(None) };
}

fn recording() -> MutexGuard<'static, Option<Recording>> {
    RECORDING.lock().unwrap_or_else(|e| e.into_inner())
}

/// Gives all steps from now on to `recorder`, beside others that take them. `name`
/// stands in the message about its failure.
pub fn record(name: &str, recorder: Box<dyn Recorder>) {
    let mut recording = recording();
    let recording = recording.get_or_insert_with(|| Recording {
        began: Instant::now(),
        recorders: Vec::new(),
    });
    recording.recorders.push((name.to_owned(), recorder));
    ALL.iter().for_each(|event| event.set_recorded(true));
}

/// Records all steps from now on in a file: one whose name ends with `.json` in Chrome's
/// trace event format, which <https://ui.perfetto.dev> and `qmonitor-view` open, one that
/// ends with `.mmd` as a sequence diagram of Mermaid.
///
/// # Errors
///
/// The file cannot be made, or its name ends otherwise (`InvalidInput`).
pub fn record_file(path: &Path) -> io::Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let recorder: Box<dyn Recorder> = match ending {
        Some("json") => Box::new(FileRecorder::<ChromeTrace>::create(path)?),
        Some("mmd") => Box::new(FileRecorder::<SequenceDiagram>::create(path)?),
        _ => {
            let text = "the name ends neither with .json nor with .mmd";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    };
    record(&path.display().to_string(), recorder);
    Ok(())
}

/// Ends all recordings. What was recorded is written.
pub fn stop_recording() {
    super::ALL
        .iter()
        .for_each(|event| event.set_recorded(false));
    let Some(mut ended) = recording().take() else {
        return;
    };
    keep_going(&mut ended, |recorder| recorder.flush());
}

/// No step of this thread is printed or recorded from now on: it is a part of what shows
/// the trace.
pub fn ignore_this_thread() {
    THREAD.set(Some(0));
}

/// Whether this thread's steps are left out.
pub(super) fn is_ignored() -> bool {
    THREAD.get() == Some(0)
}

/// Gives a step to the recorders.
pub(super) fn take(
    event: &'static TraceEvent,
    facts: &[(&'static str, Fact<'_>)],
    text: fmt::Arguments<'_>,
) {
    let mut recording = recording();
    let Some(recording) = &mut *recording else {
        return;
    };
    let number = THREAD.get().unwrap_or_else(|| {
        let number = THREADS.fetch_add(1, Ordering::Relaxed);
        THREAD.set(Some(number));
        number
    });
    let step = Step {
        event,
        text,
        facts,
        time: recording.began.elapsed(),
        thread: number,
    };
    let sleeps = std::ptr::eq(event, &events::os_host_main_loop_wait);
    keep_going(recording, |recorder| {
        recorder.step(&step)?;
        if sleeps {
            recorder.flush()?;
        }
        Ok(())
    });
}

/// Does something with each recorder, and drops those that fail.
fn keep_going(recording: &mut Recording, mut act: impl FnMut(&mut dyn Recorder) -> io::Result<()>) {
    recording.recorders.retain_mut(|(name, recorder)| {
        let done = act(&mut **recorder);
        if let Err(e) = &done {
            let reason = crate::qapi::error::strerror(e);
            eprintln!("The trace in '{name}' ends here: {reason}");
        }
        done.is_ok()
    });
}
