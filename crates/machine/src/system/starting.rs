//! What is checked and made on the way from the options to a machine, for parts of the board
//! that have options of their own.

use super::char_options::CharOptions;
use super::cli::{Opt, Word};
use super::flash;
use super::help::print;
use super::numa_options::numa_options;
use super::option_groups::{MSG_OPTS, TRACE_OPTS, VNC_OPTS};
use super::report::{Failure, Location, Pending, Reporter};
use super::settings::Settings;
use crate::commands::{device_from_cli, log_items, qtest_from_cli, LogItems};
use crate::model::board::Family;
use crate::model::log::LogFile;
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Runtime;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

/// For each word of the command line whether messages about it have the time in front: an
/// earlier `-msg` decides.
pub(super) fn timestamps(words: &[Word]) -> Vec<bool> {
    let mut on = false;
    let has_timestamp = |word: &Word| {
        let before = on;
        if let (Opt::Msg, Some(arg)) = (word.opt, &word.arg) {
            let opts = QemuOpts::parse(&MSG_OPTS, arg, &mut Vec::new());
            let timestamp = opts.ok().and_then(|opts| opts.get_bool("timestamp"));
            on = timestamp.unwrap_or(false);
        }
        before
    };
    words.iter().map(has_timestamp).collect()
}

/// Switches on what `-d` names. Returns the exit status if that lists the items instead,
/// since one of them does not exist.
///
/// # Errors
///
/// As for [`LogFile::check`].
pub(super) fn take_log_items(
    items: &str,
    settings: &Settings,
    reporter: &Reporter,
) -> Result<Option<ExitCode>, Failure> {
    let Some(items) = LogItems::read(items) else {
        print(&log_items("-d"));
        return Ok(Some(ExitCode::FAILURE));
    };
    for warning in items.switch_on() {
        reporter.warning(None, &warning);
    }
    let file = settings.log_file.as_deref();
    LogFile::check(file, items.per_thread).map_err(Error::new)?;
    Ok(None)
}

/// Checks what the board would boot (`-kernel`, `-initrd`, `-bios`, `-option-rom`).
///
/// # Errors
///
/// A file cannot be read, is no kernel, or comes without one.
pub(super) fn check_boot_files(settings: &Settings) -> Result<(), Failure> {
    let hardware = &settings.hardware;
    let file = |name: &str| hardware.properties.get_str(name);
    let kernel = file("kernel");
    if kernel.is_none() {
        for (given, name) in [
            (file("append").is_some(), "-append"),
            (file("initrd").is_some(), "-initrd"),
            (settings.shim, "-shim"),
        ] {
            if given {
                let desc = format!("{name} only allowed with -kernel option");
                return Err(Error::new(desc).into());
            }
        }
    }
    if !hardware.class.is_pc() {
        return match kernel {
            Some(_) => Err(Error::new(
                "The -kernel parameter is not supported (use the generic 'loader' device \
                 instead).",
            )
            .into()),
            None => Ok(()),
        };
    }
    if let Some(path) = file("firmware") {
        if !flash::is_used(settings) && !is_found(path) {
            let line = format!("qemu: could not load PC BIOS '{path}'");
            return Err(Failure::line(line));
        }
    }
    if let Some(path) = kernel {
        check_kernel(path)?;
    }
    for path in &settings.option_roms {
        if let Err(e) = File::open(path) {
            let reason = Error::from_io("", &e).desc().replacen(": ", "", 1);
            // QEMU goes on.
            eprintln!(
                "rom: file {path:<20}: error Failed to open file \u{201c}{path}\u{201d}: {reason}"
            );
        }
    }
    if let Some(path) = file("initrd") {
        if let Err(e) = File::open(path) {
            let reason = Error::from_io("", &e).desc().replacen(": ", "", 1);
            return Err(Failure::line(format!(
                "qemu: error reading initrd {path}: Failed to open file \u{201c}{path}\u{201d}: \
                 {reason}"
            )));
        }
    }
    Ok(())
}

/// Checks that QEMU could play sound on what was chosen.
///
/// # Errors
///
/// A package is missing.
pub(super) fn check_sound(settings: &Settings) -> Result<(), Error> {
    let missing = settings
        .audiodevs
        .iter()
        .find_map(|a| Some((a.driver, a.package?)));
    match missing {
        None => Ok(()),
        Some((driver, package)) => Err(Error::new(format!(
            "Unknown audio driver `{driver}'. Perhaps you want to install {package} package?"
        ))),
    }
}

