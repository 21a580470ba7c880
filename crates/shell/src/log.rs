//! The file that gets each message.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A file that messages are added to, or none.
#[derive(Clone, Default)]
pub struct Log {
    file: Option<Arc<File>>,
}

impl Log {
    /// Opens the file to add to what it has.
    pub fn open(path: Option<&Path>) -> Result<Log, String> {
        let Some(path) = path else {
            return Ok(Log::default());
        };
        let opened = File::options().create(true).append(true).open(path);
        let file = opened.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Log {
            file: Some(Arc::new(file)),
        })
    }

    /// Adds a line. Two threads add lines; each is written at once.
    pub fn add(&self, direction: &str, message: impl FnOnce() -> String) {
        if let Some(mut file) = self.file.as_deref() {
            // The session does not end because a disk is full.
            let _ = file.write_all(format!("{direction} {}\n", message()).as_bytes());
        }
    }
}
