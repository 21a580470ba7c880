//! Adding, changing and removing chardevs.

use super::backend::mux::MuxConfig;
use super::backends::{not_a_driver, ChardevBackend, ChardevConfig};
use super::be::qemu_chr_be_event;
use super::class::{BackendChange, CharFrontend, ChardevId, ChrEvent};
use super::fe::{attach_quietly, qemu_chr_fe_init};
use super::host::{label, ChardevHost};
use super::log::Log;
use super::object::{check_label, object_unparent, opens_at_once, qemu_chardev_insert};
use super::table::Chardev;
use crate::qapi::Error;

/// The result of [`chardev_add`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChardevAdded {
    /// The chardev; with `mux`, the mux.
    pub id: ChardevId,
    /// The same; with `mux`, what the mux is on.
    pub device: ChardevId,
    /// For a pseudo terminal, its name.
    pub pty: Option<String>,
}

impl ChardevAdded {
    /// The line that tells a person where the new pty is:
    /// `char device redirected to NAME (label LABEL)`.
    pub fn redirected<H: ChardevHost>(&self, h: &H) -> Option<String> {
        let (pty, label) = (self.pty.as_ref()?, label(h, self.device));
        Some(format!("char device redirected to {pty} (label {label})"))
    }
}

/// Makes a chardev (`qemu_chardev_new` and the backend's `open`).
///
/// # Errors
///
/// The reason in QEMU's words, without any prefix; nothing is left behind.
pub fn chardev_add<H: ChardevHost>(
    h: &mut H,
    label: &str,
    config: ChardevConfig,
) -> Result<ChardevAdded, Error> {
    if !config.mux {
        return chardev_add_one(h, label, &config);
    }
    let base = format!("{label}-base");
    let added = chardev_add_one(h, &base, &config)?;
    let mux = ChardevConfig::new(ChardevBackend::Mux(MuxConfig { chardev: base }));
    match chardev_add_one(h, label, &mux) {
        Ok(mux) => Ok(ChardevAdded {
            id: mux.id,
            ..added
        }),
        Err(e) => {
            object_unparent(h, added.id);
            Err(e)
        }
    }
}

fn chardev_add_one<H: ChardevHost>(
    h: &mut H,
    label: &str,
    config: &ChardevConfig,
) -> Result<ChardevAdded, Error> {
    let kind = config.backend.kind();
    let class = config.backend.class(h);
    let class = class.filter(|_| h.chardevs().backends().contains(&kind));
    let class = class.ok_or_else(|| not_a_driver(kind))?;
    check_label(h, label)?;
    let log = match &config.logfile {
        Some(path) => {
            let file = super::net::open::open_log(h, path, config.logappend)?;
            Some(Log::new(file, config.logtimestamp))
        }
        None => None,
    };
    let opens_at_once = opens_at_once(h, &class);
    let id = qemu_chardev_insert(h, label, class, Box::new(()), log)?;
    match config.backend.open(h, id) {
        Ok(pty) => {
            let suspended = class.opening_can_be_suspended && h.chardevs().mux_open_suspended;
            if opens_at_once && !suspended {
                qemu_chr_be_event(h, id, ChrEvent::Opened);
            }
            let device = id;
            Ok(ChardevAdded { id, device, pty })
        }
        Err(e) => {
            object_unparent(h, id);
            Err(e)
        }
    }
}

/// `chardev-remove`: removes a chardev without a user.
///
/// # Errors
///
/// `Chardev 'x' not found`, `Chardev 'x' is busy`.
pub fn chardev_remove<H: ChardevHost>(h: &mut H, label: &str) -> Result<(), Error> {
    let id = find_or_error(h, label)?;
    if h.chardevs().get(id).is_some_and(Chardev::is_busy) {
        return Err(Error::new(format!("Chardev '{label}' is busy")));
    }
    object_unparent(h, id);
    Ok(())
}