/// Firmware may be named without its folder.
fn is_found(path: &str) -> bool {
    let folders = [
        "",
        "/usr/share/qemu/",
        "/usr/share/seabios/",
        "/usr/share/ovmf/",
    ];
    let known = [
        "bios.bin",
        "bios-256k.bin",
        "bios-microvm.bin",
        "pvh.bin",
        "qboot.rom",
    ];
    let mut folders = folders.iter();
    known.contains(&path) || folders.any(|folder| File::open(format!("{folder}{path}")).is_ok())
}

fn check_kernel(path: &str) -> Result<(), Failure> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(|e| {
        let what = format!("qemu: could not open kernel file '{path}'");
        Failure::line(Error::from_io(what, &e).desc().to_owned())
    })?;
    let mut header = [0; 8192];
    let _ = file.read_at(&mut header, 0);
    let is_linux = header[0x202..0x206] == *b"HdrS";
    let is_elf = header.starts_with(b"\x7fELF");
    let is_multiboot = header
        .chunks(4)
        .any(|word| word == [0x02, 0xb0, 0xad, 0x1b]);
    // A kernel that does not tell has four sectors of setup.
    let sectors = match header[0x1f1] {
        0 => 4,
        n => u64::from(n),
    };
    let fits = (sectors + 1) * 512 <= size;
    if is_linux || is_elf || is_multiboot || fits {
        Ok(())
    } else {
        Err(Failure::line("qemu: invalid kernel header".to_owned()))
    }
}

/// The display of a board: a name of `-vga`, and the model or why there is none.
const DISPLAYS: &[(&str, Result<Option<&str>, &str>)] = &[
    ("none", Ok(None)),
    ("std", Ok(Some("VGA"))),
    ("cirrus", Ok(Some("cirrus-vga"))),
    ("vmware", Ok(Some("vmware-svga"))),
    ("virtio", Ok(Some("virtio-vga"))),
    (
        "qxl",
        Err(
            "QXL VGA not available. Perhaps you want to install qemu-system-modules-spice package?",
        ),
    ),
    (
        "tcx",
        Err(
            "TCX framebuffer not available. Perhaps you want to install \
             qemu-system-modules-opengl package?",
        ),
    ),
    (
        "cg3",
        Err(
            "CG3 framebuffer not available. Perhaps you want to install \
             qemu-system-modules-opengl package?",
        ),
    ),
];

/// The model of the board's display. Without an option it is `std`, if it is a default.
///
/// # Errors
///
/// There is no such display.
pub(super) fn display_model(
    settings: &Settings,
    by_default: bool,
) -> Result<Option<&'static str>, Error> {
    if let Some(reason) = &settings.no_display {
        return Err(Error::new(reason.clone()));
    }
    let name = match settings.vga.as_deref() {
        Some(name) => name,
        None if by_default => "std",
        None => "none",
    };
    match DISPLAYS.iter().find(|(known, _)| *known == name) {
        Some((_, Ok(model))) => Ok(*model),
        Some((_, Err(reason))) => Err(Error::new(*reason)),
        None => Err(Error::new(format!("unknown vga type: {name}"))),
    }
}

/// Makes the board's display.
pub(super) fn make_display(
    rt: &mut Runtime<Machine>,
    settings: &Settings,
    display: Option<&str>,
    reporter: &Reporter,
) -> Result<(), Failure> {
    if let Some(model) = display {
        let class = settings.hardware.class;
        if class.is_pc() {
            let model = match model {
                // Without an option a board of ISA alone has the one that its firmware knows.
                "VGA" if class.family == Family::Isa && settings.vga.is_none() => "isa-cirrus-vga",
                "VGA" if class.family == Family::Isa => "isa-vga",
                "cirrus-vga" if class.family == Family::Isa => "isa-cirrus-vga",
                model => model,
            };
            rt.state.add_board_device(model, None, &[])?;
        } else if settings.vga.is_some() {
            let desc = "A -vga option was passed but this machine type does not use that option; \
                        No VGA device has been created";
            reporter.warning(None, &Error::new(desc));
        }
    }
    Ok(())
}

