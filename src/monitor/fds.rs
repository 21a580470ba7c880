//! File descriptors that monitors keep. Named ones (`getfd`) belong to one
//! monitor. Sets of them (`add-fd`) belong to all monitors and are opened as
//! `/dev/fdset/N`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};

use crate::qapi::Error;

/// The named descriptors of one monitor. They outlive connections.
#[derive(Debug, Default)]
pub struct MonitorFds {
    named: Vec<(String, OwnedFd)>,
}

impl MonitorFds {
    /// Keeps a descriptor under a name (`qmp_getfd`). A former one of that name is
    /// closed.
    ///
    /// # Errors
    ///
    /// A name must not start with a digit: it could be taken for a number.
    pub fn getfd(&mut self, name: &str, fd: OwnedFd) -> Result<(), Error> {
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Error::new(
                "Parameter 'fdname' expects a name not starting with a digit",
            ));
        }
        match self.named.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = fd,
            None => self.named.push((name.to_owned(), fd)),
        }
        Ok(())
    }

    /// Takes a descriptor out by name (`monitor_get_fd`); dropping it closes it.
    ///
    /// # Errors
    ///
    /// `File descriptor named 'x' has not been found`.
    pub fn take(&mut self, name: &str) -> Result<OwnedFd, Error> {
        match self.named.iter().position(|(n, _)| n == name) {
            Some(i) => Ok(self.named.remove(i).1),
            None => Err(Error::new(format!(
                "File descriptor named '{name}' has not been found"
            ))),
        }
    }

    /// Closes a descriptor by name (`qmp_closefd`).
    ///
    /// # Errors
    ///
    /// `File descriptor named 'x' not found`.
    pub fn closefd(&mut self, name: &str) -> Result<(), Error> {
        match self.take(name) {
            Ok(_closed) => Ok(()),
            Err(_) => Err(Error::new(format!(
                "File descriptor named '{name}' not found"
            ))),
        }
    }
}

/// One descriptor of a set.
#[derive(Debug)]
pub struct FdsetFd {
    /// The descriptor.
    pub fd: OwnedFd,
    /// The client's own note about it.
    pub opaque: Option<String>,
}

/// A set of descriptors for the same file, opened in different ways.
#[derive(Debug, Default)]
pub struct Fdset {
    /// In the order in which they were added.
    pub fds: Vec<FdsetFd>,
    /// The duplicates handed out by `/dev/fdset/N`, as long as they live.
    users: Vec<Weak<OwnedFd>>,
}

impl Fdset {
    /// Forgets users that have gone. Returns whether anything is left.
    fn is_in_use(&mut self) -> bool {
        self.users.retain(|user| user.strong_count() > 0);
        !self.fds.is_empty() || !self.users.is_empty()
    }
}

/// All sets by number (QEMU's `mon_fdsets`).
#[derive(Debug, Default)]
pub struct Fdsets {
    sets: BTreeMap<i64, Fdset>,
}

impl Fdsets {
    /// Adds a descriptor to the set with this number, or to a new set with the
    /// first free number; returns the set's number and the descriptor's
    /// (`monitor_fdset_add_fd`).
    ///
    /// # Errors
    ///
    /// Numbers below zero are refused.
    pub fn add(
        &mut self,
        fdset_id: Option<i64>,
        fd: OwnedFd,
        opaque: Option<String>,
    ) -> Result<(i64, i32), Error> {
        self.cleanup();
        let id = match fdset_id {
            Some(id) if id < 0 => {
                return Err(Error::new(
                    "Parameter 'fdset-id' expects a non-negative value",
                ))
            }
            Some(id) => id,
            None => (0..)
                .find(|id| !self.sets.contains_key(id))
                .expect("there are fewer sets than numbers"),
        };
        let raw = fd.as_raw_fd();
        let set = self.sets.entry(id).or_default();
        set.fds.push(FdsetFd { fd, opaque });
        Ok((id, raw))
    }

    /// Removes one descriptor of a set, or all of them (`qmp_remove_fd`). A
    /// set in use stays, empty, until its last user has gone.
    ///
    /// # Errors
    ///
    /// `File descriptor named 'fdset-id:1, fd:9' not found`, without the
    /// second half if all were meant.
    pub fn remove(&mut self, fdset_id: i64, fd: Option<i64>) -> Result<(), Error> {
        let missing = || {
            let fd = fd.map_or(String::new(), |fd| format!(", fd:{fd}"));
            Error::new(format!(
                "File descriptor named 'fdset-id:{fdset_id}{fd}' not found"
            ))
        };
        self.cleanup();
        let set = self.sets.get_mut(&fdset_id).ok_or_else(missing)?;
        match fd {
            None => set.fds.clear(),
            Some(fd) => {
                let at = set
                    .fds
                    .iter()
                    .position(|f| i64::from(f.fd.as_raw_fd()) == fd);
                set.fds.remove(at.ok_or_else(missing)?);
            }
        }
        self.cleanup();
        Ok(())
    }

    /// Drops sets without descriptors and users. A user goes without a call, so
    /// each method calls this first.
    fn cleanup(&mut self) {
        self.sets.retain(|_, set| set.is_in_use());
    }

