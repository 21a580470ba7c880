//! The program `qmonitor-storage-daemon`: QEMU's storage daemon
//! (`storage-daemon/qemu-storage-daemon.c`), as far as this crate has its parts.
//!
//! It has no machine that runs, no HMP and no events of a machine; it has those of its
//! commands that the machine has too. Unlike those of [`vl`], options are
//! carried out strictly in the order of the command line, each with two dashes: a
//! monitor's chardev comes before the monitor. Only their
//! syntax and `--daemonize` are looked at before.

use std::io::Write;
use std::process::ExitCode;

use super::char_options::{make_chardev, report_about};
use super::cli::Opt;
use super::help::{print, print_and_end, version_line};
use super::report::{Failure, Location, Pending, Reporter};
use super::vl::{self, Start};
use super::{host, starting};
use crate::commands::object_help;
use crate::{Machine, MachineOptions};
use qmonitor::chardev::{qemu_chardev_opts, qemu_chr_find, ChardevHost};
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::qapi::visit::{InputVisitor, QapiType};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Profile;
use qmonitor::{InheritedFds, Runtime};

/// The machine's commands that QEMU's storage daemon has too.
const COMMANDS: &[&str] = &[
    "block_resize",
    "blockdev-add",
    "blockdev-del",
    "chardev-add",
    "chardev-change",
    "chardev-remove",
    "chardev-send-break",
    "object-add",
    "object-del",
    "qmp_capabilities",
    "qom-get",
    "qom-list",
    "qom-list-properties",
    "qom-list-types",
    "qom-set",
    "query-block",
    "query-blockstats",
    "query-chardev",
    "query-chardev-backends",
    "query-commands",
    "query-jobs",
    "query-named-block-nodes",
    "query-qmp-schema",
    "query-version",
    "quit",
    "ringbuf-read",
    "ringbuf-write",
    "x-blockdev-set-iothread",
];

/// All but `testdev`, whose peer could end the program.
const BACKENDS: &[&str] = &[
    "pty", "file", "udp", "memory", "stdio", "socket", "ringbuf", "null", "parallel", "pipe",
    "mux", "serial", "hub",
];

/// Those of QEMU's, and QMP monitors as objects, which older ones do not list.
const OBJECT_TYPES: &[&str] = &[
    "authz-list",
    "authz-simple",
    "iothread",
    "main-loop",
    "monitor-qmp",
    "secret",
    "thread-context",
    "throttle-group",
    "tls-creds-anon",
    "tls-creds-psk",
    "tls-creds-x509",
];

/// The types that help lists.
fn object_types(profile: Profile) -> Vec<&'static str> {
    let listed = |name: &&str| profile.has_monitor_objects() || *name != "monitor-qmp";
    OBJECT_TYPES.iter().copied().filter(listed).collect()
}

/// How an option is used.
#[derive(Clone, Copy)]
enum Use {
    /// It has no argument.
    Flag(Opt),
    Arg(Opt),
    /// An option of QEMU's, with an argument, and the reason why it is refused here.
    Refused(&'static str),
}

/// An abbreviation means the first that fits. No two of QEMU's begin with the same
/// letter.
static OPTIONS: &[(&str, Use)] = &[
    ("blockdev", Use::Arg(Opt::Blockdev)),
    ("chardev", Use::Arg(Opt::Chardev)),
    ("daemonize", Use::Flag(Opt::Daemonize)),
    ("export", Use::Refused("this program exports no disks")),
    ("help", Use::Flag(Opt::Help)),
    ("monitor", Use::Arg(Opt::Monitor)),
    ("nbd-server", Use::Refused("this program has no NBD server")),
    ("object", Use::Arg(Opt::Object)),
    ("pidfile", Use::Arg(Opt::Pidfile)),
    ("profile", Use::Arg(Opt::Profile)),
    ("trace", Use::Arg(Opt::Trace)),
    ("version", Use::Flag(Opt::Version)),
];

const HELP: &str = "
options:
  -h, --help             show this help and exit
  -T, --trace [[enable=]PATTERN][,events=FILE][,file=FILE]
                         print trace events that match; --trace help lists them
  -V, --version          show the version and exit

