//! Opening the channels of a migration: sockets, programs, files, descriptors.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{OwnedFd, RawFd};
use std::process::{Command, Stdio};
use std::rc::Rc;

use crate::model::migration::{Address, Channel, Kind};
use crate::schema::{MigrationAddress, MigrationChannel, MigrationChannelType, SocketAddress};
use crate::Machine;
use nix::fcntl::OFlag;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::ftruncate;
use qmonitor::chardev::{
    self, qemu_open, set_nonblocking, ChardevHost, InetSocketAddress, UnixSocketAddress,
};
use qmonitor::main_loop::SharedFd;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The address of a command, which has either a URI or a list of channels.
pub(super) fn address_of(
    uri: Option<String>,
    channels: Option<Vec<MigrationChannel>>,
) -> Result<Address, Error> {
    match (uri, channels.filter(|channels| !channels.is_empty())) {
        (Some(uri), Some(_)) => {
            Address::parse(&uri)?;
            Err(Error::new("need either 'uri' or 'channels' argument"))
        }
        (None, None) => Err(Error::new("need either 'uri' or 'channels' argument")),
        (Some(uri), None) => Address::parse(&uri),
        (None, Some(channels)) => {
            let mut main = None;
            for channel in channels {
                if channel.channel_type != MigrationChannelType::Main {
                    continue;
                }
                if main.replace(channel.addr).is_some() {
                    let desc = "Channel list has more than one main entry";
                    return Err(Error::new(desc));
                }
            }
            let main = main.ok_or_else(|| Error::new("Channel list has no main entry"))?;
            Ok(address(main))
        }
    }
}

/// The address of a channel.
pub(super) fn address(addr: MigrationAddress) -> Address {
    match addr {
        MigrationAddress::Exec(exec) => Address::Exec(exec.args),
        MigrationAddress::Rdma(_) => Address::Rdma,
        MigrationAddress::File(file) => Address::File {
            path: file.filename,
            offset: file.offset as u64,
        },
        MigrationAddress::Socket(socket) => Address::Socket(match socket {
            SocketAddress::Inet(inet) => chardev::SocketAddress::Inet(InetSocketAddress {
                to: inet.to,
                ipv4: inet.ipv4,
                ipv6: inet.ipv6,
                numeric: inet.numeric == Some(true),
                keep_alive: inet.keep_alive == Some(true),
                ..InetSocketAddress::new(inet.host, inet.port)
            }),
            SocketAddress::Unix(unix) => chardev::SocketAddress::Unix(UnixSocketAddress {
                path: unix.path,
                abstract_: unix.r#abstract,
                tight: unix.tight,
            }),
            SocketAddress::Vsock(vsock) => chardev::SocketAddress::Vsock {
                cid: vsock.cid,
                port: vsock.port,
            },
            SocketAddress::Fd(fd) => chardev::SocketAddress::Fd(fd.str),
        }),
    }
}

/// A channel on a descriptor, which is a socket or something else.
pub(super) fn channel_on(fd: OwnedFd) -> Result<Channel, Error> {
    let is_socket = getsockopt(&fd, sockopt::SockType).is_ok();
    let kind = if is_socket { Kind::Socket } else { Kind::File };
    channel(Rc::new(fd), kind)
}

fn channel(fd: SharedFd, kind: Kind) -> Result<Channel, Error> {
    set_nonblocking((*fd).as_fd()).map_err(|e| Error::from_io("Failed to set up channel", &e))?;
    Ok(Channel::new(fd, kind))
}

/// The descriptor that was given by this name (`monitor_get_fd`).
pub(super) fn named_fd(rt: &mut Rt, name: &str) -> Result<OwnedFd, Error> {
    let missing = || Error::new(format!("File descriptor named '{name}' has not been found"));
    rt.monitor_get_fd(name).ok_or_else(missing)?
}

/// The descriptor of a name, or the inherited one of a number (`monitor_fd_param`).
pub(super) fn fd_param(rt: &mut Rt, name: &str) -> Result<OwnedFd, Error> {
    if !name.starts_with(|c: char| c.is_ascii_digit()) {
        let named = rt.monitor_get_fd(name);
        let invalid = || Error::new(format!("Invalid file descriptor number '{name}'"));
        return named.ok_or_else(invalid)?;
    }
    let number = name.parse::<RawFd>();
    let number =
        number.map_err(|_| Error::new(format!("Invalid file descriptor number '{name}'")))?;
    let inherited = rt.chardevs_mut().inherited_fds_mut();
    let taken = inherited.take(number);
    taken.map_err(|e| Error::from_io(format!("Invalid file descriptor number '{name}'"), &e))
}

/// Starts a program that takes or gives the stream.
pub(super) fn spawn(rt: &mut Rt, args: &[String], takes: bool) -> Result<Channel, Error> {
    let (program, args) = args
        .split_first()
        .ok_or_else(|| Error::new("Command is missing"))?;
    let mut command = Command::new(program);
    command.args(args);
    let pipe = if takes {
        command.stdin(Stdio::piped()).stdout(Stdio::null())
    } else {
        command.stdout(Stdio::piped()).stdin(Stdio::null())
    };
    let failed = |e: io::Error| {
        let reason = Error::from_io("", &e);
        let reason = reason.desc().trim_start_matches(": ").to_owned();
        Error::new(format!(
            "Failed to execute child process “{program}” ({reason})"
        ))
    };
    let mut child = pipe.spawn().map_err(failed)?;
    let stdin = child.stdin.take().map(OwnedFd::from);
    let fd = stdin.or_else(|| child.stdout.take().map(OwnedFd::from));
    rt.state.migration.keep_child(child);
    let fd = fd.ok_or_else(|| Error::new("the program has no pipe"))?;
    channel(Rc::new(fd), Kind::Command)
}

/// Opens a file to write the stream to, or to read it from.
pub(super) fn open_file(
    rt: &mut Rt,
    path: &str,
    offset: u64,
    for_writing: bool,
) -> Result<Channel, Error> {
    let (flags, verb) = if for_writing {
        (OFlag::O_CREAT | OFlag::O_WRONLY, "create")
    } else {
        (OFlag::O_RDONLY, "open")
    };
    let opened = qemu_open(rt, path, flags);
    let fd = opened.map_err(|e| Error::from_io(format!("Could not {verb} '{path}'"), &e))?;
    let file = (*fd).as_fd().try_clone_to_owned().map(File::from);
    let placed = file.and_then(|mut file| {
        let is_plain = file.metadata()?.is_file();
        if for_writing && is_plain {
            ftruncate(&file, offset as i64)?;
        }
        if is_plain || offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(())
    });
    let what = if for_writing {
        "failed to truncate migration file to offset"
    } else {
        "failed to seek in migration file to offset"
    };
    placed.map_err(|e| Error::from_io(format!("{what} {offset:x}"), &e))?;
    channel(fd, Kind::File)
}
