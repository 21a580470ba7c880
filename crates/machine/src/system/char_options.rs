//! The options of the command line that make chardevs and monitors.
//!
//! They are read in two steps, as in QEMU; of several errors the one of the earlier
//! step is reported. While options are read, each becomes an option
//! list with an id: `-monitor FORM` adds one to the list of chardevs and one to that of
//! monitors. Later all chardevs are made, then the ports, then all monitors, each in
//! the order of the command line.

use std::io::Write;

use super::cli::Opt;
use super::report::{Failure, Location, Pending, Reporter};
use crate::Machine;
use qmonitor::chardev::{
    chardev_add, print_stderr, qemu_chardev_opts, qemu_chr_check_one_client, qemu_chr_find,
    qemu_chr_parse_compat, ChardevHost, ChardevReport, ParsedCompat,
};
use qmonitor::monitor::{monitor_parse_compat, MonitorMode, MonitorOptions, QEMU_MON_OPTS};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::{Profile, Runtime};

/// The chardevs and monitors to make.
#[derive(Default)]
pub(super) struct CharOptions {
    chardevs: Vec<(Option<Location>, QemuOpts)>,
    mons: Vec<(Option<Location>, Mon)>,
    /// The number of the next `compat_monitor`.
    next_compat: usize,
    /// Whether an option made a monitor, or said `none`.
    pub monitor_decided: bool,
    /// `-daemonize`, which leaves no terminal to talk to.
    pub daemonize: bool,
    /// Which QEMU reads the options.
    pub profile: Profile,
    /// Each program warns of `-mon` once.
    warned_of_mon: bool,
}

const MON_DEPRECATED: &str = "'-mon' is deprecated, use '-object' with 'monitor-hmp' or \
     'monitor-qmp' types instead";

enum Mon {
    Options(QemuOpts),
    Compat(MonitorOptions),
}

impl Mon {
    fn id(&self) -> Option<&str> {
        match self {
            Mon::Options(opts) => opts.id(),
            Mon::Compat(options) => options.id.as_deref(),
        }
    }
}

