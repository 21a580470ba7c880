//! Backends that are files of the host: `file`, `pipe`, `serial` and
//! `parallel`. Once open they are all alike; see `fd`.

use nix::fcntl::OFlag;
use nix::sys::termios::{
    cfmakeraw, cfsetspeed, tcgetattr, tcsetattr, BaudRate, ControlFlags, SetArg,
};

use super::fd::{char_fd_class, FdChardev};
use super::Backend;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::net::fd::set_nonblocking;
use crate::chardev::net::open::open_or_error;
use crate::chardev::schema as q;
use crate::main_loop::SharedFd;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// Options of the file backend (QEMU's `ChardevFile`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileConfig {
    /// The file that takes the output.
    pub out: String,
    /// The file that gives the input.
    pub input: Option<String>,
    /// Whether output is appended; otherwise the file is truncated.
    pub append: bool,
}

impl BackendOptions for FileConfig {
    type Arguments = q::ChardevFile;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        Ok(FileConfig {
            out: opts.require("path", "chardev: file: no filename given")?,
            input: opts.get("input-path").map(str::to_owned),
            append: opts.get_bool("append").unwrap_or(false),
        })
    }

    fn from_arguments(arguments: q::ChardevFile) -> Result<Self, Error> {
        Ok(FileConfig {
            out: arguments.out,
            input: arguments.r#in,
            append: arguments.append.unwrap_or(false),
        })
    }

    fn waits_for_reader(&self) -> Option<&str> {
        Some(&self.out)
    }
}

impl<H: ChardevHost> Backend<H> for FileConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        char_fd_class(kind)
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qmp_chardev_open_file(h, id, self)?;
        Ok(None)
    }
}

/// Options of the pipe backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipeConfig {
    /// The path of the fifos, without `.in` and `.out`.
    pub path: String,
}

impl BackendOptions for PipeConfig {
    type Arguments = q::ChardevHostdev;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let path = opts.require("path", "chardev: pipe: no device path given")?;
        Ok(PipeConfig { path })
    }

    fn from_arguments(arguments: q::ChardevHostdev) -> Result<Self, Error> {
        let path = arguments.device;
        Ok(PipeConfig { path })
    }
}

impl<H: ChardevHost> Backend<H> for PipeConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        char_fd_class(kind)
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qemu_chr_open_pipe(h, id, &self.path)?;
        Ok(None)
    }
}

/// Options of the serial backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SerialConfig {
    /// The path of the device.
    pub path: String,
}

impl BackendOptions for SerialConfig {
    type Arguments = q::ChardevHostdev;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let path = opts.require("path", "chardev: serial/tty: no device path given")?;
        Ok(SerialConfig { path })
    }

    fn from_arguments(arguments: q::ChardevHostdev) -> Result<Self, Error> {
        let path = arguments.device;
        Ok(SerialConfig { path })
    }
}

impl<H: ChardevHost> Backend<H> for SerialConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        char_fd_class(kind)
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qmp_chardev_open_serial(h, id, &self.path)?;
        Ok(None)
    }
}

/// Options of the parallel backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParallelConfig {
    /// The path of the device.
    pub path: String,
}

impl BackendOptions for ParallelConfig {
    type Arguments = q::ChardevHostdev;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let path = opts.require("path", "chardev: parallel: no device path given")?;
        Ok(ParallelConfig { path })
    }

    fn from_arguments(arguments: q::ChardevHostdev) -> Result<Self, Error> {
        let path = arguments.device;
        Ok(ParallelConfig { path })
    }
}

impl<H: ChardevHost> Backend<H> for ParallelConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        char_fd_class(kind)
    }

    fn open(&self, h: &mut H, _id: ChardevId) -> Result<Option<String>, Error> {
        qmp_chardev_open_parallel(h, &self.path)?;
        Ok(None)
    }
}

fn set_fds<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    input: Option<SharedFd>,
    output: Option<SharedFd>,
) {
    for fd in [&input, &output].into_iter().flatten() {
        // A file that cannot be made non-blocking does not block.
        let _ = set_nonblocking((**fd).as_fd());
    }
    let state = FdChardev::new(input, output);
    h.chardevs_mut().set_state(id, Box::new(state));
}

/// `file`: the output file is made first, and stays if the input cannot be
/// opened (`qmp_chardev_open_file`).
fn qmp_chardev_open_file<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &FileConfig,
) -> Result<(), Error> {
    let how = if config.append {
        OFlag::O_APPEND
    } else {
        OFlag::O_TRUNC
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
fn qemu_chr_open_pipe<H: ChardevHost>(h: &mut H, id: ChardevId, path: &str) -> Result<(), Error> {
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
fn qmp_chardev_open_serial<H: ChardevHost>(
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
fn qmp_chardev_open_parallel<H: ChardevHost>(h: &mut H, path: &str) -> Result<(), Error> {
    open_or_error(h, path, OFlag::O_RDWR)?;
    Err(Error::new(
        "not a parallel port: Inappropriate ioctl for device",
    ))
}
