//! Transcripts that are kept in files.

use std::fmt::Write as _;
use std::path::Path;

use super::limits::unwrap;
use super::Session;

/// The environment variable that has files written instead of compared: `write`.
const VARIABLE: &str = "QMONITOR_GOLDEN";

impl<S> Session<S> {
    /// What went over the connection so far, one message a line: `->` the client's, `<-` the
    /// runtime's without their timestamps, `..` the simulated time that passed.
    pub fn transcript(&self) -> String {
        let lines = self.wire.transcript().iter();
        lines.flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Compares the [transcript](Self::transcript) with a file, whose path begins at the
    /// package's directory. With `QMONITOR_GOLDEN=write` in the environment the file is written.
    ///
    /// # Panics
    ///
    /// If they differ; the message shows the lines.
    #[track_caller]
    pub fn golden(&mut self, path: impl AsRef<Path>) {
        self.settle();
        let writes = std::env::var_os(VARIABLE).is_some_and(|value| value == "write");
        unwrap(golden(path.as_ref(), &self.transcript(), writes));
    }
}

fn golden(path: &Path, transcript: &str, writes: bool) -> Result<(), String> {
    let name = path.display();
    if writes {
        let dir = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = dir.and_then(|()| std::fs::write(path, transcript));
        return written.map_err(|e| format!("{name} cannot be written: {e}"));
    }
    let kept = match std::fs::read_to_string(path) {
        Ok(kept) => kept,
        Err(e) => return Err(format!("{name}: {e}; {VARIABLE}=write writes it")),
    };
    if kept == transcript {
        return Ok(());
    }
    let changes = changes(&kept, transcript);
    Err(format!(
        "the session differs from {name}; {VARIABLE}=write renews it\n{changes}"
    ))
}

/// The lines between what both texts begin with and what both end with.
fn changes(kept: &str, new: &str) -> String {
    let kept: Vec<&str> = kept.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let both = kept.iter().zip(&new);
    let head = both.take_while(|(kept, new)| kept == new).count();
    let ends = kept[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = ends.take_while(|(kept, new)| kept == new).count();
    let mut text = String::new();
    if let Some(line) = head.checked_sub(1).and_then(|before| kept.get(before)) {
        let _ = writeln!(text, "{head:4}   {line}");
    }
    for (sign, lines) in [
        ('-', &kept[..kept.len() - tail]),
        ('+', &new[..new.len() - tail]),
    ] {
        for (i, line) in lines.iter().enumerate().skip(head) {
            let _ = writeln!(text, "{:4} {sign} {line}", i + 1);
        }
    }
    text
}
