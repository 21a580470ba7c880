//! A recording in a file that is well formed at any time.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::event::{Recorder, Step};

/// Turns steps into pieces of text.
pub trait Translate: Default + Send {
    /// What a file begins with.
    const HEAD: &'static str;
    /// What stands between two pieces.
    const BETWEEN: &'static str;
    /// What a file ends with.
    const END: &'static str;

    /// Makes the pieces that a step becomes, and gives each to `push`.
    fn translate(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str));
}

/// So much is written at once, even if the loop does not sleep.
const BLOCK: usize = 64 * 1024;

/// Writes pieces to a file. The program may be killed at any time, so each write to a
/// regular file ends with the file's last line, and the next write overwrites that. A pipe
/// gets no end: viewers of Chrome's format do without.
pub(super) struct FileRecorder<T> {
    file: File,
    translator: T,
    /// Where the next write goes; none if the file is not a regular one.
    at: Option<u64>,
    /// Not written yet.
    held: String,
    /// There is a piece.
    begun: bool,
}

impl<T: Translate> FileRecorder<T> {
    /// Makes the file, or empties it, and writes what it begins with.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        let regular = file.metadata()?.is_file();
        let mut recorder = FileRecorder {
            file,
            translator: T::default(),
            at: regular.then_some(0),
            held: T::HEAD.to_owned(),
            begun: false,
        };
        recorder.flush()?;
        Ok(recorder)
    }

    /// Writes what is held back, and the end behind it.
    fn write_held(&mut self) -> io::Result<()> {
        let Some(at) = self.at else {
            return self.file.write_all(self.held.as_bytes());
        };
        let whole = self.held.len() as u64;
        self.held.push_str(T::END);
        let written = self.file.write_all_at(self.held.as_bytes(), at);
        if written.is_err() {
            // Back to what was complete. Its last bytes are there to be written again.
            let _ = self.file.set_len(at);
            let _ = self.file.write_all_at(T::END.as_bytes(), at);
        }
        self.at = Some(at + whole);
        written
    }
}

impl<T: Translate> Recorder for FileRecorder<T> {
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        let (held, begun) = (&mut self.held, &mut self.begun);
        self.translator.translate(step, &mut |piece| {
            if std::mem::replace(begun, true) {
                held.push_str(T::BETWEEN);
            }
            held.push_str(piece);
        });
        if self.held.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let written = self.write_held();
        self.held.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::super::events;
    use super::*;
    use std::time::Duration;

    #[derive(Default)]
    struct Names;

    impl Translate for Names {
        const HEAD: &'static str = "[\n";
        const BETWEEN: &'static str = ",\n";
        const END: &'static str = "\n]\n";

        fn translate(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
            push(&format!("\"{}\"", step.event.name));
        }
    }

    fn step() -> Step<'static> {
        Step {
            event: &events::tcp_chr_read,
            text: format_args!(""),
            facts: &[],
            time: Duration::ZERO,
            thread: 1,
        }
    }

    #[test]
    fn the_file_is_whole_after_each_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let mut recorder = FileRecorder::<Names>::create(&path).unwrap();
        let names = || {
            let text = std::fs::read_to_string(&path).unwrap();
            serde_json::from_str::<Vec<String>>(&text).unwrap().len()
        };
        assert_eq!(names(), 0);
        for n in 1..4 {
            recorder.step(&step()).unwrap();
            assert_eq!(names(), n - 1, "it is held back");
            recorder.flush().unwrap();
            recorder.flush().unwrap();
            assert_eq!(names(), n);
        }
        for _ in 0..10_000 {
            recorder.step(&step()).unwrap();
        }
        assert!(names() > 5000, "much is written without a flush");
    }

    #[test]
    fn a_file_that_is_not_regular_gets_no_end() {
        let path = Path::new("/dev/null");
        let mut recorder = FileRecorder::<Names>::create(path).unwrap();
        recorder.step(&step()).unwrap();
        recorder.flush().unwrap();
        let full = FileRecorder::<Names>::create(Path::new("/dev/full"));
        assert_eq!(
            full.err().map(|e| e.kind()),
            Some(io::ErrorKind::StorageFull)
        );
    }

    #[test]
    fn a_full_disk_leaves_what_was_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let mut recorder = FileRecorder::<Names>::create(&path).unwrap();
        recorder.step(&step()).unwrap();
        recorder.flush().unwrap();
        // No file can be written to at such an offset, so the write fails; what the
        // recorder does then is what it does on a full disk.
        let whole = std::fs::read_to_string(&path).unwrap();
        recorder.file = File::open(&path).unwrap();
        recorder.step(&step()).unwrap();
        assert!(recorder.flush().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
    }
}
