//! Commands about file descriptors that came over the monitor's socket.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt::SockType};

use super::runtime::Runtime;
use super::schema::{AddfdInfo, FdsCommands, FdsetFdInfo, FdsetInfo};
use crate::chardev::qemu_chr_fe_get_msgfd;
use crate::qapi::Error;

/// Takes the descriptor that came with the request under way, or with an earlier
/// one that did not take it.
fn take_msgfd<S>(rt: &mut Runtime<S>) -> Result<OwnedFd, Error> {
    let fd = match rt.current_qmp() {
        Some(qmp) => qmp.session.take_fd(),
        None => {
            let fe = rt.current_monitor().map(|m| m.fe);
            fe.and_then(|fe| qemu_chr_fe_get_msgfd(rt, fe))
        }
    };
    fd.ok_or_else(|| Error::new("No file descriptor supplied via SCM_RIGHTS"))
}

impl<S: 'static> FdsCommands for S {
    fn qmp_getfd(rt: &mut Runtime<Self>, fdname: String) -> Result<(), Error> {
        // Taken first: a refused name closes the descriptor, as in QEMU.
        let fd = take_msgfd(rt)?;
        match rt.current_monitor_mut() {
            Some(mon) => mon.fds.getfd(&fdname, fd),
            None => Ok(()),
        }
    }

    fn qmp_closefd(rt: &mut Runtime<Self>, fdname: String) -> Result<(), Error> {
        let missing = || Error::new(format!("File descriptor named '{fdname}' not found"));
        let mon = rt.current_monitor_mut().ok_or_else(missing)?;
        mon.fds.closefd(&fdname)
    }

    fn qmp_add_fd(
        rt: &mut Runtime<Self>,
        fdset_id: Option<i64>,
        opaque: Option<String>,
    ) -> Result<AddfdInfo, Error> {
        let fd = take_msgfd(rt)?;
        let (fdset_id, fd) = rt.fdsets.add(fdset_id, fd, opaque)?;
        Ok(AddfdInfo {
            fdset_id,
            fd: fd.into(),
        })
    }

    fn qmp_remove_fd(rt: &mut Runtime<Self>, fdset_id: i64, fd: Option<i64>) -> Result<(), Error> {
        rt.fdsets.remove(fdset_id, fd)
    }

    fn qmp_add_client(
        rt: &mut Runtime<Self>,
        protocol: String,
        fdname: String,
        _skipauth: Option<bool>,
        _tls: Option<bool>,
    ) -> Result<(), Error> {
        // Taken first: the name is used up even if the command fails.
        let missing = || {
            Error::new(format!(
                "File descriptor named '{fdname}' has not been found"
            ))
        };
        let mon = rt.current_monitor_mut().ok_or_else(missing)?;
        let fd = mon.fds.take(&fdname)?;
        if getsockopt(&fd, SockType).is_err() {
            return Err(Error::new("parameter @fdname must name a socket"));
        }
        Err(match protocol.as_str() {
            "vnc" | "spice" | "@dbus-display" => {
                Error::new(format!("{protocol} is not available in this program"))
            }
            _ => Error::new(format!("protocol '{protocol}' is invalid")),
        })
    }

    fn qmp_query_fdsets(rt: &mut Runtime<Self>) -> Result<Vec<FdsetInfo>, Error> {
        let sets = rt.fdsets.iter().map(|(fdset_id, set)| FdsetInfo {
            fdset_id,
            fds: set
                .fds
                .iter()
                .map(|f| FdsetFdInfo {
                    fd: f.fd.as_raw_fd().into(),
                    opaque: f.opaque.clone(),
                })
                .collect(),
        });
        Ok(sets.collect())
    }
}
