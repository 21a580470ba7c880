//! The unsafe code of this package.
#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;
use nix::unistd::{fork, ForkResult};

/// Splits the process in two (fork(2)), as going to the background needs; true in
/// the new one.
///
/// # Errors
///
/// `EBUSY` if there is more than one thread: only the calling one would be in the
/// new process, and locks that others hold would stay locked. Otherwise the error
/// of fork(2).
pub(crate) fn fork_process() -> io::Result<bool> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(Errno::EBUSY.into());
    }
    // SAFETY: there is one thread, as just seen, and only it could start others,
    // so nothing is in a state that the new process could not go on with.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(false),
        ForkResult::Child => Ok(true),
    }
}

/// The `main` of a program: notes which descriptors it inherited, before anything
/// else is opened, and hands them with the command line's words to a function.
#[doc(hidden)]
#[macro_export]
macro_rules! program {
    ($main:path) => {
        fn main() -> ::std::process::ExitCode {
            // SAFETY: this is the start of the program; nothing has been opened.
            let inherited = unsafe { ::qmonitor::InheritedFds::at_start() };
            let args: Vec<String> = ::std::env::args_os()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect();
            $main(&args, inherited)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_threads_is_not_split() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let error = fork_process().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EBUSY as i32));
        drop(end);
        thread.join().unwrap().unwrap_err();
    }
}
