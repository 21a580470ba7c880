//! The program: from a command line to a running loop (QEMU's `system/vl.c`).
//!
//! Options are read first and carried out in a fixed order, whatever their
//! order on the command line: settings, the log, objects, chardevs, serial
//! ports, objects that use chardevs, monitors, the machine. So a monitor may name a chardev that comes
//! later, and one wrong option leaves nothing behind.

use std::io::Write;
use std::process::ExitCode;

use super::cli::{self, Opt};
use super::hardware::Hardware;
use super::print::print_and_end;
use super::report::Reporter;
use super::settings::{Settings, OPTION_GROUPS};
use super::{host, Machine, MachineOptions};
use crate::chardev::{
    self, chardev_add, invalid_char_driver, qemu_chr_check_one_client, qemu_chr_find,
    qemu_chr_parse_cli, qemu_chr_parse_compat, ChardevReport, ParsedCompat,
};
use crate::main_loop::{Host, Signal};
use crate::monitor::{MonitorMode, MonitorOptions};
use crate::qapi::Error;
use crate::trace_event;
use crate::Runtime;

/// An option that waits for its stage.
struct Pending {
    opt: Opt,
    arg: String,
    /// As it is named in messages.
    location: String,
}

/// Runs the program with these words, the first being its name, and returns
/// its exit status.
pub fn main(args: &[String]) -> ExitCode {
    let (program, args) = match args.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("qmonitor", args),
    };
    let mut reporter = Reporter::new(program);
    match start(program, args, &mut reporter) {
        Ok(Start::Run(mut rt, _pidfile)) => match rt.run() {
            Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
            Err(e) => {
                reporter.error(None, &Error::from_io("main loop failed", &e));
                ExitCode::FAILURE
            }
        },
        Ok(Start::Done) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&reporter);
            ExitCode::FAILURE
        }
    }
}

enum Start {
    /// The pid file goes when the program ends.
    Run(Box<Runtime<Machine>>, host::Pidfile),
    /// All that was asked for has been done (`-version`).
    Done,
}

/// Why the program cannot start: one or two messages about one option.
struct Failure {
    location: Option<String>,
    errors: Vec<Error>,
}