/// Makes the nodes of `-numa`, which the machine's memory belongs to.
pub(super) fn make_numa_nodes(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Numa) {
        let mut warnings = Vec::new();
        let options = numa_options(&item.arg, &mut warnings);
        let made = options.and_then(|options| rt.state.numa_set(&options, &mut warnings));
        item.warn(reporter, &warnings);
        made.map_err(|e| item.failed(e))?;
    }
    if rt.preconfig() {
        return Ok(());
    }
    let mut warnings = Vec::new();
    let complete = rt.state.numa_complete(&mut warnings);
    for e in &warnings {
        reporter.warning(None, e);
    }
    Ok(complete?)
}

/// The layouts of keyboards that QEMU has files for.
const KEYMAPS: &[&str] = &[
    "ar", "bepo", "cz", "da", "de", "de-ch", "en-gb", "en-us", "es", "et", "fi", "fo", "fr",
    "fr-be", "fr-ca", "fr-ch", "hr", "hu", "is", "it", "ja", "lt", "lv", "mk", "nl", "no", "pl",
    "pt", "pt-br", "ru", "sl", "sv", "th", "tr",
];

/// Makes the servers of `-vnc`.
pub(super) fn make_vnc_servers(
    rt: &mut Runtime<Machine>,
    settings: &Settings,
    pending: &[Pending],
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Vnc) {
        let keymap = settings.keymap.as_deref().unwrap_or("en-us");
        if !KEYMAPS.contains(&keymap) {
            let desc = format!("could not read keymap file: '{keymap}'");
            return Err(item.failed(Error::new(desc)));
        }
        let opts = QemuOpts::parse(&VNC_OPTS, &item.arg, &mut Vec::new());
        let made = opts.and_then(|opts| crate::commands::vnc_new(rt, &opts));
        made.map_err(|e| item.failed(e))?;
    }
    Ok(())
}

/// Opens the channel of `-qtest`.
pub(super) fn make_qtest(
    rt: &mut Runtime<Machine>,
    settings: &Settings,
    chars: &CharOptions,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let Some(device) = &settings.qtest else {
        return Ok(());
    };
    let item = Pending::by_default(Opt::Qtest, device);
    let then = format!("Failed to initialize device for qtest: \"{device}\"");
    chars.make_one(rt, reporter, "qtest", &item, device, then)?;
    Ok(qtest_from_cli(rt, "qtest", settings.qtest_log.as_deref())?)
}

/// Refuses what is asked for and not there.
pub(super) fn refuse_missing(settings: &Settings) -> Result<(), Error> {
    if let Some(plugin) = &settings.plugin {
        return Err(Error::new(format!(
            "Could not load plugin {plugin}: {plugin}.so: cannot open shared object file: No \
             such file or directory"
        )));
    }
    Ok(())
}

/// Makes the USB devices of `-usbdevice`.
pub(super) fn make_usb_devices(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Usbdevice) {
        let name = &item.arg;
        let then = format!("could not add USB device '{name}'");
        let model = match name.as_str() {
            "mouse" => "usb-mouse",
            "tablet" => "usb-tablet",
            "keyboard" => "usb-kbd",
            "ccid" => "usb-ccid",
            "wacom-tablet" => "usb-wacom-tablet",
            "audio" => "usb-audio",
            _ => return Err(item.failed(Error::new(then))),
        };
        if rt.state.buses("usb-bus").is_empty() {
            let desc = format!(
                "Error: no usb bus to attach usbdevice {name}, please try -machine usb=on and \
                 check that the machine model supports USB"
            );
            return Err(item.failed_twice(Error::new(desc), then));
        }
        device_from_cli(rt, model, &mut Vec::new()).map_err(|e| item.failed_twice(e, then))?;
    }
    Ok(())
}

