//! The options that only set something, read before anything is made.

use std::path::Path;
use std::str::FromStr;

use super::actions::{action, parse_global, take_actions};
use super::cli::json_object;
use super::cli::Opt;
use super::hardware::Hardware;
use super::help::print;
use super::option_groups::{ADD_FD_OPTS, MSG_OPTS, NAME_OPTS, OVERCOMMIT_OPTS};
use super::trace_server::TraceServer;
use super::{kept, sound, starting};
use crate::model::cpu::CpuOption;
use crate::model::global::Global;
use crate::model::qdev::HostParts;
use crate::model::runstate::Actions;
use crate::model::AudioBackend;
use crate::schema::{RebootAction, ShutdownAction};
use crate::{MachineOptions, Uuid};
use qmonitor::qapi::policy::{CompatPolicy, CompatPolicyInput, CompatPolicyOutput};
use qmonitor::qapi::visit::keyval_parse;
use qmonitor::qapi::{Error, QObject};
use qmonitor::util::qemu_opts::{parse_option_size, QemuOpts};

/// A descriptor that `-add-fd` hands over.
#[derive(Debug, Clone)]
pub struct AddFd {
    /// Its number.
    pub fd: i32,
    /// The set it goes to.
    pub set: i64,
    /// The text that goes with it.
    pub opaque: Option<String>,
}