impl Failure {
    fn report(&self, reporter: &Reporter) {
        for e in &self.errors {
            if !e.desc().is_empty() {
                reporter.error(self.location.as_deref(), e);
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure {
            location: None,
            errors: vec![e],
        }
    }
}

impl Pending {
    fn failed(&self, e: Error) -> Failure {
        Failure {
            location: Some(self.location.clone()),
            errors: vec![e],
        }
    }

    /// Two messages: what is wrong, and what it was for.
    fn failed_twice(&self, e: Error, then: String) -> Failure {
        Failure {
            location: Some(self.location.clone()),
            errors: vec![e, Error::new(then)],
        }
    }
}

fn start(program: &str, args: &[String], reporter: &mut Reporter) -> Result<Start, Failure> {
    let options = cli::parse(args)?;
    let mut settings = Settings::default();
    let mut pending = Vec::new();
    for (opt, arg) in options {
        if print_and_end(program, opt, arg.as_deref()) {
            return Ok(Start::Done);
        }
        let name = cli::name(opt);
        let item = Pending {
            opt,
            location: match &arg {
                Some(arg) => format!("-{name} {arg}"),
                None => format!("-{name}"),
            },
            arg: arg.unwrap_or_default(),
        };
        let mut warnings = Vec::new();
        let taken = settings.take(opt, &item.arg, &mut warnings);
        warn(reporter, &item, &warnings);
        // These are about the machine, not about the option, in QEMU's words.
        let taken = match (taken, opt) {
            (Err(e), Opt::Machine | Opt::Cpu | Opt::Smp | Opt::Boot | Opt::Rtc) => {
                return Err(e.into());
            }
            (taken, _) => taken.map_err(|e| item.failed(e))?,
        };
        if !taken {
            pending.push(item);
        }
    }
    reporter.set_timestamp(settings.timestamp);
    crate::trace::set_timestamps(settings.timestamp);
    if settings.guest_name {
        reporter.set_guest_name(Some(settings.machine.name.clone()));
    }
    let mut accel_reports = Vec::new();
    let chosen = settings.hardware.choose_accel(&mut accel_reports);
    for e in &accel_reports {
        reporter.error(None, e);
    }
    chosen?;
    host::raise_fd_limit();
    let background = match settings.daemonize {
        true => Some(host::Background::start()?),
        false => None,
    };
    let pidfile = host::Pidfile::create(settings.pidfile.as_deref())?;
    let mut rt = make_runtime(&settings, reporter)?;
    if let Some(echr) = settings.echr {
        chardev::set_term_escape_char(&mut rt, echr);
    }
    chardev::suspend_mux_open(&mut rt);
    make_objects(&mut rt, &pending, reporter, Stage::BeforeChardevs)?;
    make_chardevs(&mut rt, &pending, reporter, settings.daemonize)?;
    make_netdevs(&mut rt, &pending, reporter)?;
    make_blockdevs(&mut rt, &pending)?;
    make_ports(&mut rt, &pending)?;
    make_objects(&mut rt, &pending, reporter, Stage::AfterChardevs)?;
    make_board(&mut rt, &settings.hardware, reporter)?;
    make_monitors(&mut rt, &pending, reporter, &settings)?;
    report_for(&mut rt, reporter, None);
    make_devices(&mut rt, &pending, reporter)?;
    chardev::resume_mux_open(&mut rt);
    if settings.lock_memory {
        host::lock_memory()?;
    }
    watch_signals(&mut rt)?;
    if let Some(background) = background {
        background.finish()?;
    }
    super::commands::start_machine(&mut rt);
    Ok(Start::Run(Box::new(rt), pidfile))
}

fn warn(reporter: &Reporter, item: &Pending, warnings: &[Error]) {
    for w in warnings {
        reporter.warning(Some(&item.location), w);
    }
}

fn make_runtime(settings: &Settings, reporter: &Reporter) -> Result<Runtime<Machine>, Failure> {
    let hardware = &settings.hardware;
    let mut machine = Machine::new(MachineOptions {
        class: hardware.class,
        topology: hardware.topology()?,
        ..settings.machine.clone()
    });
    machine.set_properties(&hardware.properties, hardware.boot()?)?;
    if let Some(path) = &settings.log_file {
        machine.log.set_name(path).map_err(Error::new)?;
    }
    let mut rt =
        Runtime::new(machine).map_err(|e| Error::from_io("the main loop cannot be made", &e))?;
    report_for(&mut rt, reporter, None);
    rt.set_compat_policy(settings.policy);
    rt.set_preconfig(settings.machine.preconfig);
    rt.set_options(OPTION_GROUPS);
    super::commands::register(&mut rt);
    for add in &settings.add_fds {
        let failed = |e| Failure {
            location: Some(format!("-add-fd fd={},set={}", add.fd, add.set)),
            errors: vec![e],
        };
        // The set has a duplicate, as in QEMU; the number that was passed on is
        // free again.
        let fd = crate::main_loop::own_inherited_fd(add.fd)
            .and_then(|inherited| inherited.try_clone())
            .map_err(|_| failed(Error::new("fd is not valid or already in use")))?;
        rt.add_fd(add.set, fd, add.opaque.clone()).map_err(failed)?;
    }
    Ok(rt)
}

/// From now on, what is said besides is about this option, or about none.
fn report_for(rt: &mut Runtime<Machine>, reporter: &Reporter, item: Option<&Pending>) {
    let location = item.map(|item| item.location.clone());
    let reporter = reporter.clone();
    rt.set_report(move |report, text| {
        let e = Error::new(text.to_owned());
        match report {
            ChardevReport::Info => {
                chardev::print_stderr(&reporter.message(location.as_deref(), "info: ", &e));
            }
            ChardevReport::Warning => reporter.warning(location.as_deref(), &e),
            ChardevReport::Error => reporter.error(None, &e),
        }
    });
}

/// Objects come before chardevs, which may use them; but monitors use chardevs.
#[derive(PartialEq, Eq)]
enum Stage {
    BeforeChardevs,
    AfterChardevs,
}

fn make_objects(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
    stage: Stage,
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Object) {
        let late = super::commands::is_made_after_chardevs(rt, &item.arg);
        if late == (stage == Stage::AfterChardevs) {
            report_for(rt, reporter, Some(item));
            super::commands::object_from_cli(rt, &item.arg).map_err(|e| item.failed(e))?;
        }
    }
    Ok(())
}

/// Memory and processors.
fn make_board(
    rt: &mut Runtime<Machine>,
    hardware: &Hardware,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let class = hardware.class;
    if class.deprecated {
        let text = format!(
            "Machine type '{}' is deprecated: machines more than 3 years old are subject to \
             deletion after 6 years",
            class.name
        );
        reporter.warning(None, &Error::new(text));
    }
    let backend = hardware.memory_backend.as_deref();
    rt.state.init_memory(hardware.ram_size, backend)?;
    let mut warnings = Vec::new();
    let made = rt.state.init_board(hardware.cpu.clone(), &mut warnings);
    for w in &warnings {
        reporter.warning(None, w);
    }
    Ok(made?)
}

fn make_netdevs(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Netdev) {
        let mut warnings = Vec::new();
        let result = super::commands::netdev_from_cli(rt, &item.arg, &mut warnings);
        warn(reporter, item, &warnings);
        result.map_err(|e| item.failed(e))?;
    }
    Ok(())
}

