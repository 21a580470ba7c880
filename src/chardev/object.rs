//! Entering chardevs into the table, and taking them out.

use std::any::Any;

use super::be::{chr_free_watches, qemu_chr_be_event};
use super::class::{ChardevClass, ChardevId, ChrEvent};
use super::host::ChardevHost;
use super::log::SharedLog;
use crate::qapi::Error;
use crate::trace_event;

/// Puts a backend of one's own into the table (`qemu_chardev_new`). `state` is
/// found again with [`Chardevs::state`](super::Chardevs::state).
///
/// If the class opens at once, it is open when this returns.
///
/// # Errors
///
/// `attempt to add duplicate property 'LABEL' to object (type 'container')`.
pub fn qemu_chardev_new<H: ChardevHost>(
    h: &mut H,
    label: &str,
    class: ChardevClass<H>,
    state: Box<dyn Any>,
) -> Result<ChardevId, Error> {
    let opens_at_once = opens_at_once(h, &class);
    let id = qemu_chardev_insert(h, label, class, state, None)?;
    if opens_at_once {
        qemu_chr_be_event(h, id, ChrEvent::Opened);
    }
    Ok(id)
}

/// Whether chardevs of the class are open as soon as they are made. QEMUs differ about
/// some kinds.
pub(super) fn opens_at_once<H: ChardevHost>(h: &H, class: &ChardevClass<H>) -> bool {
    h.profile()
        .opens_chardev(class.kind)
        .unwrap_or(class.opens_at_once)
}

pub(super) fn check_label<H: ChardevHost>(h: &H, label: &str) -> Result<(), Error> {
    match h.chardevs().find(label) {
        None => Ok(()),
        Some(_) => Err(Error::new(format!(
            "attempt to add duplicate property '{label}' to object (type 'container')"
        ))),
    }
}

pub(super) fn qemu_chardev_insert<H: ChardevHost>(
    h: &mut H,
    label: &str,
    class: ChardevClass<H>,
    state: Box<dyn Any>,
    log: Option<SharedLog>,
) -> Result<ChardevId, Error> {
    check_label(h, label)?;
    trace_event!(chardev_new, "{label} is a {}", class.kind);
    let table = h.chardevs_mut();
    Ok(table.insert(label.to_owned(), class, state, log))
}

/// Removes a chardev without asking (`object_unparent`).
pub(super) fn object_unparent<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(chr) = h.chardevs().get(id) else {
        return;
    };
    trace_event!(chardev_finalize, "{}", chr.label);
    (chr.class.finalize)(h, id);
    chr_free_watches(h, id);
    h.chardevs_mut().remove(id);
}
