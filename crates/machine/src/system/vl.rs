//! The program: from a command line to a running loop (QEMU's `system/vl.c`).
//!
//! Options are read first and carried out in a fixed order, not that of the command
//! line: settings, objects, chardevs, network and block
//! nodes, ports, objects that use chardevs, the board, monitors, devices. So a
//! monitor may name a chardev that comes later, and one wrong option leaves
//! nothing behind.

use std::process::ExitCode;

use super::char_options::{report_about, CharOptions};
use super::cli::{self, Opt, Word};
use super::consoles::{self, Open};
use super::drive_options;
use super::flash;
use super::help::{print, print_and_end};
use super::host;
use super::making::{
    make_blockdevs, make_debug_consoles, make_debuggers, make_devices, make_netdevs, make_objects,
    make_processors, make_runtime, Stage,
};
use super::nic_options;
use super::option_groups::{option_of_group, FSDEV_OPTS, RTC_OPTS, VIRTFS_OPTS, VNC_OPTS};
use super::readconfig::{option_of, qemu_config_foreach, read_text};
use super::report::{Failure, Location, Pending, Reporter};
use super::settings::Settings;
use super::signals::{self, watch_signals};
use super::starting;
use super::tpm;
use crate::commands::{format_help, object_help_wanted, QEMU_DRIVE_OPTS};
use crate::model::qdev::device_help_wanted;
use crate::model::qdev::wiring::{steps, Step};
use crate::model::types::user_creatable_types;
use crate::Machine;
use qmonitor::chardev;
use qmonitor::chardev::CHARDEV_BACKENDS;
use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::visit::keyval_parse;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::{InheritedFds, Runtime};

/// Runs the program with these words, the first being its name, and returns its
/// exit status. Options may name descriptors that it inherited.
pub fn main(args: &[String], inherited: InheritedFds) -> ExitCode {
    let (program, args) = match args.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("qmonitor", args),
    };
    let mut reporter = Reporter::new(program);
    let mut parts = Parts::default();
    let launch = Launch::of_program(inherited);
    let started = start(program, args, launch, &mut reporter, &mut parts);
    let status = run(started, &reporter);
    qmonitor::trace::stop_recording();
    status
}

/// What has been made so far. It outlives the report of what went wrong: once a socket is
/// closed or the waiting process has ended, nobody may read the message any more.
#[derive(Default)]
struct Parts {
    runtime: Option<Box<Runtime<Machine>>>,
    pidfile: host::Pidfile,
    background: Option<host::Background>,
}

/// How a machine is launched.
pub struct Launch {
    /// The descriptors that options may name.
    pub inherited: InheritedFds,
    /// Whose time it is.
    pub time: TimeSource,
    /// Whether signals end it, as they end a program.
    pub signals: bool,
    /// Is given the runtime before the first chardev is made.
    pub prepare: Box<Prepare>,
}

/// Prepares a runtime that has no chardevs yet.
pub type Prepare = dyn FnOnce(&mut Runtime<Machine>);

impl Launch {
    fn of_program(inherited: InheritedFds) -> Self {
        Launch {
            inherited,
            time: TimeSource::system(),
            signals: true,
            prepare: Box::new(|_| {}),
        }
    }
}

/// A machine that was built.
pub struct Built {
    /// Its runtime.
    pub runtime: Box<Runtime<Machine>>,
    /// Goes with the machine.
    _pidfile: host::Pidfile,
}

/// Makes a machine from the options of a command line, for a program that runs it in its own
/// way.
///
/// # Errors
///
/// The messages that the program would print. Options that print something and end the program
/// are refused, and without `signals` also `-daemonize`.
pub fn build(program: &str, args: &[String], launch: Launch) -> Result<Built, String> {
    let name = cli::name(Opt::Daemonize);
    if !launch.signals && args.iter().any(|word| word.trim_start_matches('-') == name) {
        return Err(format!("{program}: -{name}: cannot be used here"));
    }
    let mut reporter = Reporter::new(program);
    match start(program, args, launch, &mut reporter, &mut Parts::default()) {
        Ok(Start::Run(runtime, _pidfile)) => Ok(Built { runtime, _pidfile }),
        Ok(Start::Done(_)) => Err(format!("{program}: an option ends the program")),
        Err(failure) => Err(failure.message(&reporter)),
    }
}