fn make_blockdevs(rt: &mut Runtime<Machine>, pending: &[Pending]) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Blockdev) {
        super::commands::blockdev_from_cli(rt, &item.arg).map_err(|e| item.failed(e))?;
    }
    Ok(())
}

fn make_devices(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Device) {
        let mut warnings = Vec::new();
        let result = super::commands::device_from_cli(rt, &item.arg, &mut warnings);
        warn(reporter, item, &warnings);
        result.map_err(|e| item.failed(e))?;
    }
    Ok(())
}

fn make_chardevs(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
    daemonize: bool,
) -> Result<(), Failure> {
    let mut parsed = Vec::new();
    for item in pending.iter().filter(|p| p.opt == Opt::Chardev) {
        let mut warnings = Vec::new();
        let result = qemu_chr_parse_cli(&item.arg, &mut warnings);
        warn(reporter, item, &warnings);
        let (label, config) = result.map_err(|e| item.failed(e))?;
        if parsed.iter().any(|(_, l, _)| *l == label) {
            let e = Error::new(format!("Duplicate ID '{label}' for chardev"));
            return Err(item.failed(e));
        }
        parsed.push((item, label, config));
    }
    for (item, label, config) in parsed {
        if daemonize && config.backend.kind() == "stdio" {
            return Err(item.failed(Error::new("cannot use stdio with -daemonize")));
        }
        add_chardev(rt, reporter, item, &label, config)?;
    }
    Ok(())
}

fn add_chardev(
    rt: &mut Runtime<Machine>,
    reporter: &Reporter,
    item: &Pending,
    label: &str,
    config: crate::chardev::ChardevConfig,
) -> Result<(), Failure> {
    report_for(rt, reporter, Some(item));
    let added = chardev_add(rt, label, config).map_err(|e| item.failed(e))?;
    if let Some(pty) = added.pty {
        announce_pty(&pty, label);
    }
    Ok(())
}

