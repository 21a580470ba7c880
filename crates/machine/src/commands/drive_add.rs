//! HMP's `drive_add` and `drive_del`.

use super::drives::{drive_new, format_help, guess_warning, QEMU_DRIVE_OPTS};
use super::hmp::{disk_failure, Cx};
use crate::model::block::Interface;
use crate::Machine;
use qmonitor::chardev::print_stderr;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;

const SLOT: HmpArg = HmpArg::new("pci_addr", Str);

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "drive_add",
            "[-n] [[<domain>:]<bus>:]<slot>\n[file=file][,if=type][,bus=n]\n[,unit=m][,media=d]\
             [,index=i]\n[,snapshot=on|off][,cache=on|off]\n[,readonly=on|off][,copy-on-read=on|off]",
            "add drive to PCI storage controller",
        )
        .args(&[
            HmpArg::new("node", Flag('n')),
            SLOT,
            HmpArg::new("opts", Str),
        ]),
        hmp_drive_add,
    ),
    (
        HmpRow::new("drive_del", "device", "remove host block device")
            .args(&[HmpArg::new("id", Block)]),
        |hmp, args| {
            let result = hmp.rt.state.drive_del(args.str("id"));
            if let Err(e) = result {
                disk_failure(hmp, &e);
            }
        },
    ),
];

/// Errors come without `Error:`, as messages of the option would.
fn hmp_drive_add(hmp: Cx, args: &HmpArgs) {
    let text = args.str("opts");
    if args.flag("node") {
        return hmp_drive_add_node(hmp, text);
    }
    let added = drive_add(&mut hmp.rt.state, text);
    match added {
        Ok(text) => hmp.print(text),
        Err(e) => disk_failure(hmp, &e),
    }
}

fn drive_add(m: &mut Machine, text: &str) -> Result<String, Error> {
    let opts = QemuOpts::parse(&QEMU_DRIVE_OPTS, text, &mut Vec::new())?;
    if let Some(help) = format_help(&opts) {
        return Ok(help);
    }
    let drive = drive_new(m, &opts, m.default_interface())?;
    if drive.interface != Interface::None {
        m.drive_del(&drive.name)?;
        let number = drive.interface as u32;
        return Err(Error::new(format!("Can't hot-add drive to type {number}")));
    }
    // The warning about a guessed format goes to standard error.
    if let Some(filename) = drive.guessed {
        print_stderr(&guess_warning(&filename));
    }
    Ok("OK\n".to_owned())
}

/// `-n`: a node, as with `-blockdev`.
fn hmp_drive_add_node(hmp: Cx, text: &str) {
    let opts = QemuOpts::parse(&QEMU_DRIVE_OPTS, text, &mut Vec::new());
    let made = opts.and_then(|opts| match opts.get("node-name") {
        None => Err(Error::new("'node-name' needs to be specified")),
        Some(_) => super::blockdev_from_cli(hmp.rt, text),
    });
    if let Err(e) = made {
        disk_failure(hmp, &e);
    }
}