/// Runs a started program to its end, and returns the exit status.
pub(super) fn run(started: Result<Start, Failure>, reporter: &Reporter) -> ExitCode {
    match started {
        Ok(Start::Run(mut rt, _pidfile)) => match rt.run() {
            Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
            Err(e) => {
                reporter.error(None, &Error::from_io("main loop failed", &e));
                ExitCode::FAILURE
            }
        },
        Ok(Start::Done(status)) => status,
        Err(failure) => {
            failure.report(reporter);
            ExitCode::FAILURE
        }
    }
}

pub(super) enum Start {
    /// The pid file goes when the program ends.
    Run(Box<Runtime<Machine>>, host::Pidfile),
    /// The program has printed something and ends (`-version`).
    Done(ExitCode),
}

/// All options, sorted by when they are carried out.
#[derive(Default)]
struct Options {
    settings: Settings,
    chars: CharOptions,
    pending: Vec<Pending>,
}

impl Options {
    fn take(&mut self, item: Pending, reporter: &Reporter) -> Result<(), Failure> {
        let mut warnings = Vec::new();
        self.chars.profile = self.settings.policy.profile;
        let taken = self.chars.take(&item, &mut warnings);
        item.warn(reporter, &warnings);
        if taken? {
            return Ok(());
        }
        match item.opt {
            Opt::Readconfig => return self.read_config(&item, reporter),
            Opt::Set => return self.set(&item),
            Opt::Fsdev | Opt::Virtfs => return self.take_directory(item, reporter),
            Opt::Vnc => {
                let mut warnings = Vec::new();
                let opts = QemuOpts::parse(&VNC_OPTS, &item.arg, &mut warnings);
                item.warn(reporter, &warnings);
                opts.map_err(|e| item.failed(e))?;
            }
            Opt::Display if item.arg == "vnc" => {
                let desc = "VNC requires a display argument vnc=<display>";
                return Err(item.failed(Error::new(desc)));
            }
            Opt::Display if item.arg.starts_with("vnc=") => {
                let arg = item.arg.trim_start_matches("vnc=").to_owned();
                let opt = Opt::Vnc;
                return self.take(Pending { opt, arg, ..item }, reporter);
            }
            // What is wrong with its values names no option.
            Opt::Rtc => {
                let mut warnings = Vec::new();
                if let Err(e) = QemuOpts::parse(&RTC_OPTS, &item.arg, &mut warnings) {
                    item.warn(reporter, &warnings);
                    return Err(item.failed(e));
                }
            }
            Opt::Usbdevice => {
                self.settings.hardware.properties.insert("usb", "on");
            }
            _ => {}
        }
        let mut warnings = Vec::new();
        let taken = self.settings.take(item.opt, &item.arg, &mut warnings);
        item.warn(reporter, &warnings);
        // In these QEMU complains about the machine and names no option.
        let taken = match (taken, item.opt) {
            // What is no list of parameters at all is noticed while the option is read.
            (Err(e), Opt::Machine | Opt::Smp | Opt::Boot)
                if keyval_parse(&item.arg, Some("implied")).is_err() =>
            {
                return Err(item.failed(e));
            }
            (Err(e), Opt::Machine | Opt::Cpu | Opt::Smp | Opt::Boot | Opt::Rtc) => {
                return Err(e.into());
            }
            (Err(e), Opt::Spice) => {
                let then = "Perhaps you want to install qemu-system-modules-spice package?";
                return Err(item.failed_twice(e, then.to_owned()));
            }
            (taken, _) => taken.map_err(|e| item.failed(e))?,
        };
        if !taken {
            self.pending.push(item);
        }
        Ok(())
    }

