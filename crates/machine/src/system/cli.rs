//! The program's command line in QEMU's syntax: options have one or two dashes, and
//! their argument is always a word of its own.

use qmonitor::qapi::Error;

/// Every option the program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The table below says what each is for.
pub enum Opt {
    Help,
    Version,
    Machine,
    Accel,
    Cpu,
    Smp,
    M,
    Boot,
    Overcommit,
    Rtc,
    Audiodev,
    Sandbox,
    NoUserConfig,
    Name,
    Uuid,
    Preconfig,
    Stopped,
    NoShutdown,
    NoReboot,
    Nodefaults,
    Display,
    Nographic,
    Qmp,
    QmpPretty,
    Monitor,
    Mon,
    Chardev,
    Serial,
    Parallel,
    Echr,
    Object,
    Netdev,
    Blockdev,
    Device,
    Global,
    Action,
    WatchdogAction,
    Vga,
    Net,
    AddFd,
    Readconfig,
    Daemonize,
    Pidfile,
    LogFile,
    LogItems,
    Trace,
    TraceOut,
    Msg,
    Compat,
}

/// One row of the table: the option's name, its argument as the help shows it,
/// and the help text.
pub struct OptRow {
    name: &'static str,
    arg: Option<&'static str>,
    opt: Opt,
    help: &'static str,
}

const fn row(
    name: &'static str,
    arg: Option<&'static str>,
    opt: Opt,
    help: &'static str,
) -> OptRow {
    OptRow {
        name,
        arg,
        opt,
        help,
    }
}