    /// The sets, highest number first, as `query-fdsets` lists them.
    pub fn iter(&mut self) -> impl Iterator<Item = (i64, &Fdset)> {
        self.cleanup();
        self.sets.iter().rev().map(|(id, set)| (*id, set))
    }

    /// A duplicate of the set's descriptor whose access mode is that of
    /// `flags` (`monitor_fdset_dup_fd_add`). The set stays until it is dropped.
    ///
    /// # Errors
    ///
    /// ENOENT without such a set, EACCES without a descriptor of that mode.
    pub fn dup(&mut self, fdset_id: i64, flags: OFlag) -> io::Result<Rc<OwnedFd>> {
        self.cleanup();
        let set = self.sets.get_mut(&fdset_id).ok_or(Errno::ENOENT)?;
        for f in &set.fds {
            let mode = OFlag::from_bits_truncate(fcntl(f.fd.as_fd(), FcntlArg::F_GETFL)?);
            if mode & OFlag::O_ACCMODE == flags & OFlag::O_ACCMODE {
                let dup = Rc::new(f.fd.try_clone()?);
                set.users.push(Rc::downgrade(&dup));
                return Ok(dup);
            }
        }
        Err(Errno::EACCES.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_fd() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn names_replace_and_do_not_start_with_a_digit() {
        let mut fds = MonitorFds::default();
        fds.getfd("a", some_fd()).unwrap();
        fds.getfd("a", some_fd()).unwrap();
        fds.getfd("", some_fd()).unwrap();
        assert_eq!(
            fds.getfd("1a", some_fd()).unwrap_err().desc(),
            "Parameter 'fdname' expects a name not starting with a digit"
        );
        fds.closefd("a").unwrap();
        assert_eq!(
            fds.closefd("a").unwrap_err().desc(),
            "File descriptor named 'a' not found"
        );
        assert_eq!(
            fds.take("a").unwrap_err().desc(),
            "File descriptor named 'a' has not been found"
        );
    }

    #[test]
    fn sets_take_the_first_free_number_and_are_listed_from_the_highest() {
        let mut sets = Fdsets::default();
        assert_eq!(sets.add(Some(1), some_fd(), None).unwrap().0, 1);
        assert_eq!(sets.add(None, some_fd(), None).unwrap().0, 0);
        assert_eq!(sets.add(None, some_fd(), None).unwrap().0, 2);
        let ids: Vec<i64> = sets.iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [2, 1, 0]);
        assert!(sets.add(Some(-1), some_fd(), None).is_err());
    }

    #[test]
    fn removal_names_what_is_missing() {
        let mut sets = Fdsets::default();
        let (id, fd) = sets.add(None, some_fd(), None).unwrap();
        assert_eq!(
            sets.remove(7, None).unwrap_err().desc(),
            "File descriptor named 'fdset-id:7' not found"
        );
        assert_eq!(
            sets.remove(id, Some(9999)).unwrap_err().desc(),
            "File descriptor named 'fdset-id:0, fd:9999' not found"
        );
        sets.remove(id, Some(fd.into())).unwrap();
        assert_eq!(sets.iter().count(), 0);
    }

    #[test]
    fn a_set_in_use_stays_until_its_user_has_gone() {
        let mut sets = Fdsets::default();
        let (id, _) = sets.add(None, some_fd(), None).unwrap();
        assert_eq!(
            sets.dup(id, OFlag::O_RDWR).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        assert_eq!(
            sets.dup(5, OFlag::O_RDONLY).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let user = sets.dup(id, OFlag::O_RDONLY).unwrap();
        sets.remove(id, None).unwrap();
        assert_eq!(sets.iter().next().unwrap().1.fds.len(), 0);
        drop(user);
        assert_eq!(sets.iter().count(), 0);
    }

    #[test]
    fn a_set_that_nobody_uses_any_more_is_gone_for_every_function() {
        let abandoned = || {
            let mut sets = Fdsets::default();
            let (id, _) = sets.add(None, some_fd(), None).unwrap();
            let user = sets.dup(id, OFlag::O_RDONLY).unwrap();
            sets.remove(id, None).unwrap();
            drop(user);
            sets
        };
        assert_eq!(abandoned().add(None, some_fd(), None).unwrap().0, 0);
        assert_eq!(
            abandoned().remove(0, None).unwrap_err().desc(),
            "File descriptor named 'fdset-id:0' not found"
        );
        assert_eq!(
            abandoned().dup(0, OFlag::O_RDONLY).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn users_that_come_and_go_leave_nothing_behind() {
        let mut sets = Fdsets::default();
        let (id, _) = sets.add(None, some_fd(), None).unwrap();
        let user = sets.dup(id, OFlag::O_RDONLY).unwrap();
        for _ in 0..1000 {
            sets.dup(id, OFlag::O_RDONLY).unwrap();
        }
        assert!(sets.sets[&id].users.len() <= 2);
        sets.remove(id, None).unwrap();
        assert_eq!(sets.iter().count(), 1, "the first user is still there");
        drop(user);
        assert_eq!(sets.iter().count(), 0);
    }
}