fn announce_pty(pty: &str, label: &str) {
    let text = format!("char device redirected to {pty} (label {label})\n");
    // Who does not read it does not want to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Serial and parallel ports: chardevs without anybody behind them, since the
/// machine has no such devices, but with a monitor if they are `mon:`.
fn make_ports(rt: &mut Runtime<Machine>, pending: &[Pending]) -> Result<(), Failure> {
    for (opt, kind) in [(Opt::Serial, "serial"), (Opt::Parallel, "parallel")] {
        let ports = pending.iter().filter(|p| p.opt == opt);
        for (i, item) in ports.enumerate() {
            let failed = |e| {
                let then = format!(
                    "could not connect {kind} device to character backend '{}'",
                    item.arg
                );
                item.failed_twice(e, then)
            };
            match qemu_chr_parse_compat(&format!("{kind}{i}"), &item.arg).map_err(failed)? {
                ParsedCompat::None => {}
                ParsedCompat::Existing(id) => {
                    // QEMU has no line of its own for this.
                    let chr = qemu_chr_find(rt, &id).ok_or_else(|| failed(Error::new("")))?;
                    qemu_chr_check_one_client(rt, chr).map_err(failed)?;
                }
                ParsedCompat::New {
                    label,
                    config,
                    with_mux_mon,
                } => {
                    let added = chardev_add(rt, &label, config).map_err(failed)?;
                    qemu_chr_check_one_client(rt, added.id).map_err(failed)?;
                    if let Some(pty) = added.pty {
                        announce_pty(&pty, &label);
                    }
                    if with_mux_mon {
                        let options = MonitorOptions::new(label);
                        rt.monitor_init(&options).map_err(failed)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn make_monitors(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut ids = Vec::new();
    let mut any = false;
    for item in pending {
        report_for(rt, reporter, Some(item));
        let (mode, pretty) = match item.opt {
            Opt::Qmp => (MonitorMode::Control, false),
            Opt::QmpPretty => (MonitorMode::Control, true),
            Opt::Monitor => (MonitorMode::Readline, false),
            Opt::Mon => {
                let mut warnings = Vec::new();
                let options = MonitorOptions::parse(&item.arg, &mut warnings);
                warn(reporter, item, &warnings);
                let options = options.map_err(|e| item.failed(e))?;
                if let Some(id) = &options.id {
                    if ids.contains(id) {
                        let e = Error::new(format!("Duplicate ID '{id}' for mon"));
                        return Err(item.failed(e));
                    }
                    ids.push(id.clone());
                }
                rt.monitor_init(&options).map_err(|e| item.failed(e))?;
                any = true;
                continue;
            }
            _ => continue,
        };
        any = true;
        if item.opt == Opt::Monitor && item.arg == "none" {
            continue;
        }
        if settings.daemonize && item.arg.ends_with("stdio") {
            return Err(item.failed(Error::new("cannot use stdio with -daemonize")));
        }
        rt.monitor_parse(&item.arg, mode, pretty).map_err(|e| {
            // What the form is about is said again where the form itself is
            // wrong, not where its device cannot be made.
            let malformed = e.desc().is_empty()
                || e == invalid_char_driver(&item.arg)
                || qemu_chr_parse_compat("", &item.arg).is_err();
            match malformed {
                true => item.failed_twice(e, format!("parse error: {}", item.arg)),
                false => item.failed(e),
            }
        })?;
    }
    if !any && settings.nographic && !settings.nodefaults {
        rt.monitor_parse("stdio", MonitorMode::Readline, false)?;
    }
    Ok(())
}

fn watch_signals(rt: &mut Runtime<Machine>) -> Result<(), Error> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    rt.main_loop_mut()
        .add_signals(&signals, |rt, info| {
            trace_event!(system_signal, "{:?} from pid {}", info.signal, info.pid);
            super::commands::killed(rt);
        })
        .and_then(|_| rt.watch_job_control())
        .map(|_| ())
        .map_err(|e| Error::from_io("signals cannot be watched", &e))
}
