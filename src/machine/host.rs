//! What the program does with its host: descriptors, the pid file, going to the
//! background.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{getrlimit, setrlimit, Resource};

use crate::qapi::Error;

/// Allows itself as many descriptors as the administrator allows it, since each
/// client is one (`os_setup_limits`). Where that is refused, the program works
/// with what it has.
pub fn raise_fd_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < hard {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

/// The file that tells the process id: opened and locked before anything is
/// started, written once it is known which process stays, removed at the end
/// (`qemu_write_pidfile`).
#[derive(Debug, Default)]
pub struct Pidfile {
    open: Option<(String, Flock<File>)>,
}

impl Pidfile {
    /// Opens the file, if there is to be one, and locks it.
    ///
    /// # Errors
    ///
    /// It cannot be made, or another process holds it.
    pub fn open(path: Option<&str>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let failed = |e: std::io::Error| {
            Error::from_io(
                format!("cannot create PID file: Could not create '{path}'"),
                &e,
            )
        };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            Error::from_io("cannot create PID file: Failed to lock", &errno.into())
        })?;
        Ok(Pidfile {
            open: Some((path.to_owned(), lock)),
        })
    }

    /// Writes this process's id.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&mut self) -> Result<(), Error> {
        let Some((path, file)) = &mut self.open else {
            return Ok(());
        };
        let text = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| {
                Error::from_io(
                    format!("cannot create PID file: Failed to write '{path}'"),
                    &e,
                )
            })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let Some((path, file)) = &self.open else {
            return;
        };
        // Somebody may have put another file in its place, which is not ours.
        let ours = file.metadata().map(|m| (m.dev(), m.ino()));
        let there = std::fs::metadata(path).map(|m| (m.dev(), m.ino()));
        if let (Ok(ours), Ok(there)) = (ours, there) {
            if ours == there {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Goes to the background: the parent ends with status 0, so whoever started
/// it knows that everything listens by now (`os_daemonize`, `os_setup_post`).
///
/// # Errors
///
/// There can be no second process.
pub fn daemonize() -> Result<(), Error> {
    nix::unistd::daemon(false, false)
        .map_err(|e| Error::from_io("cannot go to the background", &e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_locked_written_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let text = path.to_str().unwrap();
        let mut pidfile = Pidfile::open(Some(text)).unwrap();
        pidfile.write().unwrap();
        let pid = std::fs::read_to_string(&path).unwrap();
        assert_eq!(pid, format!("{}\n", std::process::id()));
        let e = Pidfile::open(Some(text)).unwrap_err();
        assert!(e
            .desc()
            .starts_with("cannot create PID file: Failed to lock"));
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_put_in_its_place_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let pidfile = Pidfile::open(path.to_str()).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "someone else's").unwrap();
        drop(pidfile);
        assert!(path.exists());
    }
}