/// The options in the order in which the help lists them; an empty help text
/// marks a second name of the row before.
pub static OPTIONS: &[OptRow] = &[
    row("h", None, Opt::Help, "show this help and exit"),
    row("help", None, Opt::Help, ""),
    row("version", None, Opt::Version, "show the version and exit"),
    row(
        "machine",
        Some("[type=]NAME[,prop=value...]"),
        Opt::Machine,
        "the machine to simulate (default 'none'); -machine help lists types",
    ),
    row("M", Some("[type=]NAME[,prop=value...]"), Opt::Machine, ""),
    row(
        "accel",
        Some("[accel=]NAME[,prop=value...]"),
        Opt::Accel,
        "the accelerator; there is only 'tcg'",
    ),
    row(
        "cpu",
        Some("MODEL[,[+-]FEATURE...][,prop=value...]"),
        Opt::Cpu,
        "model of the processors; -cpu help lists them",
    ),
    row(
        "smp",
        Some("[[cpus=]N][,maxcpus=N][,sockets=N][,dies=N][,modules=N][,cores=N][,threads=N]"),
        Opt::Smp,
        "number and arrangement of the processors (default 1)",
    ),
    row(
        "m",
        Some("[size=]MEGS[,slots=N,maxmem=SIZE]"),
        Opt::M,
        "size of the machine's RAM (default 128 MiB, none for 'none')",
    ),
    row(
        "boot",
        Some("[order=DRIVES][,once=DRIVES][,menu=on|off][,strict=on|off]..."),
        Opt::Boot,
        "what to boot",
    ),
    row(
        "rtc",
        Some("[base=utc|localtime|DATETIME][,clock=host|rt|vm][,driftfix=none|slew]"),
        Opt::Rtc,
        "the machine's clock; accepted, as there is none",
    ),
    row(
        "audiodev",
        Some("[driver=]none,id=ID"),
        Opt::Audiodev,
        "a sound device; there is only 'none'",
    ),
    row(
        "overcommit",
        Some("[mem-lock=on|off|on-fault][,cpu-pm=on|off]"),
        Opt::Overcommit,
        "whether to keep the program's memory from being swapped out",
    ),
    row(
        "sandbox",
        Some("on|off"),
        Opt::Sandbox,
        "filter system calls; there is only 'off'",
    ),
    row(
        "name",
        Some("NAME[,debug-threads=on|off]"),
        Opt::Name,
        "name of the guest",
    ),
    row("uuid", Some("UUID"), Opt::Uuid, "UUID of the machine"),
    row(
        "preconfig",
        None,
        Opt::Preconfig,
        "wait for x-exit-preconfig before the machine is made",
    ),
    row(
        "S",
        None,
        Opt::Stopped,
        "do not start the machine; 'cont' does",
    ),
    row(
        "no-shutdown",
        None,
        Opt::NoShutdown,
        "stop instead of exiting when the guest shuts down",
    ),
    row(
        "no-reboot",
        None,
        Opt::NoReboot,
        "exit instead of rebooting",
    ),
    row("nodefaults", None, Opt::Nodefaults, "no default monitor"),
    row(
        "no-user-config",
        None,
        Opt::NoUserConfig,
        "read no configuration files; there are none",
    ),
    row(
        "display",
        Some("none"),
        Opt::Display,
        "there is no display; 'none' is accepted",
    ),
    row(
        "nographic",
        None,
        Opt::Nographic,
        "monitor and serial port on standard input and output",
    ),
    row(
        "qmp",
        Some("DEV"),
        Opt::Qmp,
        "a QMP monitor on character device DEV",
    ),
    row(
        "qmp-pretty",
        Some("DEV"),
        Opt::QmpPretty,
        "the same with indented replies",
    ),
    row(
        "monitor",
        Some("DEV"),
        Opt::Monitor,
        "a human monitor on character device DEV",
    ),
    row(
        "mon",
        Some("[chardev=]ID[,mode=readline|control][,pretty=on|off][,option=value...]"),
        Opt::Mon,
        "a monitor on an existing chardev; more options, which QEMU does not have:\n                \
         read-only=on, allow=NAME[:NAME...], readline=off|on|full, close-action=delete,\n                \
         drain-on-close=on, json-max-size=BYTES, json-max-tokens=N, json-max-depth=N,\n                \
         max-reply-size=BYTES",
    ),
    row(
        "chardev",
        Some("BACKEND,id=ID[,option=value...]"),
        Opt::Chardev,
        "a character device; -chardev help lists backends. A server takes\n                \
         max-clients=N, which QEMU does not, to serve N clients at the same time",
    ),
    row(
        "serial",
        Some("DEV"),
        Opt::Serial,
        "a serial port on character device DEV",
    ),
    row(
        "parallel",
        Some("DEV"),
        Opt::Parallel,
        "a parallel port on character device DEV",
    ),
    row(
        "echr",
        Some("CHR"),
        Opt::Echr,
        "ASCII code of the escape character of multiplexed devices",
    ),
    row(
        "object",
        Some("TYPE,id=ID[,prop=value...]"),
        Opt::Object,
        "make an object; monitor-qmp and monitor-hmp are monitors",
    ),
    row(
        "netdev",
        Some("hubport,id=ID,hubid=N[,netdev=ID]"),
        Opt::Netdev,
        "make a network back end",
    ),
    row(
        "blockdev",
        Some("[driver=]file|raw,node-name=NAME[,filename=FILE][,file=NODE]..."),
        Opt::Blockdev,
        "make a node of which disks are made",
    ),
    row(
        "device",
        Some("DRIVER[,prop=value...]"),
        Opt::Device,
        "add a device",
    ),
    row(
        "global",
        Some("DRIVER.PROPERTY=VALUE"),
        Opt::Global,
        "a value for a property of all devices of a type",
    ),
    row("vga", Some("none"), Opt::Vga, "there is no default display"),
    row("net", Some("none"), Opt::Net, "there is no default network"),
    row("nic", Some("none"), Opt::Net, ""),
    row(
        "action",
        Some("[reboot=...][,shutdown=...][,panic=...][,watchdog=...]"),
        Opt::Action,
        "what to do when the guest does that",
    ),
    row(
        "watchdog-action",
        Some("reset|shutdown|poweroff|inject-nmi|pause|debug|none"),
        Opt::WatchdogAction,
        "what to do when a watchdog expires",
    ),
    row(
        "add-fd",
        Some("fd=FD,set=SET[,opaque=TEXT]"),
        Opt::AddFd,
        "add an inherited descriptor to a set",
    ),
    row(
        "readconfig",
        Some("FILE"),
        Opt::Readconfig,
        "read options from FILE",
    ),
    row(
        "daemonize",
        None,
        Opt::Daemonize,
        "go to the background once everything listens",
    ),
    row(
        "pidfile",
        Some("FILE"),
        Opt::Pidfile,
        "write the process id to FILE",
    ),
    row(
        "D",
        Some("FILE"),
        Opt::LogFile,
        "write the log to FILE instead of standard error",
    ),
    row(
        "d",
        Some("ITEM[,...]"),
        Opt::LogItems,
        "log these items; -d help lists them",
    ),
    row(
        "trace",
        Some("[[enable=]PATTERN][,events=FILE][,file=FILE]"),
        Opt::Trace,
        "print trace events that match; -trace help lists them",
    ),
    row(
        "trace-out",
        Some("FILE.json|FILE.mmd|websocket:HOST:PORT"),
        Opt::TraceOut,
        "record all trace events, for Perfetto and qmonitor-view or as a Mermaid diagram",
    ),
    row(
        "msg",
        Some("[timestamp=on|off][,guest-name=on|off]"),
        Opt::Msg,
        "how error messages look",
    ),
    row(
        "compat",
        Some("[deprecated-input=accept|reject|crash][,deprecated-output=accept|hide]..."),
        Opt::Compat,
        "what to do with deprecated and unstable parts of the interface",
    ),
];