    /// `-set GROUP.ID.ARG=VALUE`: a parameter of an option that was given before.
    fn set(&mut self, item: &Pending) -> Result<(), Failure> {
        let failed = |desc: String| item.failed(Error::new(desc));
        let parts = item.arg.split_once('=').and_then(|(path, value)| {
            let (group, rest) = path.split_once('.')?;
            let (id, name) = rest.split_once('.')?;
            Some((group, id, name, value))
        });
        let Some((group, id, name, value)) = parts else {
            return Err(failed(format!("can't parse: \"{}\"", item.arg)));
        };
        let missing = || failed(format!("there is no {group} \"{id}\" defined"));
        if group == "chardev" {
            return match self.chars.set_chardev(id, name, value) {
                None => Err(missing()),
                Some(set) => set.map_err(|e| item.failed(e)),
            };
        }
        let Some((opt, _)) = option_of_group(group) else {
            return Err(failed(format!("There is no option group '{group}'")));
        };
        let has_id = |p: &&mut Pending| {
            let mut words = p.arg.split(',');
            p.opt == opt && words.any(|word| word.strip_prefix("id=") == Some(id))
        };
        let found = self.pending.iter_mut().rev().find(has_id);
        let found = found.ok_or_else(missing)?;
        found.arg += &format!(",{name}={}", value.replace(',', ",,"));
        Ok(())
    }

    /// `-fsdev`, and `-virtfs`, which is one with a device.
    fn take_directory(&mut self, item: Pending, reporter: &Reporter) -> Result<(), Failure> {
        let is_virtfs = item.opt == Opt::Virtfs;
        let list = if is_virtfs { &VIRTFS_OPTS } else { &FSDEV_OPTS };
        let mut warnings = Vec::new();
        let opts = QemuOpts::parse(list, &item.arg, &mut warnings);
        item.warn(reporter, &warnings);
        let opts = opts.map_err(|e| item.failed(e))?;
        starting::check_fsdev(&opts, is_virtfs).map_err(|e| item.failed(e))?;
        let tag = opts.get("mount_tag");
        let id = opts.id().or(tag).unwrap_or_default().to_owned();
        let path = opts.get("path").unwrap_or_default().to_owned();
        self.settings.directories.push((id.clone(), path));
        if is_virtfs {
            let tag = tag.unwrap_or_default();
            self.pending.push(Pending {
                opt: Opt::Device,
                arg: format!("virtio-9p-pci,fsdev={id},mount_tag={tag}"),
                ..item
            });
        }
        Ok(())
    }

    /// Takes the options of a file. An error in a parameter names the file, an error in
    /// a whole group names its line.
    fn read_config(&mut self, file: &Pending, reporter: &Reporter) -> Result<(), Failure> {
        let path = &file.arg;
        let text = read_text(path).map_err(|e| file.failed(e))?;
        let mut failure = None;
        let read = qemu_config_foreach(&text, |group| {
            let (opt, arg) = option_of(&group)?;
            let location = group.line.map(|line| Location::File {
                path: path.clone(),
                line,
            });
            let read_at = file.location.clone();
            let item = Pending {
                opt,
                arg,
                location,
                read_at,
            };
            self.take(item, reporter).map_err(|f| {
                failure = Some(f);
                Error::new("")
            })
        });
        match (read, failure) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(failure)) => Err(failure),
            (Err(e), None) => Err(file.failed(e)),
        }
    }
}