/// All settings, which do not depend on one another.
#[derive(Debug, Default)]
pub struct Settings {
    /// For the machine.
    pub machine: MachineOptions,
    /// The parts of the machine.
    pub hardware: Hardware,
    /// For the monitors.
    pub policy: CompatPolicy,
    /// `-daemonize`
    pub daemonize: bool,
    /// `-overcommit mem-lock=on`
    pub lock_memory: bool,
    /// `-nodefaults`
    pub nodefaults: bool,
    /// `-nographic`
    pub nographic: bool,
    /// `-pidfile`
    pub pidfile: Option<String>,
    /// `-D`
    pub log_file: Option<String>,
    /// `-d`
    pub log_items: Option<String>,
    /// Where the trace can be followed.
    pub trace_servers: Vec<TraceServer>,
    /// `-msg timestamp=on`
    pub timestamp: bool,
    /// `-msg guest-name=on`
    pub guest_name: bool,
    /// `-echr`
    pub echr: Option<u8>,
    /// `-audiodev`, in order.
    pub audiodevs: Vec<AudioBackend>,
    /// The sound card of `-audio`, and what it plays on.
    pub sound_card: Option<(&'static str, String)>,
    /// `-global`, in order.
    pub(crate) globals: Vec<Global>,
    /// `-add-fd`, in order.
    pub add_fds: Vec<AddFd>,
    /// `-shim`, which needs `-kernel`.
    pub shim: bool,
    /// `-snapshot`
    pub snapshot: bool,
    /// `-k`
    pub keymap: Option<String>,
    /// `-dirty-rate`
    pub dirty_rate: u64,
    /// Refuse what cannot be moved (`-only-migratable`).
    pub only_migratable: bool,
    /// `-incoming`
    pub incoming: Option<String>,
    /// `-loadvm`
    pub loadvm: Option<String>,
    /// `-option-rom`, in order.
    pub option_roms: Vec<String>,
    /// `-fw_cfg`, in order: as written, and read.
    pub(crate) fw_cfg: Vec<(String, QemuOpts)>,
    /// The directories of `-fsdev` and `-virtfs`, by their ids.
    pub directories: Vec<(String, String)>,
    /// `-plugin`
    pub plugin: Option<String>,
    /// `-run-with chroot=`
    pub chroot: Option<String>,
    /// `-run-with user=`: a user and a group.
    pub user: Option<(u32, u32)>,
    /// `-qtest`
    pub qtest: Option<String>,
    /// `-qtest-log`
    pub qtest_log: Option<String>,
    /// `-vga`
    pub vga: Option<String>,
    /// The reason why the display that was asked for cannot be had.
    pub no_display: Option<String>,
}

impl Settings {
    /// Takes one option; false if it has to be carried out later.
    ///
    /// # Errors
    ///
    /// The argument is wrong. Deprecated forms only add to `warnings`.
    pub fn take(&mut self, opt: Opt, arg: &str, warnings: &mut Vec<Error>) -> Result<bool, Error> {
        match opt {
            Opt::Machine => self.hardware.take_machine(self.policy.profile, arg)?,
            Opt::Accel => self.hardware.take_accel(arg, warnings)?,
            Opt::Cpu => self.hardware.cpu = Some(CpuOption::parse(self.policy.profile, arg)?),
            Opt::Smp => self.hardware.take_smp(arg)?,
            Opt::M => self.hardware.take_memory(arg, warnings)?,
            Opt::Boot => self.hardware.take_boot(arg)?,
            Opt::Overcommit => self.take_overcommit(arg, warnings)?,
            Opt::Rtc => kept::check_rtc(arg, warnings)?,
            Opt::Sandbox => kept::check_sandbox(arg, warnings)?,
            Opt::Audiodev => self
                .audiodevs
                .push(sound::audiodev(self.policy.profile, arg)?),
            Opt::Audio => self.take_audio(arg)?,
            // There are no configuration files.
            Opt::NoUserConfig => {}
            Opt::Name => {
                let opts = QemuOpts::parse(&NAME_OPTS, arg, warnings)?;
                self.machine.name = opts.get("guest").unwrap_or_default().to_owned();
                self.machine.debug_threads = opts.get_bool("debug-threads").unwrap_or(false);
            }
            Opt::Uuid => {
                self.machine.uuid = Uuid::from_str(arg)
                    .map_err(|_| Error::new("failed to parse UUID string: wrong format"))?;
            }
            Opt::Preconfig => self.machine.preconfig = true,
            Opt::Stopped => self.machine.stopped = true,
            Opt::NoShutdown => self.actions().shutdown = ShutdownAction::Pause,
            Opt::NoReboot => self.actions().reboot = RebootAction::Shutdown,
            Opt::Nodefaults => self.nodefaults = true,
            Opt::Nographic => self.nographic = true,
            Opt::Display => self.take_display(arg)?,
            Opt::Daemonize => self.daemonize = true,
            Opt::Pidfile => self.pidfile = Some(arg.to_owned()),
            Opt::LogFile => self.log_file = Some(arg.to_owned()),
            Opt::LogItems => self.log_items = Some(arg.to_owned()),
            Opt::Msg => {
                let opts = QemuOpts::parse(&MSG_OPTS, arg, warnings)?;
                self.timestamp = opts.get_bool("timestamp").unwrap_or(false);
                self.guest_name = opts.get_bool("guest-name").unwrap_or(false);
            }
            Opt::Compat => self.take_compat(arg)?,
            Opt::Profile => self.policy.profile = arg.parse()?,
            Opt::DirtyRate => self.dirty_rate = parse_option_size("dirty-rate", arg)?,
            Opt::Echr => match parse_echr(arg) {
                Some(echr) => self.echr = Some(echr),
                // QEMU goes on.
                None => drop(print("Bad argument to echr\n")),
            },
            Opt::AddFd => self.take_add_fd(arg, warnings)?,
            Opt::Global => self.globals.push(parse_global(arg, warnings)?),
            Opt::Action => take_actions(self.actions(), arg, warnings)?,
            Opt::WatchdogAction => self.actions().watchdog = action("watchdog", arg)?,
            Opt::Qtest => self.qtest = Some(arg.to_owned()),
            Opt::QtestLog => self.qtest_log = Some(arg.to_owned()),
            Opt::Vga => self.vga = Some(arg.to_owned()),
            Opt::Trace => starting::take_trace(arg, warnings)?,
            Opt::TraceOut => match arg.strip_prefix("websocket:") {
                Some(address) => self.trace_servers.push(TraceServer::record(address)),
                None => qmonitor::trace::record_file(Path::new(arg))
                    .map_err(|e| Error::from_io(arg, &e))?,
            },
            opt => return kept::take(self, opt, arg, warnings),
        }
        Ok(true)
    }

