//! Options that have no effect here, or one that is a property of the machine: they are read
//! and checked as QEMU does, so that a wrong word is seen.

use super::cli::Opt;
use super::option_groups::{
    ACPI_OPTS, FW_CFG_OPTS, ICOUNT_OPTS, ISCSI_OPTS, OPTION_ROM_OPTS, PLUGIN_OPTS, RTC_OPTS,
    RUN_WITH_OPTS, SANDBOX_OPTS,
};
use super::settings::Settings;
use super::smbios;
use qmonitor::qapi::{Error, QDict};
use qmonitor::util::qemu_opts::QemuOpts;

/// Takes one of these options; false if it is none.
///
/// # Errors
///
/// The argument is wrong, or QEMU is built without what it asks for.
pub(super) fn take(
    settings: &mut Settings,
    opt: Opt,
    arg: &str,
    warnings: &mut Vec<Error>,
) -> Result<bool, Error> {
    let machine = &mut settings.hardware.properties;
    match opt {
        Opt::Kernel => set(machine, "kernel", arg),
        Opt::Initrd => set(machine, "initrd", arg),
        Opt::Append => set(machine, "append", arg),
        Opt::Dtb => set(machine, "dtb", arg),
        Opt::Bios => set(machine, "firmware", arg),
        Opt::Shim => settings.shim = true,
        Opt::Usb => set(machine, "usb", "on"),
        Opt::NoFdBootchk => set(machine, "fd-bootchk", "off"),
        Opt::EnableKvm => settings.hardware.set_machine_accel("kvm"),
        Opt::Snapshot => settings.snapshot = true,
        Opt::Keymap => settings.keymap = Some(arg.to_owned()),
        Opt::Acpitable => check_acpi_table(arg, warnings)?,
        Opt::Smbios => smbios::check(arg, warnings)?,
        Opt::Iscsi => drop(QemuOpts::parse(&ISCSI_OPTS, arg, warnings)?),
        Opt::FwCfg => settings.fw_cfg.push((
            arg.to_owned(),
            QemuOpts::parse(&FW_CFG_OPTS, arg, warnings)?,
        )),
        Opt::Icount => check_icount(arg, warnings)?,
        Opt::RunWith => {
            let opts = QemuOpts::parse(&RUN_WITH_OPTS, arg, warnings)?;
            settings.take_run_with(&opts, arg)?;
        }
        Opt::Plugin => {
            let opts = QemuOpts::parse(&PLUGIN_OPTS, arg, warnings)?;
            settings.plugin = Some(opts.get("file").unwrap_or_default().to_owned());
        }
        Opt::Dfilter => check_ranges(arg)?,
        Opt::Seed => {
            let seed: Result<u64, _> = arg.parse();
            seed.map_err(|_| Error::new(format!("Invalid seed number: {arg}")))?;
        }
        Opt::Spice => {
            return Err(Error::new(NO_SPICE));
        }
        Opt::Unsupported | Opt::XenAttach | Opt::XenRestrict => {
            return Err(Error::new("Option not supported for this target"));
        }
        Opt::MemPath => settings.hardware.mem_path = Some(arg.to_owned()),
        Opt::Loadvm => settings.loadvm = Some(arg.to_owned()),
        Opt::OptionRom => {
            let opts = QemuOpts::parse(&OPTION_ROM_OPTS, arg, warnings)?;
            settings
                .option_roms
                .extend(opts.get("romfile").map(str::to_owned));
        }
        Opt::OnlyMigratable => settings.only_migratable = true,
        Opt::Incoming => settings.take_incoming(arg)?,
        Opt::MemPrealloc
        | Opt::FullScreen
        | Opt::Win2kHack
        | Opt::DataDir
        | Opt::XenDomid
        | Opt::DumpVmstate
        | Opt::SyncProfile
        | Opt::Perfmap
        | Opt::Jitdump
        | Opt::IgnoreUnknown => {}
        _ => return Ok(false),
    }
    Ok(true)
}

/// QEMU's text where its module is not installed.
pub(super) const NO_SPICE: &str = "There is no option group 'spice'";

/// Sets a property of the machine.
fn set(machine: &mut QDict, name: &str, value: &str) {
    machine.insert(name, value);
}

