//! `-drive` and its short forms, and the drives that a board has by default.

use super::cli::Opt;
use super::flash::has_flash;
use super::report::{Failure, Pending, Reporter};
use crate::commands::{drive_new, guess_warning, NewDrive, MISSING_MODULE, QEMU_DRIVE_OPTS};
use crate::model::block::{Backend, Interface};
use crate::Machine;
use qmonitor::chardev::print_stderr;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Runtime;

/// A short form: what it stands for, and the kind of its drive.
struct Short {
    opt: Opt,
    text: &'static str,
    interface: Interface,
}

const fn short(opt: Opt, text: &'static str, interface: Interface) -> Short {
    Short {
        opt,
        text,
        interface,
    }
}

const SHORT: &[Short] = &[
    short(Opt::Disk, "index=0,media=disk", Interface::Ide),
    short(Opt::Hda, "index=0,media=disk", Interface::Ide),
    short(Opt::Hdb, "index=1,media=disk", Interface::Ide),
    short(Opt::Hdc, "index=2,media=disk", Interface::Ide),
    short(Opt::Hdd, "index=3,media=disk", Interface::Ide),
    short(Opt::Cdrom, "index=2,media=cdrom", Interface::Ide),
    short(Opt::Fda, "index=0", Interface::Floppy),
    short(Opt::Fdb, "index=1", Interface::Floppy),
    short(Opt::Mtdblock, "media=disk", Interface::Mtd),
    short(Opt::Sd, "", Interface::Sd),
    short(Opt::Pflash, "", Interface::Pflash),
];

/// The text of a drive option, and the kind of its drive if the text names none: `Ide`
/// stands for what the board has.
fn drive_text(opt: Opt, arg: &str) -> Option<(String, Interface)> {
    if opt == Opt::Drive {
        return Some((arg.to_owned(), Interface::Ide));
    }
    let short = SHORT.iter().find(|short| short.opt == opt)?;
    let file = arg.replace(',', ",,");
    let separator = if short.text.is_empty() { "" } else { "," };
    Some((
        format!("{}{separator}file={file}", short.text),
        short.interface,
    ))
}

/// Makes the drives of the options and returns them with their options.
pub(super) fn make_drives<'a>(
    rt: &mut Runtime<Machine>,
    pending: &'a [Pending],
    reporter: &Reporter,
) -> Result<Vec<(&'a Pending, NewDrive)>, Failure> {
    let mut made = Vec::new();
    for item in pending {
        let Some((text, interface)) = drive_text(item.opt, &item.arg) else {
            continue;
        };
        let interface = match interface {
            Interface::Ide => rt.state.default_interface(),
            interface => interface,
        };
        let mut warnings = Vec::new();
        let opts = QemuOpts::parse(&QEMU_DRIVE_OPTS, &text, &mut warnings);
        item.warn(reporter, &warnings);
        let drive = opts.and_then(|opts| drive_new(&mut rt.state, &opts, interface));
        let drive = drive.map_err(|e| {
            if e.desc().starts_with(MISSING_MODULE) {
                return item.failed_twice(e, "Must specify either driver or file".to_owned());
            }
            item.failed(e)
        })?;
        if let Some(filename) = &drive.guessed {
            print_stderr(&guess_warning(filename));
        }
        made.push((item, drive));
    }
    Ok(made)
}

/// Makes the empty drives that a board has if nothing was said of them.
pub(super) fn make_default_drives(
    rt: &mut Runtime<Machine>,
    cdrom: bool,
    floppy: bool,
) -> Result<(), Failure> {
    let defaults = [
        (cdrom, "if=ide,index=2,media=cdrom", Interface::Ide),
        (floppy, "if=floppy,index=0", Interface::Floppy),
    ];
    for (wanted, text, interface) in defaults {
        if !wanted {
            continue;
        }
        let opts = QemuOpts::parse(&QEMU_DRIVE_OPTS, text, &mut Vec::new())?;
        // The place may be taken, which is as good.
        let _ = drive_new(&mut rt.state, &opts, interface);
    }
    Ok(())
}

/// Puts the drives on the board, makes the devices of those that have one of their own, and
/// complains about a drive that the board has no place for.
pub(super) fn attach_drives(
    rt: &mut Runtime<Machine>,
    drives: &[(&Pending, NewDrive)],
) -> Result<(), Failure> {
    for (item, drive) in drives {
        let name = &drive.name;
        match drive.interface {
            Interface::None => {}
            Interface::Virtio => {
                let mut text = format!("virtio-blk-pci,drive={name}");
                if let Some(addr) = &drive.addr {
                    text += &format!(",addr={addr}");
                }
                crate::commands::device_from_cli(rt, &text, &mut Vec::new())
                    .map_err(|e| item.failed(e))?;
            }
            Interface::Xen => {
                let desc = "No 'xen-bus' bus found for device 'xen-disk'";
                return Err(item.failed(Error::new(desc)));
            }
            interface => {
                let backend = rt.state.blocks.backends.get(name);
                let has_place = |b: &&Backend| {
                    let is_flash = b.interface == Interface::Pflash;
                    b.is_claimed && (!is_flash || has_flash(rt.state.class.family))
                };
                let Some(backend) = backend.filter(|b| !has_place(b)) else {
                    continue;
                };
                return Err(item.failed(Error::new(format!(
                    "machine type does not support if={},bus={},unit={}",
                    interface.name(),
                    backend.bus,
                    backend.unit
                ))));
            }
        }
    }
    Ok(())
}