    /// There are no windows; a display by VNC is an option of its own by then.
    fn take_display(&mut self, arg: &str) -> Result<(), Error> {
        let options = if arg.starts_with('{') {
            json_object(self.policy.profile, arg)?
        } else {
            keyval_parse(arg, Some("type"))?
        };
        let kind = match options.get("type") {
            Some(QObject::String(kind)) => kind.as_str(),
            Some(_) => {
                let desc = "Invalid parameter type for 'type', expected: string";
                return Err(Error::new(desc));
            }
            None => return Err(Error::new("Parameter 'type' is missing")),
        };
        let package = match kind {
            "none" | "curses" | "default" => None,
            "gtk" | "sdl" | "spice-app" => Some("qemu-system-gui"),
            "egl-headless" | "dbus" => Some("qemu-system-modules-opengl"),
            _ => {
                return Err(Error::new(format!(
                    "Parameter 'type' does not accept value '{kind}'"
                )));
            }
        };
        if let Some(package) = package {
            self.no_display = Some(format!(
                "Display '{kind}' is not available. Perhaps you want to install {package} package?"
            ));
            return Ok(());
        }
        let known = [
            "type",
            "full-screen",
            "window-close",
            "show-cursor",
            "gl",
            "charset",
        ];
        let mut names = options.iter().map(|(name, _)| name);
        match names.find(|name| !known.contains(name)) {
            Some(name) => Err(Error::new(format!("Parameter '{name}' is unexpected"))),
            None => Ok(()),
        }
    }

    fn take_audio(&mut self, arg: &str) -> Result<(), Error> {
        let (backend, card) = sound::audio(arg, self.audiodevs.len())?;
        if let Some(card) = card {
            self.sound_card = Some((card, backend.id.clone()));
        }
        self.audiodevs.push(backend);
        Ok(())
    }

    /// Takes the options of `-run-with`. QEMU complains about the whole argument.
    ///
    /// # Errors
    ///
    /// There is no such user.
    pub(super) fn take_run_with(&mut self, opts: &QemuOpts, arg: &str) -> Result<(), Error> {
        if let Some(path) = opts.get("chroot") {
            self.chroot = Some(path.to_owned());
        }
        if let Some(user) = opts.get("user") {
            let ids = super::host::find_user(user).ok_or_else(|| {
                Error::new(format!(
                    "User \"{arg}\" doesn't exist (and is not <uid>:<gid>)"
                ))
            })?;
            self.user = Some(ids);
        }
        Ok(())
    }

    /// What the options tell of the host.
    pub(super) fn host_parts(&self) -> HostParts {
        HostParts {
            tpms: Vec::new(),
            directories: self.directories.clone(),
            plays_by_default: self.audiodevs.is_empty() && !self.nodefaults,
        }
    }

    /// Takes the argument of `-incoming`: the machine waits for its state.
    ///
    /// # Errors
    ///
    /// It names no way to get it.
    pub(super) fn take_incoming(&mut self, arg: &str) -> Result<(), Error> {
        let known = ["tcp", "unix", "fd", "exec", "file", "rdma", "vsock"];
        let scheme = arg.split(':').next().unwrap_or_default();
        let is_uri = arg.contains(':') && known.contains(&scheme);
        if arg != "defer" && !is_uri {
            let desc = if arg.starts_with('{') {
                let channel = json_object(self.policy.profile, arg)?;
                match channel.get_str("channel-type") {
                    Some("main" | "cpr") => {
                        self.machine.incoming = true;
                        self.incoming = Some(arg.to_owned());
                        return Ok(());
                    }
                    Some(word) => {
                        format!("Parameter 'channel-type' does not accept value '{word}'")
                    }
                    None => "Parameter 'channel-type' is missing".to_owned(),
                }
            } else {
                format!("Parameter 'channel-type' does not accept value '{arg}'")
            };
            return Err(Error::new(desc));
        }
        self.machine.incoming = true;
        self.incoming = Some(arg.to_owned());
        Ok(())
    }