/// The longest table, its header included.
const ACPI_TABLE_MAX: u64 = 65535;

const ACPI_FIELDS: &[&str] = &[
    "sig",
    "rev",
    "oem_id",
    "oem_table_id",
    "oem_rev",
    "asl_compiler_id",
    "asl_compiler_rev",
    "file",
    "data",
];

fn check_acpi_table(arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
    let opts = QemuOpts::parse(&ACPI_OPTS, arg, warnings)?;
    let mut names = opts.iter().map(|(name, _)| name);
    if let Some(name) = names.find(|name| !ACPI_FIELDS.contains(name)) {
        return Err(Error::new(format!("Invalid parameter '{name}'")));
    }
    let ((Some(files), None) | (None, Some(files))) = (opts.get("file"), opts.get("data")) else {
        let desc = "'-acpitable' requires one of 'data' or 'file'";
        return Err(Error::new(desc));
    };
    let mut length = 0;
    for path in files.split(':').filter(|path| !path.is_empty()) {
        let size = std::fs::metadata(path);
        length += size
            .map_err(|e| Error::from_io(format!("can't open file {path}"), &e))?
            .len();
    }
    // A table from a file brings its header along.
    if opts.get("file").is_some() && length < 36 {
        return Err(Error::new(format!(
            "ACPI table claiming to have header is too short, available: {length}, expected: 36"
        )));
    }
    let header = if opts.get("data").is_some() { 36 } else { 0 };
    if length + header > ACPI_TABLE_MAX {
        return Err(Error::new(format!(
            "ACPI table too big, requested: {}, max: {ACPI_TABLE_MAX}",
            length + header
        )));
    }
    Ok(())
}

fn check_icount(arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
    let opts = QemuOpts::parse(&ICOUNT_OPTS, arg, warnings)?;
    if let Some(mode) = opts.get("rr") {
        if !["record", "replay"].contains(&mode) {
            return Err(Error::new(format!("Invalid icount rr option: {mode}")));
        }
        if opts.get("rrfile").is_none() {
            return Err(Error::new("File name not specified for replay"));
        }
    }
    let flag = |name| opts.get_bool(name);
    let (align, sleep) = (
        flag("align").unwrap_or(false),
        flag("sleep").unwrap_or(true),
    );
    let Some(shift) = opts.get("shift") else {
        return if align {
            Err(Error::new("Please specify shift option when using align"))
        } else {
            Ok(())
        };
    };
    if align && !sleep {
        return Err(Error::new("align=on and sleep=off are incompatible"));
    }
    if shift == "auto" {
        return match (align, sleep) {
            (true, _) => Err(Error::new("shift=auto and align=on are incompatible")),
            (_, false) => Err(Error::new("shift=auto and sleep=off are incompatible")),
            _ => Ok(()),
        };
    }
    match shift.parse() {
        Ok(0..=10u32) => Ok(()),
        _ => Err(Error::new("icount: Invalid shift value")),
    }
}

/// `A..B`, `A+LENGTH`, `A-LENGTH`, separated by commas; nothing is no range.
fn check_ranges(arg: &str) -> Result<(), Error> {
    let mut ranges = arg.split(',').filter(|_| !arg.is_empty());
    ranges.try_for_each(check_range)
}

fn check_range(range: &str) -> Result<(), Error> {
    let signs = ["-", "+", ".."].into_iter();
    let mut parts = signs.filter_map(|sign| Some((sign, range.split_once(sign)?)));
    let Some((sign, (left, right))) = parts.next() else {
        return Err(Error::new("Bad range specifier"));
    };
    let number = |text: &str, side: &str| {
        let number = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        number.map_err(|_| Error::new(format!("Invalid number to the {side} of {sign}")))
    };
    let (left, right) = (number(left, "left")?, number(right, "right")?);
    let is_valid = match sign {
        ".." => left <= right,
        "+" => right > 0 && left.checked_add(right - 1).is_some(),
        _ => right > 0 && left.checked_sub(right - 1).is_some(),
    };
    if is_valid {
        Ok(())
    } else {
        Err(Error::new("Invalid range"))
    }
}