  --blockdev [driver=]file|raw,node-name=NAME[,filename=FILE][,file=NODE]...
                         make a block node
  --chardev BACKEND,id=ID[,option=value...]
                         a character device; --chardev help lists backends
  --daemonize            go to the background once everything listens
  --monitor [chardev=]ID[,mode=control][,pretty=on|off][,option=value...]
                         a QMP monitor on a chardev that was made before
  --object TYPE,id=ID[,prop=value...]
                         make an object; --object help lists types
  --pidfile FILE         write the process id to FILE
  --profile 10.0|11.1    which QEMU to behave like

Options are carried out in the order in which they are given.
";

/// Runs the program with these words, the first being its name, and returns its
/// exit status. Options may name descriptors that it inherited.
pub fn main(args: &[String], inherited: InheritedFds) -> ExitCode {
    let (program, args) = match args.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("qmonitor-storage-daemon", args),
    };
    let reporter = Reporter::new(program);
    let started = start(program, args, inherited, &reporter);
    vl::run(started, &reporter)
}

fn start(
    program: &str,
    args: &[String],
    inherited: InheritedFds,
    reporter: &Reporter,
) -> Result<Start, Failure> {
    let steps = parse(args)?;
    let profile = profile_of(&steps)?;
    let options = || steps.iter().flatten().map(|item| item.opt);
    let text = options().find_map(|opt| match opt {
        Opt::Help => Some(format!("Usage: {program} [options]\n{HELP}")),
        Opt::Version => Some(version_line("qemu-storage-daemon", profile)),
        _ => None,
    });
    if let Some(text) = text {
        // A text that cannot be written has no reader.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return Ok(Start::Done(ExitCode::SUCCESS));
    }
    host::raise_fd_limit();
    let background = if options().any(|opt| opt == Opt::Daemonize) {
        Some(host::Background::start()?)
    } else {
        None
    };
    let mut rt = make_runtime(inherited, profile)?;
    let mut pidfile = None;
    for step in steps {
        let item = step?;
        let arg = Some(item.arg.as_str());
        let types = || object_types(profile);
        let status = print_and_end(program, profile, item.opt, arg, BACKENDS, types);
        if item.opt == Opt::Object {
            if let Some(text) = object_help(&item.arg, profile, &object_types(profile)) {
                return Ok(Start::Done(print(&text)));
            }
        }
        if let Some(status) = status {
            return Ok(Start::Done(status));
        }
        report_about(&mut rt, reporter, item.location.as_ref());
        let mut warnings = Vec::new();
        let done = match item.opt {
            Opt::Pidfile => {
                pidfile = Some(item.arg);
                continue;
            }
            Opt::Trace => starting::take_trace(&item.arg, &mut warnings),
            Opt::Blockdev => crate::commands::blockdev_from_cli(&mut rt, &item.arg),
            Opt::Object => crate::commands::object_from_text(&mut rt, &item.arg),
            Opt::Monitor => monitor_from_cli(&mut rt, &item.arg),
            Opt::Chardev => QemuOpts::parse(qemu_chardev_opts(profile), &item.arg, &mut warnings)
                .and_then(|opts| {
                    let location = item.location.as_ref();
                    make_chardev(&mut rt, reporter, location, &opts, background.is_some())
                }),
            _ => Ok(()),
        };
        item.warn(reporter, &warnings);
        done.map_err(|e| item.failed(e))?;
    }
    report_about(&mut rt, reporter, None);
    let pidfile = host::Pidfile::create(pidfile.as_deref())?;
    super::signals::watch_signals(&mut rt, |rt, _| rt.request_exit(0))?;
    if let Some(background) = background {
        background.finish()?;
    }
    Ok(Start::Run(Box::new(rt), pidfile))
}

/// The profile that the options ask for, wherever they do so.
fn profile_of(steps: &[Result<Pending, Failure>]) -> Result<Profile, Failure> {
    let mut options = steps.iter().flatten();
    match options.rfind(|item| item.opt == Opt::Profile) {
        Some(item) => item.arg.parse().map_err(|e| item.failed(e)),
        None => Ok(Profile::default()),
    }
}

fn make_runtime(inherited: InheritedFds, profile: Profile) -> Result<Runtime<Machine>, Error> {
    let mut machine = Machine::new(MachineOptions {
        profile,
        ..MachineOptions::default()
    });
    machine.user_types = Some(OBJECT_TYPES);
    let mut rt =
        Runtime::new(machine).map_err(|e| Error::from_io("the main loop cannot be made", &e))?;
    rt.set_profile(profile);
    crate::commands::register(&mut rt);
    rt.commands_mut()
        .retain(|command| COMMANDS.contains(&command.name));
    rt.chardevs_mut().set_backends(BACKENDS);
    rt.chardevs_mut().set_inherited_fds(inherited);
    // Without SHUTDOWN, which is an event of machines.
    rt.set_quit_handler(|rt| rt.request_exit(0));
    Ok(rt)
}