/// Reads the options; an exit status if one of them prints something and ends the program.
fn read_options(
    program: &str,
    args: &[String],
    reporter: &mut Reporter,
) -> Result<Result<Options, ExitCode>, Failure> {
    let mut options = Options::default();
    let mut ignored = Vec::new();
    let words = cli::parse(args, &mut ignored)?;
    for e in &ignored {
        reporter.warning(None, e);
    }
    // First, so that the other options can be traced, and speak as they should.
    let stamps = starting::timestamps(&words);
    let mut words: Vec<_> = words.into_iter().zip(stamps).collect();
    words.sort_by_key(|(word, _)| !matches!(word.opt, Opt::Trace | Opt::TraceOut | Opt::Profile));
    let backends = [CHARDEV_BACKENDS, &["vc", "qemu-vdagent"]].concat();
    for (word, has_timestamp) in words {
        reporter.set_timestamp(has_timestamp);
        let location = Some(Location::of(&word));
        let Word { opt, arg, .. } = word;
        let profile = options.settings.policy.profile;
        let text = arg.as_deref();
        if let Some(status) = print_and_end(program, profile, opt, text, &backends, || {
            user_creatable_types(profile)
        }) {
            return Ok(Err(status));
        }
        let item = Pending {
            opt,
            arg: arg.unwrap_or_default(),
            read_at: location.clone(),
            location,
        };
        let help = match opt {
            Opt::Device => device_help_wanted(profile, &item.arg).transpose(),
            Opt::Object => object_help_wanted(&item.arg, profile).transpose(),
            Opt::Drive => {
                let opts = QemuOpts::parse(&QEMU_DRIVE_OPTS, &item.arg, &mut Vec::new());
                Ok(opts.ok().and_then(|opts| format_help(&opts)))
            }
            _ => Ok(None),
        };
        if let Some(text) = help.map_err(|e| item.failed(e))? {
            return Ok(Err(print(&text)));
        }
        options.take(item, reporter)?;
        reporter.set_guest_name(options.settings.shown_name());
    }
    let settings = &mut options.settings;
    let profile = settings.policy.profile;
    settings.hardware.choose_default_type(profile, program);
    let settings = &options.settings;
    reporter.set_timestamp(settings.timestamp);
    qmonitor::trace::set_timestamps(settings.timestamp);
    if let Some(items) = &settings.log_items {
        if let Some(status) = starting::take_log_items(items, settings, reporter)? {
            return Ok(Err(status));
        }
    }
    Ok(Ok(options))
}

fn start(
    program: &str,
    args: &[String],
    launch: Launch,
    reporter: &mut Reporter,
    parts: &mut Parts,
) -> Result<Start, Failure> {
    let mut options = match read_options(program, args, reporter)? {
        Ok(options) => options,
        Err(status) => return Ok(Start::Done(status)),
    };
    options.choose(reporter)?;
    let defaults = options.add_defaults()?;
    if options.settings.daemonize {
        parts.background = Some(host::Background::start()?);
    }
    for server in &options.settings.trace_servers {
        server.start()?;
    }
    parts.pidfile = host::Pidfile::create(options.settings.pidfile.as_deref())?;
    let Launch {
        inherited,
        time,
        signals,
        prepare,
    } = launch;
    let rt = make_runtime(&options.settings, inherited, time, reporter)?;
    let rt = &mut **parts.runtime.insert(Box::new(rt));
    prepare(rt);
    if let Some(echr) = options.settings.echr {
        chardev::set_term_escape_char(rt, echr);
    }
    chardev::suspend_mux_open(rt);
    options.make_machine(rt, &defaults, reporter)?;
    chardev::resume_mux_open(rt);
    if options.settings.lock_memory {
        host::lock_memory()?;
    }
    if signals {
        // A test that ends the program knows.
        let told = options.settings.qtest.is_none().then(|| reporter.clone());
        watch_signals(rt, move |rt, info| {
            if let Some(told) = &told {
                told.error(None, &Error::new(signals::terminating(info)));
            }
            crate::commands::killed(rt);
        })?;
    }
    host::confine(options.settings.chroot.as_deref(), options.settings.user)?;
    if let Some(background) = parts.background.take() {
        background.finish()?;
    }
    starting::start_incoming(rt, &options.settings)?;
    crate::commands::start_machine(rt);
    let pidfile = std::mem::take(&mut parts.pidfile);
    let made = parts.runtime.take().map(|rt| Start::Run(rt, pidfile));
    made.ok_or_else(|| Error::new("the machine is gone").into())
}

/// What a board has if no option says otherwise.
struct Defaults {
    parts: consoles::Parts,
    display: Option<&'static str>,
}

impl Options {
    /// Carries out the settings that need no machine.
    fn choose(&mut self, reporter: &mut Reporter) -> Result<(), Failure> {
        let settings = &mut self.settings;
        self.chars.daemonize = settings.daemonize;
        let mut accel_reports = Vec::new();
        let chosen = settings.hardware.choose_accel(&mut accel_reports);
        for e in &accel_reports {
            reporter.error(None, e);
        }
        settings.machine.accel = chosen?;
        host::raise_fd_limit();
        settings.hardware.refuse_device_tree()?;
        starting::check_boot_files(settings)?;
        starting::check_sound(settings)?;
        Ok(settings.hardware.check_memory()?)
    }