/// Splits a command line into options and their arguments. A word without a dash is a
/// disk image for QEMU, and refused here.
///
/// # Errors
///
/// `-foo: invalid option`, `-qmp: requires an argument`, each naming the word
/// as it was given.
pub fn parse(args: &[String]) -> Result<Vec<(Opt, Option<String>)>, Error> {
    let mut parsed = Vec::new();
    let mut args = args.iter();
    while let Some(word) = args.next() {
        let Some(name) = word.strip_prefix('-') else {
            let err = std::fs::metadata(word).err();
            return Err(match err {
                Some(e) => Error::from_io(format!("{word}: Could not open '{word}'"), &e),
                None => Error::new(format!("{word}: this machine has no disks")),
            });
        };
        let name = name.strip_prefix('-').unwrap_or(name);
        let Some(row) = OPTIONS.iter().find(|r| r.name == name) else {
            return Err(Error::new(format!("{word}: invalid option")));
        };
        let arg = match row.arg {
            None => None,
            Some(_) => match args.next() {
                Some(arg) => Some(arg.clone()),
                None => return Err(Error::new(format!("{word}: requires an argument"))),
            },
        };
        parsed.push((row.opt, arg));
    }
    Ok(parsed)
}

/// The option's first name, without the dash.
pub fn name(opt: Opt) -> &'static str {
    let row = OPTIONS.iter().find(|r| r.opt == opt);
    row.map_or("", |r| r.name)
}

/// The text of `-h`.
pub fn help(program: &str) -> String {
    let mut text = format!("usage: {program} [options]\n\noptions:\n");
    for (i, row) in OPTIONS.iter().enumerate() {
        if row.help.is_empty() {
            continue;
        }
        text.push('-');
        text.push_str(row.name);
        let aliases = OPTIONS[i + 1..].iter().take_while(|r| r.help.is_empty());
        for alias in aliases {
            text.push_str(", -");
            text.push_str(alias.name);
        }
        if let Some(arg) = row.arg {
            text.push(' ');
            text.push_str(arg);
        }
        text.push_str("\n                ");
        text.push_str(row.help);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_or_two_dashes_and_second_names() {
        let parsed = parse(&words("-S --preconfig -M none --machine none -qmp -foo")).unwrap();
        let opts: Vec<_> = parsed.iter().map(|(o, _)| *o).collect();
        assert_eq!(
            opts,
            [
                Opt::Stopped,
                Opt::Preconfig,
                Opt::Machine,
                Opt::Machine,
                Opt::Qmp
            ]
        );
        // The word after an option with an argument is the argument, even with dashes.
        assert_eq!(parsed[4].1.as_deref(), Some("-foo"));
    }

    #[test]
    fn wrong_words_are_named_as_given() {
        for (line, message) in [
            ("-foo", "-foo: invalid option"),
            ("--foo", "--foo: invalid option"),
            ("-S=1", "-S=1: invalid option"),
            ("--qmp", "--qmp: requires an argument"),
            (
                "/no/such/disk",
                "/no/such/disk: Could not open '/no/such/disk': No such file or directory",
            ),
            ("---S", "---S: invalid option"),
        ] {
            assert_eq!(parse(&words(line)).unwrap_err().desc(), message);
        }
    }

    #[test]
    fn help_lists_every_option() {
        let text = help("qmonitor");
        for row in OPTIONS {
            assert!(text.contains(&format!("-{}", row.name)), "{}", row.name);
        }
    }
}