/// `chardev-change`: replaces a chardev by another one of the same label.
///
/// A front end that uses it goes on with the new one, if it
/// [can](super::qemu_chr_fe_set_be_change). It hears "Closed" first if the old one was
/// open and the new one is not yet; if the new one cannot be made, nothing has changed.
/// A chardev without a user is removed first, as in QEMU: if the new one cannot be made
/// then, there is none.
///
/// # Errors
///
/// `Chardev 'x' does not exist`, `For mux or hub device hotswap is not
/// supported yet`, `Chardev user does not support chardev hotswap`, `Chardev 'x' change
/// failed`, or the reason why the new one cannot be made, behind `Failed to add chardev
/// 'x': ` if it has no user.
pub fn chardev_change<H: ChardevHost>(
    h: &mut H,
    label: &str,
    mut config: ChardevConfig,
) -> Result<ChardevAdded, Error> {
    // One chardev takes the place of one.
    config.mux = false;
    let found = h.chardevs().find(label);
    let Some((id, chr)) = found.and_then(|id| Some((id, h.chardevs().get(id)?))) else {
        return Err(Error::new(format!("Chardev '{label}' does not exist")));
    };
    if chr.combines_chardevs() {
        return Err(Error::new(
            "For mux or hub device hotswap is not supported yet",
        ));
    }
    if let Some(user) = chr.frontends.iter().flatten().next() {
        let be_change = user
            .be_change
            .ok_or_else(|| Error::new("Chardev user does not support chardev hotswap"))?;
        return change_under_frontend(h, id, label, &config, be_change);
    }
    object_unparent(h, id);
    chardev_add(h, label, config)
        .map_err(|e| e.prepend(format_args!("Failed to add chardev '{label}': ")))
}

/// Has the only front end of a chardev go over to a new one.
fn change_under_frontend<H: ChardevHost>(
    h: &mut H,
    old: ChardevId,
    label: &str,
    config: &ChardevConfig,
    be_change: BackendChange<H>,
) -> Result<ChardevAdded, Error> {
    let is_open = |h: &H, id| h.chardevs().get(id).is_some_and(Chardev::is_open);
    h.chardevs_mut().give_up_label(old);
    let added = match chardev_add_one(h, label, config) {
        Ok(added) => added,
        Err(e) => {
            h.chardevs_mut().take_label(old);
            return Err(e);
        }
    };
    let closed = is_open(h, old) && !is_open(h, added.id);
    if closed {
        qemu_chr_be_event(h, old, ChrEvent::Closed);
    }
    // Hearing of that, it may have let go of the chardev.
    let user = h.chardevs().get(old).and_then(|chr| chr.frontends.first());
    let Some((handlers, opaque)) = user
        .and_then(Option::as_ref)
        .map(|slot| (slot.handlers, slot.opaque))
    else {
        object_unparent(h, old);
        return Ok(added);
    };
    let old_fe = CharFrontend { chr: old, tag: 0 };
    attach_quietly(h, old_fe, None, 0);
    let changed = qemu_chr_fe_init(h, added.id).and_then(|fe| be_change(h, opaque, fe));
    if changed.is_ok() {
        object_unparent(h, old);
        return Ok(added);
    }
    object_unparent(h, added.id);
    h.chardevs_mut().take_label(old);
    attach_quietly(h, old_fe, handlers, opaque);
    if closed {
        qemu_chr_be_event(h, old, ChrEvent::Opened);
    }
    Err(Error::new(format!("Chardev '{label}' change failed")))
}

fn find_or_error<H: ChardevHost>(h: &H, label: &str) -> Result<ChardevId, Error> {
    let found = h.chardevs().find(label);
    found.ok_or_else(|| Error::new(format!("Chardev '{label}' not found")))
}

/// `chardev-send-break`: the front end is told that a break came in.
///
/// # Errors
///
/// `Chardev 'x' not found`.
pub fn chardev_send_break<H: ChardevHost>(h: &mut H, label: &str) -> Result<(), Error> {
    let id = find_or_error(h, label)?;
    qemu_chr_be_event(h, id, ChrEvent::Break);
    Ok(())
}

/// Removes all chardevs, used or not, the newest first, so that a mux goes before what
/// it is on (`qemu_chr_cleanup`). Socket files go, terminals are restored.
pub fn qemu_chr_cleanup<H: ChardevHost>(h: &mut H) {
    let ids: Vec<_> = h.chardevs().iter().map(|(id, _)| id).collect();
    for id in ids.into_iter().rev() {
        object_unparent(h, id);
    }
}
