//! Two chardevs back to back: a write to one becomes input of the other before
//! the write returns, so that monitors meet on one stack.

use std::io;
use std::rc::Rc;

use nix::sys::eventfd::{EfdFlags, EventFd};
use qmonitor::chardev::{
    qemu_chardev_new, qemu_chr_be_can_write, qemu_chr_be_write, ChardevClass, ChardevHost,
    ChardevId,
};

use crate::world::Rt;

struct End {
    other: Option<ChardevId>,
    /// The most bytes that one write takes.
    piece: usize,
    /// Always writable.
    room: Rc<EventFd>,
}

fn class() -> ChardevClass<Rt> {
    ChardevClass {
        opens_at_once: true,
        chr_write: write,
        chr_watch_fd: |rt, id| Some(rt.chardevs().state::<End>(id)?.room.clone()),
        ..ChardevClass::new("wire")
    }
}

fn write(rt: &mut Rt, id: ChardevId, bytes: &[u8]) -> io::Result<usize> {
    let Some(end) = rt.chardevs().state::<End>(id) else {
        return Ok(bytes.len());
    };
    let Some(other) = end.other else {
        return Ok(bytes.len());
    };
    let n = bytes
        .len()
        .min(end.piece)
        .min(qemu_chr_be_can_write(rt, other));
    if n == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    qemu_chr_be_write(rt, other, &bytes[..n]);
    Ok(n)
}

/// Makes two chardevs wired to each other. Writes are taken in pieces.
pub fn wire(rt: &mut Rt, labels: [&str; 2], piece: usize) -> [ChardevId; 2] {
    let ends = labels.map(|label| {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let end = End {
            other: None,
            piece,
            room: Rc::new(EventFd::from_flags(flags).unwrap()),
        };
        qemu_chardev_new(rt, label, class(), Box::new(end)).unwrap()
    });
    for (id, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        let end: &mut End = rt.chardevs_mut().state_mut(id).unwrap();
        end.other = Some(other);
    }
    ends
}