/// Puts files where firmware finds them (`-fw_cfg`); here they are only checked.
pub(super) fn check_fw_cfg(
    rt: &Runtime<Machine>,
    settings: &Settings,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let mut names: Vec<&str> = Vec::new();
    for (arg, opts) in &settings.fw_cfg {
        let location = Some(Location::CommandLine(format!("-fw_cfg {arg}")));
        let failed = |desc: String| Failure::at(&location, Error::new(desc));
        if !settings.hardware.class.is_pc() {
            return Err(failed("fw_cfg device not available".to_owned()));
        }
        let given = |name: &str| usize::from(opts.get(name).is_some_and(|v| !v.is_empty()));
        let sources = given("file") + given("string") + given("gen_id");
        let name = opts.get("name").filter(|_| sources == 1).ok_or_else(|| {
            failed("name, plus exactly one of file, string and gen_id, are needed".to_owned())
        })?;
        if name.len() > 55 {
            return Err(failed("name too long (max. 55 char)".to_owned()));
        }
        if !name.starts_with("opt/") && opts.get("gen_id").is_none() {
            let desc = "externally provided fw_cfg item names should be prefixed with \"opt/\"";
            reporter.warning(location.as_ref(), &Error::new(desc));
        }
        if let Some(path) = opts.get("file") {
            if let Err(e) = File::open(path) {
                let reason = Error::from_io("", &e).desc().replacen(": ", "", 1);
                return Err(failed(format!(
                    "can't load {path}: Failed to open file \u{201c}{path}\u{201d}: {reason}"
                )));
            }
        }
        if let Some(id) = opts.get("gen_id") {
            if rt.state.user_object(id).is_none() {
                return Err(failed(format!("Cannot find object ID '{id}'")));
            }
        }
        if names.contains(&name) {
            return Err(failed(format!("duplicate fw_cfg file name: {name}")));
        }
        names.push(name);
    }
    Ok(())
}

/// The options of a directory for the guest: those of `-fsdev`, checked.
///
/// # Errors
///
/// One is missing or wrong.
pub(super) fn check_fsdev(opts: &QemuOpts, is_virtfs: bool) -> Result<(), Error> {
    let driver = opts.get("fsdriver");
    if is_virtfs && opts.get("mount_tag").is_none() {
        return Err(Error::new("Usage: -virtfs fsdriver,mount_tag=tag"));
    }
    let Some(driver) = driver else {
        return Err(Error::new("fsdev: No fsdriver specified"));
    };
    if !is_virtfs && opts.id().is_none() {
        return Err(Error::new("fsdev: No id specified"));
    }
    match driver {
        "synth" => return Ok(()),
        "local" => {}
        _ => return Err(Error::new(format!("fsdev: fsdriver {driver} not found"))),
    }
    let valid = "Valid options are: security_model=[passthrough|mapped-xattr|mapped-file|none]\n";
    match opts.get("security_model") {
        None => Err(Error::new("security_model property not set").with_hint(valid)),
        Some("passthrough" | "mapped" | "mapped-xattr" | "mapped-file" | "none") => {
            match opts.get("path") {
                Some(_) => Ok(()),
                None => Err(Error::new("path property not set")),
            }
        }
        Some(model) => {
            Err(Error::new(format!("invalid security_model property '{model}'")).with_hint(valid))
        }
    }
}

/// Loads a snapshot of the machine, or opens the channel on which it comes from another program.
pub(super) fn start_incoming(
    rt: &mut Runtime<Machine>,
    settings: &Settings,
) -> Result<(), Failure> {
    if let Some(tag) = &settings.loadvm {
        crate::commands::load_snapshot(rt, tag, None, None)?;
    }
    let Some(arg) = &settings.incoming else {
        return Ok(());
    };
    let location = Some(Location::CommandLine(format!("-incoming {arg}")));
    let started = crate::commands::incoming_from_cli(rt, arg);
    started.map_err(|e| Failure::at(&location, e))
}

/// Switches trace events on; a name that does not exist is only a warning.
pub(super) fn take_trace(arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
    let opts = QemuOpts::parse(&TRACE_OPTS, arg, warnings)?;
    if let Some(pattern) = opts.get("enable") {
        if let Err(e) = qmonitor::trace::enable_events(pattern) {
            warnings.push(e);
        }
    }
    if let Some(path) = opts.get("events") {
        let text = std::fs::read_to_string(path).map_err(|e| Error::from_io(path, &e))?;
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(e) = qmonitor::trace::enable_events(line) {
                warnings.push(e);
            }
        }
    }
    if let Some(path) = opts.get("file") {
        let failed = |e| Error::from_io(format!("Error opening logfile {path}"), &e);
        let file = std::fs::File::create(path).map_err(failed)?;
        qmonitor::trace::set_output(Some(Box::new(file)));
    }
    Ok(())
}