/// Starts a monitor from the argument of `--monitor`, which only the visitor reads:
/// unlike that of `-mon` it may be JSON, and has no short forms.
fn monitor_from_cli(rt: &mut Runtime<Machine>, text: &str) -> Result<(), Error> {
    let mut v = InputVisitor::new_str(text, Some("chardev"), rt.policy())?;
    let options = MonitorOptions::visit_in(&mut v, "")?;
    // A missing chardev is the first error.
    let exists = qemu_chr_find(rt, &options.chardev).is_some();
    if exists && options.mode == Some(MonitorMode::Readline) {
        return Err(Error::new("Only QMP is supported"));
    }
    let mode = Some(MonitorMode::Control);
    rt.monitor_init(&MonitorOptions { mode, ..options })
        .map(|_| ())
}

/// Splits the command line as `getopt_long` does. An option that is written correctly
/// but cannot be carried out fails only when its turn comes. Nothing is read after
/// `--help`.
fn parse(args: &[String]) -> Result<Vec<Result<Pending, Failure>>, Error> {
    let mut steps = Vec::new();
    let mut args = args.iter();
    let mut only_words = false;
    while let Some(word) = args.next() {
        if word == "--" && !only_words {
            only_words = true;
            continue;
        }
        if only_words || word == "-" || !word.starts_with('-') {
            let location = Some(Location::CommandLine(word.clone()));
            steps.push(Err(Failure::at(
                &location,
                Error::new("Unexpected argument"),
            )));
            continue;
        }
        let (wanted, mut arg) = option_of(word)?;
        let mut text = word.clone();
        if arg.is_none() && !matches!(wanted, Use::Flag(_)) {
            let next = args.next().ok_or_else(|| lacks_argument(word))?;
            text = format!("{word} {next}");
            arg = Some(next.clone());
        }
        let location = Some(Location::CommandLine(text));
        let opt = match wanted {
            Use::Flag(opt) | Use::Arg(opt) => opt,
            Use::Refused(why) => {
                steps.push(Err(Failure::at(&location, Error::new(why))));
                continue;
            }
        };
        steps.push(Ok(Pending {
            opt,
            arg: arg.unwrap_or_default(),
            read_at: location.clone(),
            location,
        }));
        if matches!(opt, Opt::Help | Opt::Version) {
            break;
        }
    }
    Ok(steps)
}

/// The option that a word is, and the argument if it is within the word.
fn option_of(word: &str) -> Result<(Use, Option<String>), Error> {
    let Some(long) = word.strip_prefix("--") else {
        let letter = word.chars().nth(1).unwrap_or('-');
        return match letter {
            // Either ends the program, so more letters do not matter.
            'h' => Ok((Use::Flag(Opt::Help), None)),
            'V' => Ok((Use::Flag(Opt::Version), None)),
            'T' => {
                let arg = Some(word[2..].to_owned()).filter(|arg| !arg.is_empty());
                Ok((Use::Arg(Opt::Trace), arg))
            }
            _ => Err(Error::new(format!("invalid option -- '{letter}'"))),
        };
    };
    let (name, arg) = match long.split_once('=') {
        Some((name, arg)) => (name, Some(arg.to_owned())),
        None => (long, None),
    };
    let found = OPTIONS
        .iter()
        .find(|(full, _)| !name.is_empty() && full.starts_with(name));
    match found {
        None => Err(Error::new(format!("unrecognized option '{word}'"))),
        Some((full, Use::Flag(_))) if arg.is_some() => Err(Error::new(format!(
            "option '--{full}' doesn't allow an argument"
        ))),
        Some((_, wanted)) => Ok((*wanted, arg)),
    }
}

fn lacks_argument(word: &str) -> Error {
    let full = |name: &str| OPTIONS.iter().find(|(full, _)| full.starts_with(name));
    Error::new(match word.strip_prefix("--").and_then(full) {
        Some((full, _)) => format!("option '--{full}' requires an argument"),
        None => "option requires an argument -- 'T'".to_owned(),
    })
}