    /// The guest's name if messages have it in front.
    pub fn shown_name(&self) -> Option<String> {
        let name = &self.machine.name;
        (self.guest_name && !name.is_empty()).then(|| name.clone())
    }

    fn actions(&mut self) -> &mut Actions {
        &mut self.machine.actions
    }

    fn take_compat(&mut self, arg: &str) -> Result<(), Error> {
        for (key, value) in keyval_parse(arg, None)? {
            let QObject::String(value) = value else {
                return Err(Error::new(format!("Parameters '{key}.*' are unexpected")));
            };
            let refused =
                || Error::new(format!("Parameter '{key}' does not accept value '{value}'"));
            let input = || match value.as_str() {
                "accept" => Ok(CompatPolicyInput::Accept),
                "reject" => Ok(CompatPolicyInput::Reject),
                "crash" => Ok(CompatPolicyInput::Crash),
                _ => Err(refused()),
            };
            let output = || match value.as_str() {
                "accept" => Ok(CompatPolicyOutput::Accept),
                "hide" => Ok(CompatPolicyOutput::Hide),
                _ => Err(refused()),
            };
            match key.as_str() {
                "deprecated-input" => self.policy.deprecated_input = input()?,
                "deprecated-output" => self.policy.deprecated_output = output()?,
                "unstable-input" => self.policy.unstable_input = input()?,
                "unstable-output" => self.policy.unstable_output = output()?,
                _ => return Err(Error::new(format!("Parameter '{key}' is unexpected"))),
            }
        }
        Ok(())
    }

    fn take_overcommit(&mut self, arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
        let opts = QemuOpts::parse(&OVERCOMMIT_OPTS, arg, warnings)?;
        self.lock_memory = match opts.get("mem-lock") {
            None | Some("off") => false,
            // No memory is mapped in advance, so the two are the same.
            Some("on" | "on-fault") => true,
            Some(_) => {
                return Err(Error::new(
                    "parameter 'mem-lock' expects one of 'on', 'off', 'on-fault'",
                ))
            }
        };
        Ok(())
    }

