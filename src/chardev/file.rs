//! Backends that are files of the host: `file`, `pipe`, `serial` and
//! `parallel`. Once open they are all alike; see `fd`.

use nix::fcntl::OFlag;
use nix::sys::termios::{
    cfmakeraw, cfsetspeed, tcgetattr, tcsetattr, BaudRate, ControlFlags, SetArg,
};

use super::config::FileConfig;
use super::fd::FdChardev;
use super::files::open_or_error;
use super::host::ChardevHost;
use super::net::set_nonblocking;
use super::table::ChardevId;
use crate::main_loop::SharedFd;
use crate::qapi::Error;

fn set_fds<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    input: Option<SharedFd>,
    output: Option<SharedFd>,
) {
    for fd in [&input, &output].into_iter().flatten() {
        // What cannot be made non-blocking, does not block.
        let _ = set_nonblocking((**fd).as_fd());
    }
    let state = FdChardev::new(input, output);
    h.chardevs_mut().set_state(id, Box::new(state));
}

/// `file`: the output file is made first, and stays if the input cannot be
/// opened (`qmp_chardev_open_file`).
pub(super) fn qmp_chardev_open_file<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &FileConfig,
) -> Result<(), Error> {
    let how = match config.append {
        true => OFlag::O_APPEND,
        false => OFlag::O_TRUNC,
    };
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | how;
    let output = open_or_error(h, &config.out, flags)?;
    let input = match &config.input {
        Some(path) => Some(open_or_error(h, path, OFlag::O_RDONLY)?),
        None => None,
    };
    set_fds(h, id, input, Some(output));
    Ok(())
}

/// `pipe`: a fifo for each direction, or one file for both. Each is
/// opened for reading and writing, so there is no end of file when a peer goes
/// (`qemu_chr_open_pipe`).
pub(super) fn qemu_chr_open_pipe<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    path: &str,
) -> Result<(), Error> {
    let input = open_or_error(h, &format!("{path}.in"), OFlag::O_RDWR);
    let output = open_or_error(h, &format!("{path}.out"), OFlag::O_RDWR);
    let (input, output) = match (input, output) {
        (Ok(input), Ok(output)) => (input, output),
        _ => {
            let both = open_or_error(h, path, OFlag::O_RDWR)?;
            (both.clone(), both)
        }
    };
    set_fds(h, id, Some(input), Some(output));
    Ok(())
}

/// `serial`: a terminal at 115200 baud, eight bits, no parity, raw. What is no
/// terminal is taken as it is (`qmp_chardev_open_serial`).
pub(super) fn qmp_chardev_open_serial<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    path: &str,
) -> Result<(), Error> {
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fd = open_or_error(h, path, flags)?;
    if let Ok(mut tty) = tcgetattr((*fd).as_fd()) {
        cfmakeraw(&mut tty);
        tty.control_flags -= ControlFlags::CSTOPB | ControlFlags::PARENB | ControlFlags::CSIZE;
        tty.control_flags |= ControlFlags::CS8 | ControlFlags::CLOCAL | ControlFlags::CREAD;
        let _ = cfsetspeed(&mut tty, BaudRate::B115200);
        let _ = tcsetattr((*fd).as_fd(), SetArg::TCSANOW, &tty);
    }
    set_fds(h, id, Some(fd.clone()), Some(fd));
    Ok(())
}

/// `parallel`: refused. A port of the host must first be claimed with an ioctl that no safe
/// interface offers, and what is no port gets this answer from QEMU too.
pub(super) fn qmp_chardev_open_parallel<H: ChardevHost>(
    h: &mut H,
    path: &str,
) -> Result<(), Error> {
    open_or_error(h, path, OFlag::O_RDWR)?;
    Err(Error::new(
        "not a parallel port: Inappropriate ioctl for device",
    ))
}