/// The machine has no clock to set, but wrong words are refused.
pub(super) fn check_rtc(arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
    let opts = QemuOpts::parse(&RTC_OPTS, arg, warnings)?;
    if let Some(base) = opts.get("base") {
        if !matches!(base, "utc" | "localtime") && !is_datetime(base) {
            return Err(Error::new("invalid datetime format")
                .with_hint("valid formats: '2006-06-17T16:01:21' or '2006-06-17'\n"));
        }
    }
    let words = [
        ("clock", &["host", "rt", "vm"][..]),
        ("driftfix", &["none", "slew"]),
    ];
    for (name, allowed) in words {
        if let Some(value) = opts.get(name).filter(|value| !allowed.contains(value)) {
            return Err(Error::new(format!("invalid option value '{value}'")));
        }
    }
    Ok(())
}

/// Whether the text is a date, perhaps with a time.
fn is_datetime(text: &str) -> bool {
    let form = |form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(c, f)| match f {
                b'0' => c.is_ascii_digit(),
                f => c == f,
            })
    };
    form("0000-00-00") || form("0000-00-00T00:00:00")
}

/// There is no filter, and management software asks for one whenever the option is
/// known: the program says so and goes on, for it runs no guest to be locked in.
pub(super) fn check_sandbox(arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
    let opts = QemuOpts::parse(&SANDBOX_OPTS, arg, warnings)?;
    if opts.get_bool("enable") == Some(true) {
        for (name, words) in SANDBOX_WORDS {
            if opts.get(name).is_some_and(|word| !words.contains(&word)) {
                return Err(Error::new(format!("invalid argument for {name}")));
            }
        }
        warnings.push(Error::new(NO_SANDBOX));
    }
    Ok(())
}

const SANDBOX_WORDS: &[(&str, &[&str])] = &[
    ("obsolete", &["allow", "deny"]),
    ("elevateprivileges", &["allow", "deny", "children"]),
    ("spawn", &["allow", "deny"]),
    ("resourcecontrol", &["allow", "deny"]),
];

const NO_SANDBOX: &str = "sandboxing request ignored: no system call is filtered";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_warned_of_and_not_made() {
        for (arg, expected) in [("on,spawn=deny", Some(NO_SANDBOX)), ("off", None)] {
            let mut warnings = Vec::new();
            check_sandbox(arg, &mut warnings).unwrap();
            assert_eq!(warnings.first().map(Error::desc), expected);
        }
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        for (opt, arg, desc) in [
            (
                Opt::Smbios,
                "type=99",
                "Don't know how to build fields for SMBIOS type 99",
            ),
            (Opt::Smbios, "type=1,foo=1", "Invalid parameter 'foo'"),
            (
                Opt::Smbios,
                "file=/nonexistent",
                "Cannot read SMBIOS file /nonexistent",
            ),
            (
                Opt::Acpitable,
                "sig=A",
                "'-acpitable' requires one of 'data' or 'file'",
            ),
            (Opt::Icount, "foo", "icount: Invalid shift value"),
            (
                Opt::Icount,
                "1,align=on,sleep=off",
                "align=on and sleep=off are incompatible",
            ),
            (Opt::Dfilter, "foo", "Bad range specifier"),
            (Opt::Seed, "foo", "Invalid seed number: foo"),
            (Opt::RunWith, "foo=1", "Invalid parameter 'foo'"),
            (
                Opt::Incoming,
                "foo",
                "Parameter 'channel-type' does not accept value 'foo'",
            ),
        ] {
            let e = take(&mut Settings::default(), opt, arg, &mut Vec::new()).unwrap_err();
            assert_eq!(e.desc(), desc, "{arg}");
        }
    }

    #[test]
    fn what_qemu_takes_is_taken() {
        for (opt, arg) in [
            (Opt::Smbios, "type=11,value=a,path=/dev/null"),
            (Opt::Icount, "shift=auto"),
            (Opt::Dfilter, "0x1..0x2,5+3"),
            (Opt::Seed, "5"),
            (Opt::RunWith, "async-teardown=on"),
            (Opt::Incoming, "defer"),
            (Opt::Incoming, "unix:/tmp/x"),
            (Opt::Kernel, "bzImage"),
        ] {
            let taken = take(&mut Settings::default(), opt, arg, &mut Vec::new());
            assert!(taken.unwrap(), "{arg}");
        }
    }
}