    fn take_add_fd(&mut self, arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
        let opts = QemuOpts::parse(&ADD_FD_OPTS, arg, warnings)?;
        let number = |name| opts.get_number(name).map(|n| n as i64);
        let fd = number("fd")
            .filter(|fd| *fd >= 0)
            .ok_or_else(|| Error::new("fd option is required and must be non-negative"))?;
        if fd <= 2 {
            return Err(Error::new("fd cannot be a standard I/O stream"));
        }
        let set = number("set")
            .filter(|set| *set >= 0)
            .ok_or_else(|| Error::new("set option is required and must be non-negative"))?;
        let missing = || Error::new("fd is not valid or already in use");
        self.add_fds.push(AddFd {
            fd: i32::try_from(fd).map_err(|_| missing())?,
            set,
            opaque: opts.get("opaque").map(str::to_owned),
        });
        Ok(())
    }
}

/// The decimal, octal or hexadecimal number of a character at the start of a text, as
/// `strtol` reads it. Larger numbers lose their upper bits.
fn parse_echr(text: &str) -> Option<u8> {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let hex = unsigned.strip_prefix("0x");
    let hex = hex.filter(|hex| hex.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (radix, digits) = match hex {
        Some(hex) => (16, hex),
        None if unsigned.starts_with('0') => (8, unsigned),
        None => (10, unsigned),
    };
    let digits = digits.chars().map_while(|c| c.to_digit(radix));
    let number = digits.fold(None, |number: Option<i64>, digit| {
        let number = number.unwrap_or(0).saturating_mul(radix.into());
        Some(number.saturating_add(digit.into()))
    })?;
    Some(if text.starts_with('-') {
        -number
    } else {
        number
    } as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(opt: Opt, arg: &str) -> Result<Settings, Error> {
        let mut s = Settings::default();
        s.take(opt, arg, &mut Vec::new()).map(|_| s)
    }

    #[test]
    fn errors_name_the_culprit() {
        for (opt, arg, desc) in [
            (Opt::Machine, "x", "unsupported machine type: \"x\""),
            (Opt::Machine, "pc,usb", "Expected '=' after parameter 'usb'"),
            (Opt::Cpu, "foo", "unable to find CPU model 'foo'"),
            (Opt::Cpu, "", "-cpu option cannot be empty"),
            (
                Opt::Overcommit,
                "mem-lock=x",
                "parameter 'mem-lock' expects one of 'on', 'off', 'on-fault'",
            ),
            (Opt::Overcommit, "foo=1", "Invalid parameter 'foo'"),
            (Opt::Rtc, "base=x", "invalid datetime format"),
            (
                Opt::Rtc,
                "base=2006-06-17T16:01:2x",
                "invalid datetime format",
            ),
            (Opt::Rtc, "clock=x", "invalid option value 'x'"),
            (Opt::Rtc, "driftfix=x", "invalid option value 'x'"),
            (Opt::Sandbox, "on,foo=1", "Invalid parameter 'foo'"),
            (Opt::Audiodev, "none", "Parameter 'id' is missing"),
            (
                Opt::Audiodev,
                "foo,id=a",
                "Parameter 'driver' does not accept value 'foo'",
            ),
            (Opt::Compat, "foo=bar", "Parameter 'foo' is unexpected"),
            (
                Opt::Compat,
                "deprecated-input",
                "Expected '=' after parameter 'deprecated-input'",
            ),
            (
                Opt::Compat,
                "unstable-output=reject",
                "Parameter 'unstable-output' does not accept value 'reject'",
            ),
            (
                Opt::AddFd,
                "set=1",
                "fd option is required and must be non-negative",
            ),
            (
                Opt::AddFd,
                "fd=2,set=1",
                "fd cannot be a standard I/O stream",
            ),
            (
                Opt::AddFd,
                "fd=9",
                "set option is required and must be non-negative",
            ),
            (Opt::Uuid, "1", "failed to parse UUID string: wrong format"),
            (
                Opt::Display,
                "foo",
                "Parameter 'type' does not accept value 'foo'",
            ),
            (Opt::Msg, "foo=on", "Invalid parameter 'foo'"),
        ] {
            assert_eq!(take(opt, arg).unwrap_err().desc(), desc, "{arg}");
        }
    }

    #[test]
    fn what_management_software_passes_is_taken() {
        for (opt, arg) in [
            (Opt::NoUserConfig, ""),
            (Opt::Overcommit, "mem-lock=off"),
            (Opt::Rtc, "base=utc"),
            (Opt::Rtc, "base=2006-06-17,clock=vm,driftfix=slew"),
            (Opt::Sandbox, "off"),
            (Opt::Audiodev, "{\"id\":\"audio1\",\"driver\":\"none\"}"),
        ] {
            take(opt, arg).unwrap();
        }
    }

    #[test]
    fn escape_characters_in_three_bases() {
        for (text, value) in [
            ("1", Some(1)),
            ("0x14", Some(20)),
            ("024", Some(20)),
            ("300", Some(44)),
            ("0", Some(0)),
            (" 5x", Some(5)),
            ("-1", Some(255)),
            ("0x", Some(0)),
            ("99999999999999999999", Some(255)),
            ("", None),
            ("abc", None),
        ] {
            assert_eq!(parse_echr(text), value, "{text}");
        }
    }
}