impl CharOptions {
    /// Takes an option; false if it belongs elsewhere.
    pub(super) fn take(
        &mut self,
        item: &Pending,
        warnings: &mut Vec<Error>,
    ) -> Result<bool, Failure> {
        match item.opt {
            Opt::Chardev => {
                let list = qemu_chardev_opts(self.profile);
                let opts = QemuOpts::parse(list, &item.arg, warnings);
                opts.and_then(|opts| self.add_chardev(item, opts))
                    .map_err(|e| item.failed_reading(e))?;
            }
            Opt::Mon => {
                if self.profile.has_monitor_objects() && !self.warned_of_mon {
                    self.warned_of_mon = true;
                    warnings.push(Error::new(MON_DEPRECATED));
                }
                let opts = QemuOpts::parse(&QEMU_MON_OPTS, &item.arg, warnings);
                opts.and_then(|opts| self.add_mon(item, Mon::Options(opts)))
                    .map_err(|e| item.failed_reading(e))?;
            }
            Opt::Qmp => self.take_compat(item, MonitorMode::Control, false)?,
            Opt::QmpPretty => self.take_compat(item, MonitorMode::Control, true)?,
            Opt::Monitor if item.arg == "none" => self.monitor_decided = true,
            Opt::Monitor => self.take_compat(item, MonitorMode::Readline, false)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_compat(
        &mut self,
        item: &Pending,
        mode: MonitorMode,
        pretty: bool,
    ) -> Result<(), Failure> {
        let malformed = |e| item.failed_twice(e, format!("parse error: {}", item.arg));
        let label = compat_name(self.next_compat);
        self.next_compat += 1;
        let parsed = monitor_parse_compat(&label, &item.arg, mode, pretty);
        let (chardev, mon) = parsed.map_err(malformed)?;
        if let Some(opts) = chardev {
            self.add_chardev(item, opts).map_err(malformed)?;
        }
        if !qmonitor::util::qemu_opts::id_wellformed(&mon.chardev) {
            let e = Error::new("Parameter 'id' expects an identifier");
            return Err(item.failed(e));
        }
        self.add_mon(item, Mon::Compat(mon))
            .map_err(|e| item.failed(e))
    }

    fn add_chardev(&mut self, item: &Pending, opts: QemuOpts) -> Result<(), Error> {
        self.check_chardev_id(&opts)?;
        self.chardevs.push((item.location.clone(), opts));
        Ok(())
    }

    fn check_chardev_id(&self, opts: &QemuOpts) -> Result<(), Error> {
        let ids = self.chardevs.iter().map(|(_, opts)| opts.id());
        check_id("chardev", opts.id(), ids)
    }

    fn add_mon(&mut self, item: &Pending, mon: Mon) -> Result<(), Error> {
        check_id("mon", mon.id(), self.mons.iter().map(|(_, mon)| mon.id()))?;
        self.mons.push((item.location.clone(), mon));
        self.monitor_decided = true;
        Ok(())
    }

    /// Makes the chardevs.
    pub(super) fn make_chardevs(
        &self,
        rt: &mut Runtime<Machine>,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        for (location, opts) in &self.chardevs {
            make_chardev(rt, reporter, location.as_ref(), opts, self.daemonize)
                .map_err(|e| Failure::at(location, e))?;
        }
        Ok(())
    }

    /// Makes the chardevs of the serial or parallel ports, with a monitor if they are
    /// `mon:`, and returns their labels, port by port.
    pub(super) fn make_ports<'a>(
        &self,
        rt: &mut Runtime<Machine>,
        reporter: &Reporter,
        kind: &str,
        ports: impl Iterator<Item = &'a Pending>,
    ) -> Result<Vec<Option<String>>, Failure> {
        let mut labels = Vec::new();
        for (i, item) in ports.enumerate() {
            let failed = |e| {
                let arg = &item.arg;
                let then = format!("could not connect {kind} device to character backend '{arg}'");
                item.failed_twice(e, then)
            };
            let label = format!("{kind}{i}");
            labels.push(
                match qemu_chr_parse_compat(&label, &item.arg).map_err(failed)? {
                    ParsedCompat::None => None,
                    ParsedCompat::Existing(id) => {
                        // QEMU has no line of its own for this.
                        let chr = qemu_chr_find(rt, &id).ok_or_else(|| failed(Error::new("")))?;
                        qemu_chr_check_one_client(rt, chr).map_err(failed)?;
                        Some(id)
                    }
                    ParsedCompat::New { opts, with_mux_mon } => {
                        self.check_chardev_id(&opts).map_err(failed)?;
                        make_chardev(rt, reporter, item.location.as_ref(), &opts, self.daemonize)
                            .map_err(failed)?;
                        if let Some(chr) = qemu_chr_find(rt, &label) {
                            qemu_chr_check_one_client(rt, chr).map_err(failed)?;
                        }
                        if with_mux_mon {
                            rt.monitor_init(&MonitorOptions::new(label.clone()))
                                .map_err(failed)?;
                        }
                        Some(label)
                    }
                },
            );
        }
        Ok(labels)
    }

    /// Sets a parameter of a chardev that is still to be made; `None` if there is none of
    /// that id.
    pub(super) fn set_chardev(
        &mut self,
        id: &str,
        name: &str,
        value: &str,
    ) -> Option<Result<(), Error>> {
        let mut chardevs = self.chardevs.iter_mut();
        let (_, opts) = chardevs.find(|(_, opts)| opts.id() == Some(id))?;
        Some(opts.set(qemu_chardev_opts(self.profile), name, value))
    }

    /// Makes the chardev of an option that takes the short forms; of two messages the second
    /// says what failed because of it.
    pub(super) fn make_one(
        &self,
        rt: &mut Runtime<Machine>,
        reporter: &Reporter,
        label: &str,
        item: &Pending,
        device: &str,
        then: String,
    ) -> Result<(), Failure> {
        let parsed = qemu_chr_parse_compat(label, device);
        let made = parsed.and_then(|parsed| match parsed {
            ParsedCompat::New { opts, .. } => {
                make_chardev(rt, reporter, item.location.as_ref(), &opts, self.daemonize)
            }
            _ => Ok(()),
        });
        made.map_err(|e| item.failed_twice(e, then))
    }

    /// Makes the monitors.
    pub(super) fn make_monitors(
        &self,
        rt: &mut Runtime<Machine>,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        let mut next_compat = self.next_compat;
        for (location, mon) in &self.mons {
            report_about(rt, reporter, location.as_ref());
            let options = match mon {
                Mon::Compat(options) => Ok(options.clone()),
                Mon::Options(opts) => MonitorOptions::from_opts(opts),
            };
            let name = mon.id().map_or_else(
                || {
                    next_compat += 1;
                    compat_name(next_compat - 1)
                },
                str::to_owned,
            );
            let made = options
                .and_then(|options| crate::commands::monitor_from_options(rt, &name, &options));
            made.map_err(|e| Failure::at(location, e))?;
        }
        Ok(())
    }
}

/// The name of a monitor that was given none, and of its chardev.
fn compat_name(number: usize) -> String {
    format!("compat_monitor{number}")
}

/// Makes one chardev, and prints its path if it is a pseudo terminal.
/// `background` is whether the program gives up its terminal.
pub(super) fn make_chardev(
    rt: &mut Runtime<Machine>,
    reporter: &Reporter,
    location: Option<&Location>,
    opts: &QemuOpts,
    background: bool,
) -> Result<(), Error> {
    let (label, config) = rt.chardevs().parse_opts(opts)?;
    if background && config.backend.kind() == "stdio" {
        return Err(Error::new("cannot use stdio with -daemonize"));
    }
    report_about(rt, reporter, location);
    let added = chardev_add(rt, &label, config);
    report_about(rt, reporter, None);
    let added = added?;
    if let Some(text) = added.redirected(rt) {
        // A text that cannot be written has no reader.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    Ok(())
}

/// From now on messages of chardevs name that option.
pub(super) fn report_about(
    rt: &mut Runtime<Machine>,
    reporter: &Reporter,
    location: Option<&Location>,
) {
    let (reporter, location) = (reporter.clone(), location.cloned());
    rt.set_report(move |report, text| {
        let e = Error::new(text.to_owned());
        match report {
            ChardevReport::Info => {
                print_stderr(&reporter.message(location.as_ref(), "info: ", &e));
            }
            ChardevReport::Warning => reporter.warning(location.as_ref(), &e),
            // It comes from the loop, when all options have been carried out.
            ChardevReport::Error => reporter.error(None, &e),
        }
    });
}

/// `Duplicate ID 'ID' for LIST`.
fn check_id<'a>(
    list: &str,
    id: Option<&str>,
    mut others: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), Error> {
    match id {
        Some(id) if others.any(|other| other == Some(id)) => {
            Err(Error::new(format!("Duplicate ID '{id}' for {list}")))
        }
        _ => Ok(()),
    }
}
