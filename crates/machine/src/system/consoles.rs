//! What a command line leaves open about ports and monitors, and who gets the terminal.
//!
//! Unless an option is about it, or `-nodefaults` is given, a PC has one serial and one
//! parallel port, and every machine a human monitor. They are on text consoles, which
//! nobody sees without a display; with `-nographic` they are on the terminal:
//!
//! | left open | with `-nographic` | otherwise |
//! |---|---|---|
//! | serial port and monitor | both on a mux on stdio | a console each |
//! | serial port | stdio | a console |
//! | monitor | stdio | a console |
//! | parallel port | nowhere | a console |

use super::cli::Opt;
use super::report::Pending;
use super::settings::Settings;
use crate::model::board::Family;
use crate::model::qdev::default_port;
use qmonitor::qapi::Error;

/// Which of the defaults are left open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) serial: bool,
    pub(super) parallel: bool,
    pub(super) monitor: bool,
}

impl Open {
    /// What the options leave open; `monitor_decided` says that they are about a monitor.
    pub(super) fn by(settings: &Settings, pending: &[Pending], monitor_decided: bool) -> Self {
        if settings.nodefaults {
            return Open {
                serial: false,
                parallel: false,
                monitor: false,
            };
        }
        let ports = settings.hardware.class.is_pc();
        let open = |opt: Opt, kind: &str| {
            let mut others = pending.iter();
            let decided = |item: &Pending| {
                item.opt == opt || item.opt == Opt::Device && device_is(&item.arg, kind)
            };
            ports && !others.any(decided)
        };
        // A port may come with a monitor.
        let on_port = |item: &Pending| {
            matches!(item.opt, Opt::Serial | Opt::Parallel) && item.arg.starts_with("mon:")
        };
        Open {
            serial: open(Opt::Serial, "serial"),
            parallel: open(Opt::Parallel, "parallel"),
            monitor: !monitor_decided && !pending.iter().any(on_port),
        }
    }

    /// The options that close what is open.
    ///
    /// # Errors
    ///
    /// They would need a terminal, and the program gives its up.
    pub(super) fn options(
        &self,
        nographic: bool,
        daemonize: bool,
    ) -> Result<Vec<(Opt, &'static str)>, Error> {
        let any = self.serial || self.parallel || self.monitor;
        if nographic && daemonize && any {
            let desc = "-nographic cannot be used with -daemonize";
            return Err(Error::new(desc));
        }
        let console = "vc:80Cx24C";
        let mut options = Vec::new();
        let mut option = |open: bool, opt: Opt, arg: &'static str| {
            if open {
                options.push((opt, arg));
            }
        };
        if nographic {
            let both = self.serial && self.monitor;
            option(self.parallel, Opt::Parallel, "null");
            option(both, Opt::Serial, "mon:stdio");
            option(self.serial && !both, Opt::Serial, "stdio");
            option(self.monitor && !both, Opt::Monitor, "stdio");
        } else {
            option(self.serial, Opt::Serial, console);
            option(self.parallel, Opt::Parallel, console);
            option(self.monitor, Opt::Monitor, console);
        }
        Ok(options)
    }
}

/// The parts that a board has unless an option is about them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) cdrom: bool,
    pub(super) floppy: bool,
    pub(super) display: bool,
    pub(super) net: bool,
}

/// The models that stand for a part of the board.
const DISPLAYS: &[&str] = &[
    "VGA",
    "isa-vga",
    "cirrus-vga",
    "isa-cirrus-vga",
    "vmware-svga",
    "qxl-vga",
    "virtio-vga",
    "virtio-vga-gl",
    "ati-vga",
    "vhost-user-vga",
];
const DISKS: &[&str] = &["ide-cd", "ide-hd", "scsi-cd", "scsi-hd"];

impl Parts {
    /// What the options leave open.
    pub(super) fn by(settings: &Settings, pending: &[Pending]) -> Self {
        let class = settings.hardware.class;
        let open = class.is_pc() && !settings.nodefaults;
        let is_named = |models: &[&str]| {
            let mut devices = pending.iter().filter(|item| item.opt == Opt::Device);
            devices.any(|item| models.contains(&driver(&item.arg).as_str()))
        };
        let is_q35 = class.name.starts_with("pc-q35");
        let nets = [Opt::Net, Opt::Nic, Opt::Netdev];
        Parts {
            cdrom: open && !is_named(DISKS),
            floppy: open && !is_q35 && !is_named(&["isa-fdc", "floppy"]),
            display: open && !is_named(DISPLAYS),
            net: open
                && class.family != Family::Microvm
                && !pending.iter().any(|item| nets.contains(&item.opt)),
        }
    }
}

/// The model that the argument of `-device` names.
fn driver(arg: &str) -> String {
    if arg.starts_with('{') {
        let parsed = qmonitor::qapi::json::qobject_from_json(arg.as_bytes());
        let parsed = parsed.ok().and_then(|o| o.as_dict().cloned());
        let name = parsed.and_then(|d| d.get_str("driver").map(str::to_owned));
        return name.unwrap_or_default();
    }
    let driver = arg.split(',').next().unwrap_or_default();
    driver.strip_prefix("driver=").unwrap_or(driver).to_owned()
}

/// Whether the argument of `-device` is about a port of that kind.
fn device_is(arg: &str, kind: &str) -> bool {
    default_port(&driver(arg)) == Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(serial: bool, parallel: bool, monitor: bool) -> Open {
        Open {
            serial,
            parallel,
            monitor,
        }
    }

    #[test]
    fn the_terminal_goes_to_whom_nothing_else_was_said_about() {
        use Opt::{Monitor, Parallel, Serial};
        let all = open(true, true, true);
        for (left, nographic, expected) in [
            (&all, true, &[(Parallel, "null"), (Serial, "mon:stdio")][..]),
            (&open(true, false, false), true, &[(Serial, "stdio")]),
            (&open(false, false, true), true, &[(Monitor, "stdio")]),
            (&open(false, false, false), true, &[]),
            (
                &all,
                false,
                &[
                    (Serial, "vc:80Cx24C"),
                    (Parallel, "vc:80Cx24C"),
                    (Monitor, "vc:80Cx24C"),
                ],
            ),
        ] {
            let options = left.options(nographic, false).unwrap();
            assert_eq!(options, expected, "{left:?} {nographic}");
        }
        let e = open(false, true, false).options(true, true).unwrap_err();
        assert_eq!(e.desc(), "-nographic cannot be used with -daemonize");
        assert!(open(false, false, false).options(true, true).is_ok());
        assert!(all.options(false, true).is_ok());
    }
}
