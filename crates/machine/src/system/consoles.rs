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

/// Whether the argument of `-device` is about a port of that kind.
fn device_is(arg: &str, kind: &str) -> bool {
    let driver = arg.split(',').next().unwrap_or_default();
    let driver = driver.strip_prefix("driver=").unwrap_or(driver);
    default_port(driver) == Some(kind)
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