    /// Adds the options that a user could have given for the parts by default.
    fn add_defaults(&mut self) -> Result<Defaults, Failure> {
        let settings = &self.settings;
        let parts = consoles::Parts::by(settings, &self.pending);
        let display = starting::display_model(settings, parts.display)?;
        let open = Open::by(settings, &self.pending, self.chars.monitor_decided);
        for (opt, arg) in open.options(settings.nographic, settings.daemonize)? {
            let item = Pending::by_default(opt, arg);
            if !self.chars.take(&item, &mut Vec::new())? {
                self.pending.push(item);
            }
        }
        Ok(Defaults { parts, display })
    }

    /// Makes all parts of the machine, and its monitors.
    fn make_machine(
        &self,
        rt: &mut Runtime<Machine>,
        defaults: &Defaults,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        let (settings, pending, chars) = (&self.settings, &self.pending, &self.chars);
        let parts = &defaults.parts;
        make_objects(rt, pending, reporter, Stage::BeforeChardevs)?;
        chars.make_chardevs(rt, reporter)?;
        make_netdevs(rt, pending, reporter)?;
        let nics = nic_options::make_nets(rt, pending, parts.net)?;
        make_blockdevs(rt, pending)?;
        rt.state.snapshots = settings.snapshot;
        let drives = drive_options::make_drives(rt, pending, reporter)?;
        drive_options::make_default_drives(rt, parts.cdrom, parts.floppy)?;
        flash::check(rt, settings)?;
        tpm::make_tpms(rt, pending)?;
        let mut ports = Vec::new();
        for (opt, kind) in [(Opt::Serial, "serial"), (Opt::Parallel, "parallel")] {
            let items = pending.iter().filter(|p| p.opt == opt);
            ports.push((kind, chars.make_ports(rt, reporter, kind, items)?));
        }
        starting::make_qtest(rt, settings, chars, reporter)?;
        make_objects(rt, pending, reporter, Stage::AfterChardevs)?;
        let debug_consoles = make_debug_consoles(rt, chars, pending, reporter)?;
        make_processors(rt, &settings.hardware, reporter)?;
        starting::make_numa_nodes(rt, pending, reporter)?;
        let mut missing = Vec::new();
        for step in steps(settings.hardware.class.family) {
            match step {
                Step::Fixed(devices) => rt.state.add_fixed(devices)?,
                Step::Drives => rt.state.attach_board_drives()?,
                Step::Display => {
                    starting::make_display(rt, settings, defaults.display, reporter)?;
                }
                Step::Ports => {
                    for (kind, labels) in &ports {
                        crate::commands::add_ports(rt, kind, labels)?;
                    }
                }
                Step::Floppies(always) => rt.state.add_board_floppies(*always)?,
                Step::Nics => missing = nic_options::make_nics(rt, settings, &nics)?,
                Step::Usb => rt.state.add_board_usb()?,
            }
        }
        starting::check_fw_cfg(rt, settings, reporter)?;
        chars.make_monitors(rt, reporter)?;
        report_about(rt, reporter, None);
        starting::make_usb_devices(rt, pending)?;
        make_devices(rt, pending, reporter)?;
        for item in &debug_consoles {
            crate::commands::device_from_cli(rt, "isa-debugcon,chardev=debugcon", &mut Vec::new())
                .map_err(|e| item.failed(e))?;
        }
        if let Some((card, audiodev)) = &settings.sound_card {
            let text = format!("{card},audiodev={audiodev}");
            crate::commands::device_from_cli(rt, &text, &mut Vec::new())?;
        }
        drive_options::attach_drives(rt, &drives)?;
        starting::make_vnc_servers(rt, settings, pending)?;
        make_debuggers(rt, chars, pending, reporter)?;
        starting::refuse_missing(settings)?;
        for text in rt.state.net.loose_ends() {
            reporter.warning(None, &Error::new(text));
        }
        nic_options::warn_of_missing(&missing, reporter);
        for e in rt.state.unused_globals() {
            reporter.warning(None, &e);
        }
        if let Some(e) = rt.state.check_floppy_controllers() {
            reporter.warning(None, &e);
        }
        Ok(())
    }
}
