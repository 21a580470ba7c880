//! The program and its host: descriptors, the pid file, the background.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::mman::{mlockall, MlockAllFlags};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::sys::stat::Mode;

use crate::sys::fork_process;
use qmonitor::qapi::Error;

/// Raises the limit of descriptors to the hard limit, since each client needs one
/// (`os_setup_limits`). If that is refused, the program works with the old limit.
pub fn raise_fd_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < hard {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

/// The file with the process id: locked and written once the process is in the
/// background, removed at the end (`qemu_write_pidfile`).
#[derive(Debug, Default)]
pub struct Pidfile {
    open: Option<(String, Flock<File>)>,
}

impl Pidfile {
    /// Makes the file, if a path is given, and locks it.
    ///
    /// # Errors
    ///
    /// It cannot be made, or another process holds it.
    pub fn create(path: Option<&str>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let failed = |what: &str, e: std::io::Error| {
            Error::from_io(format!("cannot create PID file: {what}"), &e)
        };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| {
                let desc = format!("cannot create PID file: Could not create '{path}'");
                Error::from_io(desc, &e)
            })?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| failed("Cannot lock pid file", errno.into()))?;
        let text = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| failed("Failed to write pid file", e))?;
        Ok(Pidfile {
            open: Some((path.to_owned(), file)),
        })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let Some((path, file)) = &self.open else {
            return;
        };
        // Another program may have put its own file there.
        let ours = file.metadata().map(|m| (m.dev(), m.ino()));
        let there = std::fs::metadata(path).map(|m| (m.dev(), m.ino()));
        if let (Ok(ours), Ok(there)) = (ours, there) {
            if ours == there {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// A process that goes to the background (`os_daemonize`, `os_setup_post`). It is
/// split off before anything is made, so that threads and the process id stay the
/// same. The parent waits until everything is ready, so messages still reach the
/// terminal.
///
/// ```text
///   the one started ──fork──► leader of a session ──fork──► the one that stays
///         │ waits                    │ ends                       │ makes everything
///         │◄─────────────────── one byte ─────────────────────────┤ finish()
///         ▼ ends with status 0                                    ▼ runs
/// ```
///
/// If the one that stays ends before that, the pipe ends without a byte, and the
/// one that waits ends with status 1.
#[derive(Debug)]
pub struct Background {
    ready: File,
}

impl Background {
    /// Returns in the process that stays.
    ///
    /// # Errors
    ///
    /// There can be no more processes.
    pub fn start() -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::from_io("cannot go to the background", &e);
        let (done, ready) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| failed(e.into()))?;
        let (mut done, ready) = (File::from(done), File::from(ready));
        if !fork_process().map_err(failed)? {
            drop(ready);
            let status = done.read_exact(&mut [0]).is_err();
            std::process::exit(status.into());
        }
        drop(done);
        nix::unistd::setsid().map_err(|e| failed(e.into()))?;
        // Not being the leader of its session, the process that stays cannot get
        // a terminal by opening one.
        if !fork_process().map_err(failed)? {
            std::process::exit(0);
        }
        nix::sys::stat::umask(Mode::from_bits_truncate(0o027));
        Ok(Background { ready })
    }

    /// Gives up the standard streams, then lets the one that waits go: it may read
    /// its copies of them to their end.
    ///
    /// # Errors
    ///
    /// `/dev/null` cannot be opened.
    pub fn finish(mut self) -> Result<(), Error> {
        let failed = |e: std::io::Error| Error::from_io("cannot go to the background", &e);
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(failed)?;
        nix::unistd::chdir("/")
            .and_then(|()| nix::unistd::dup2_stdin(&null))
            .and_then(|()| nix::unistd::dup2_stdout(&null))
            .and_then(|()| nix::unistd::dup2_stderr(&null))
            .map_err(|e| failed(e.into()))?;
        // The process that waited may be gone.
        let _ = self.ready.write_all(&[0]);
        Ok(())
    }
}

/// Keeps the program's memory from being swapped out (`-overcommit mem-lock`).
///
/// # Errors
///
/// The kernel does not allow it.
pub fn lock_memory() -> Result<(), Error> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        .map_err(|e| Error::from_io("locking memory failed", &e.into()))
}

/// The user and the group of `NAME` or `UID:GID`.
pub fn find_user(text: &str) -> Option<(u32, u32)> {
    if let Some((uid, gid)) = text.split_once(':') {
        return Some((uid.parse().ok()?, gid.parse().ok()?));
    }
    let user = nix::unistd::User::from_name(text).ok()??;
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

/// Gives up what the program was started with: the root of its files, and its user
/// (`-run-with`).
///
/// # Errors
///
/// The kernel does not allow it.
pub fn confine(chroot: Option<&str>, user: Option<(u32, u32)>) -> Result<(), Error> {
    if let Some(path) = chroot {
        let moved = nix::unistd::chroot(path).and_then(|()| nix::unistd::chdir("/"));
        moved.map_err(|_| Error::new("chroot failed"))?;
    }
    if let Some((uid, gid)) = user {
        let set = nix::unistd::setgid(gid.into()).and_then(|()| nix::unistd::setuid(uid.into()));
        set.map_err(|_| Error::new(format!("Failed to setuid({uid})")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_locked_written_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let text = path.to_str().unwrap();
        std::fs::write(&path, "a longer text that was there before").unwrap();
        let pidfile = Pidfile::create(Some(text)).unwrap();
        let pid = std::fs::read_to_string(&path).unwrap();
        assert_eq!(pid, format!("{}\n", std::process::id()));
        let e = Pidfile::create(Some(text)).unwrap_err();
        assert!(e
            .desc()
            .starts_with("cannot create PID file: Cannot lock pid file: "));
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_put_in_its_place_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let pidfile = Pidfile::create(path.to_str()).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "someone else's").unwrap();
        drop(pidfile);
        assert!(path.exists());
    }
}
