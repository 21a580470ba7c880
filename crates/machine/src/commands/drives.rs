//! `-drive` and its short forms: text to a back end and its node.

use super::missing_modules::{missing_module, MISSING_MODULE};
use crate::model::block::{probe, Backend, Image, Interface, IoLimits};
use crate::schema::{BlockdevDetectZeroesOptions, BlockdevDriver};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{qapi_bool_parse, QemuOpts, QemuOptsList};
use std::collections::BTreeMap;

/// The parameters of `-drive`: any, since each driver has its own.
pub(crate) static QEMU_DRIVE_OPTS: QemuOptsList = QemuOptsList {
    name: "drive",
    implied_opt_name: None,
    desc: &[],
    extensions: &[],
};

/// Old names of options, and their new ones.
const RENAMED: &[(&str, &str)] = &[
    ("iops", "throttling.iops-total"),
    ("iops_rd", "throttling.iops-read"),
    ("iops_wr", "throttling.iops-write"),
    ("bps", "throttling.bps-total"),
    ("bps_rd", "throttling.bps-read"),
    ("bps_wr", "throttling.bps-write"),
    ("iops_max", "throttling.iops-total-max"),
    ("iops_rd_max", "throttling.iops-read-max"),
    ("iops_wr_max", "throttling.iops-write-max"),
    ("bps_max", "throttling.bps-total-max"),
    ("bps_rd_max", "throttling.bps-read-max"),
    ("bps_wr_max", "throttling.bps-write-max"),
    ("iops_size", "throttling.iops-size"),
    ("group", "throttling.group"),
    ("readonly", "read-only"),
];

/// Options that say nothing about a node: without a file they make an empty drive.
const ABOUT_THE_DRIVE: &[&str] = &[
    "bus",
    "unit",
    "index",
    "media",
    "if",
    "werror",
    "rerror",
    "snapshot",
    "copy-on-read",
    "cache",
    "aio",
    "read-only",
    "auto-read-only",
    "detect-zeroes",
    "stats-account-invalid",
    "stats-account-failed",
    "cache.direct",
    "cache.no-flush",
    "cache.writeback",
    "force-share",
];

/// The texts of the options, the last one of a name.
struct Texts(BTreeMap<String, String>);

impl Texts {
    fn of(opts: &QemuOpts) -> Result<Self, Error> {
        let mut texts = BTreeMap::new();
        for (name, text) in opts.iter() {
            let renamed = RENAMED.iter().find(|(old, _)| *old == name);
            let name = renamed.map_or(name, |(_, new)| new);
            texts.insert(name.to_owned(), text.to_owned());
        }
        for (old, new) in RENAMED {
            if opts.get(old).is_some() && opts.get(new).is_some() {
                return Err(Error::new(format!(
                    "'{new}' and its alias '{old}' can't be used at the same time"
                )));
            }
        }
        Ok(Texts(texts))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        let text = self.take(name);
        text.map(|text| qapi_bool_parse(name, &text)).transpose()
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let digits = text.strip_prefix("0x");
        let number = match digits {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        let bad = |_| Error::new(format!("Parameter '{name}' expects a number"));
        number.map(Some).map_err(bad)
    }
}

/// What became of the text of a drive.
pub(crate) struct NewDrive {
    /// The name of its back end.
    pub(crate) name: String,
    pub(crate) interface: Interface,
    /// The address of the device to be made, if one was given.
    pub(crate) addr: Option<String>,
    /// The image whose format was guessed.
    pub(crate) guessed: Option<String>,
}

/// Where a drive goes.
struct Place {
    interface: Interface,
    bus: u32,
    unit: u32,
}

impl Machine {
    /// What a drive is for if nothing is said.
    pub(crate) fn default_interface(&self) -> Interface {
        if self.class.is_pc() {
            Interface::Ide
        } else {
            Interface::None
        }
    }

    /// How many units a bus of the board's disk controller has.
    fn ide_units(&self) -> u32 {
        if self.class.object.name.starts_with("pc-q35") {
            1
        } else {
            2
        }
    }
}

/// Makes the back end, and its node if there is an image (`drive_new`).
///
/// # Errors
///
/// The first thing that is wrong. Nothing is left then.
pub(crate) fn drive_new(
    m: &mut Machine,
    opts: &QemuOpts,
    default: Interface,
) -> Result<NewDrive, Error> {
    let mut texts = Texts::of(opts)?;
    take_cache(&mut texts)?;
    let media = texts.take("media");
    let is_cdrom = match media.as_deref() {
        None | Some("disk") => false,
        Some("cdrom") => true,
        Some(media) => return Err(Error::new(format!("'{media}' invalid media"))),
    };
    let place = take_place(m, &mut texts, default)?;
    check_on_error(&mut texts, place.interface)?;
    let name = opts
        .id()
        .map_or_else(|| automatic_name(&place, is_cdrom), str::to_owned);
    if m.has_drive_name(&name) {
        return Err(Error::new(format!("Duplicate ID '{name}' for drive")));
    }
    let addr = match place.interface {
        Interface::Virtio => texts.take("addr"),
        _ => None,
    };
    let (limits, group) = take_limits(&mut texts)?;
    let mut image = take_image(&mut texts, is_cdrom)?;
    let is_empty = image.filename.is_none() && image.null.is_none();
    if is_empty && (!texts.0.is_empty() || image.node_name.is_some()) {
        return Err(Error::new("Must specify either driver or file"));
    }
    let mut node = None;
    let mut guessed = None;
    if !is_empty {
        check_leftover(&texts, &image)?;
        if texts_snapshot(opts, m) {
            // What is written is dropped, so the image is only read.
            image.read_only = Some(true);
        }
        let (opened, is_guessed) = m.blocks.open_image(&image)?;
        let is_raw = m
            .blocks
            .node(&opened)
            .is_some_and(|n| n.driver == BlockdevDriver::Raw);
        // Nothing can go wrong with what is only read.
        if is_guessed && is_raw && image.read_only != Some(true) {
            guessed = m.blocks.node(&opened).map(|n| n.filename.clone());
        }
        node = Some(opened);
    }
    let Place {
        interface,
        bus,
        unit,
    } = place;
    m.backend_add(Backend {
        name: name.clone(),
        interface,
        bus,
        unit,
        is_cdrom,
        node,
        group: (!limits.is_unlimited()).then(|| group.unwrap_or_else(|| name.clone())),
        limits,
        is_claimed: false,
        age: (0, 0),
    })?;
    Ok(NewDrive {
        name,
        interface,
        addr,
        guessed,
    })
}

/// The warning about an image without a format.
pub(crate) fn guess_warning(filename: &str) -> String {
    format!(
        "WARNING: Image format was not specified for '{filename}' and probing guessed raw.\n         \
         Automatically detecting the format is dangerous for raw images, write operations on \
         block 0 will be restricted.\n         Specify the 'raw' format explicitly to remove the \
         restrictions.\n"
    )
}

fn texts_snapshot(opts: &QemuOpts, m: &Machine) -> bool {
    match opts.get("snapshot") {
        Some(text) => matches!(text, "on" | "yes" | "true" | "y"),
        None => m.snapshots,
    }
}

/// `cache=` stands for two of its parts (`bdrv_parse_cache_mode`).
fn take_cache(texts: &mut Texts) -> Result<(), Error> {
    let Some(mode) = texts.take("cache") else {
        return Ok(());
    };
    let (direct, no_flush) = match mode.as_str() {
        "none" | "off" | "directsync" => ("on", "off"),
        "writeback" | "writethrough" => ("off", "off"),
        "unsafe" => ("off", "on"),
        _ => return Err(Error::new("invalid cache option")),
    };
    for (name, value) in [("cache.direct", direct), ("cache.no-flush", no_flush)] {
        texts.0.entry(name.to_owned()).or_insert(value.to_owned());
    }
    Ok(())
}

fn take_place(m: &Machine, texts: &mut Texts, default: Interface) -> Result<Place, Error> {
    let interface = match texts.take("if") {
        None => default,
        Some(name) => Interface::parse(&name)
            .ok_or_else(|| Error::new(format!("unsupported bus type '{name}'")))?,
    };
    let narrow = |n: Option<u64>| n.map(|n| n as u32);
    let (bus, unit) = (narrow(texts.number("bus")?), narrow(texts.number("unit")?));
    let index = narrow(texts.number("index")?);
    let units = interface.units(m.ide_units());
    let (mut bus, mut unit) = match index {
        Some(_) if bus.unwrap_or(0) != 0 || unit.is_some() => {
            return Err(Error::new("index cannot be used with bus and unit"));
        }
        Some(index) => match units {
            Some(units) => (index / units, Some(index % units)),
            None => (0, Some(index)),
        },
        None => (bus.unwrap_or(0), unit),
    };
    if unit.is_none() {
        let mut next = 0;
        while m.blocks.backends.at(interface, bus, next).is_some() {
            next += 1;
            if units.is_some_and(|units| next >= units) {
                next = 0;
                bus += 1;
            }
        }
        unit = Some(next);
    }
    let unit = unit.unwrap_or(0);
    if let Some(units) = units.filter(|units| unit >= *units) {
        let max = units - 1;
        return Err(Error::new(format!("unit {unit} too big (max is {max})")));
    }
    if m.blocks.backends.at(interface, bus, unit).is_some() {
        let index = bus * units.unwrap_or(0) + unit;
        return Err(Error::new(format!(
            "drive with bus={bus}, unit={unit} (index={index}) exists"
        )));
    }
    Ok(Place {
        interface,
        bus,
        unit,
    })
}

/// `ide0-hd1`, `virtio0`: the name of a drive that was given none.
fn automatic_name(place: &Place, is_cdrom: bool) -> String {
    let Place {
        interface,
        bus,
        unit,
    } = place;
    let name = interface.name();
    match (interface.tells_media(), is_cdrom) {
        (true, true) => format!("{name}{bus}-cd{unit}"),
        (true, false) => format!("{name}{bus}-hd{unit}"),
        (false, _) => format!("{name}{unit}"),
    }
}

fn check_on_error(texts: &mut Texts, interface: Interface) -> Result<(), Error> {
    let supported = matches!(
        interface,
        Interface::Ide | Interface::Scsi | Interface::Virtio | Interface::None
    );
    for (name, kind) in [("werror", "write"), ("rerror", "read")] {
        let Some(action) = texts.take(name) else {
            continue;
        };
        let reads_only = name == "rerror" && interface == Interface::Floppy;
        if !supported && !reads_only {
            let desc = format!("{name} is not supported by this bus type");
            return Err(Error::new(desc));
        }
        let known = ["ignore", "stop", "report"].contains(&action.as_str());
        let of_writes = action == "enospc" && name == "werror";
        if !known && !of_writes {
            let desc = format!("'{action}' invalid {kind} error action");
            return Err(Error::new(desc));
        }
    }
    Ok(())
}

fn take_limits(texts: &mut Texts) -> Result<(IoLimits, Option<String>), Error> {
    let mut limits = IoLimits::default();
    for (i, what) in ["total", "read", "write"].iter().enumerate() {
        for (kind, place) in [("bps", &mut limits.bps), ("iops", &mut limits.iops)] {
            let name = format!("throttling.{kind}-{what}");
            let number = texts.number(&name)?.unwrap_or(0);
            place[i] = i64::try_from(number).unwrap_or(-1);
            texts.number(&format!("{name}-max"))?;
            texts.number(&format!("{name}-max-length"))?;
        }
    }
    texts.number("throttling.iops-size")?;
    limits.check()?;
    Ok((limits, texts.take("throttling.group")))
}

fn take_image(texts: &mut Texts, is_cdrom: bool) -> Result<Image, Error> {
    if let Some(aio) = texts.take("aio") {
        if !["threads", "native", "io_uring"].contains(&aio.as_str()) {
            return Err(Error::new("invalid aio option"));
        }
    }
    let mut read_only = texts.flag("read-only")?;
    texts.flag("auto-read-only")?;
    texts.flag("copy-on-read")?;
    texts.flag("snapshot")?;
    if is_cdrom && read_only.is_none() {
        read_only = Some(true);
    }
    let direct = texts.flag("cache.direct")?.unwrap_or(false);
    let no_flush = texts.flag("cache.no-flush")?.unwrap_or(false);
    texts.flag("cache.writeback")?;
    let detect_zeroes = match texts.take("detect-zeroes") {
        None => None,
        Some(word) => {
            let parsed: Result<BlockdevDetectZeroesOptions, _> = word.parse();
            let bad = |_| Error::new(format!("invalid parameter value: {word}"));
            Some(parsed.map_err(bad)?)
        }
    };
    let (format, driver) = (texts.take("format"), texts.take("driver"));
    if format.is_some() && driver.is_some() {
        return Err(Error::new("Cannot specify both 'driver' and 'format'"));
    }
    let format = match format.or(driver) {
        None => None,
        Some(name) => {
            let unknown = |_| Error::new(format!("Unknown driver '{name}'"));
            Some(name.parse::<BlockdevDriver>().map_err(unknown)?)
        }
    };
    let below = texts.take("file.driver");
    let filename = texts.take("file").or_else(|| texts.take("file.filename"));
    let is_null = |d: BlockdevDriver| matches!(d, BlockdevDriver::NullCo | BlockdevDriver::NullAio);
    let null = match (below.as_deref(), filename.as_deref(), format) {
        (Some("null-co"), ..) | (_, Some("null-co://"), _) => Some(BlockdevDriver::NullCo),
        (Some("null-aio"), ..) | (_, Some("null-aio://"), _) => Some(BlockdevDriver::NullAio),
        (_, _, Some(driver)) if is_null(driver) => Some(driver),
        _ => None,
    };
    let size = texts.number("file.size")?.or(texts.number("size")?);
    for name in [
        "file.read-zeroes",
        "read-zeroes",
        "file.locking",
        "file.aio",
        "discard",
    ] {
        if filename.is_some() || null.is_some() {
            texts.take(name);
        }
    }
    let filename = filename.filter(|_| null.is_none());
    if let Some(scheme) = filename.as_deref().and_then(protocol) {
        return Err(Error::new(match missing_module(scheme) {
            Some(module) => format!(
                "{MISSING_MODULE} {module}. Perhaps you want to install qemu-block-extra or \
                 qemu-block-supplemental package?"
            ),
            None => format!("Unknown protocol '{scheme}'"),
        }));
    }
    Ok(Image {
        filename: filename.map(|name| name.strip_prefix("file:").unwrap_or(&name).to_owned()),
        null: null.map(|driver| (driver, size.unwrap_or(1 << 30))),
        format,
        node_name: texts.take("node-name"),
        read_only,
        direct,
        no_flush,
        detect_zeroes,
        no_backing: false,
    })
}

/// The protocol that a file name begins with, if it is not that of files.
fn protocol(filename: &str) -> Option<&str> {
    let (scheme, _) = filename.split_once(':')?;
    (!scheme.contains('/') && scheme != "file").then_some(scheme)
}

/// What images of qcow2 can be told about their tables.
const OF_QCOW2: &[&str] = &[
    "cache-clean-interval",
    "cache-size",
    "discard-no-unref",
    "l2-cache-entry-size",
    "l2-cache-size",
    "lazy-refcounts",
    "overlap-check",
    "overlap-check.template",
    "pass-discard-other",
    "pass-discard-request",
    "pass-discard-snapshot",
    "refcount-cache-size",
];

fn check_leftover(texts: &Texts, image: &Image) -> Result<(), Error> {
    let left = texts.0.keys().find(|name| {
        let name = name.as_str();
        let of_format = image.format != Some(BlockdevDriver::Raw) && OF_QCOW2.contains(&name);
        !ABOUT_THE_DRIVE.contains(&name) && !of_format && !name.starts_with("backing")
    });
    let Some(name) = left else { return Ok(()) };
    let probed = image
        .filename
        .as_ref()
        .and_then(|name| std::fs::File::open(name).ok());
    let guess = probed.map_or(BlockdevDriver::Raw, |file| probe(&file));
    let format = image.format.unwrap_or(guess);
    Err(Error::new(format!(
        "Block format '{}' does not support the option '{name}'",
        format.as_str()
    )))
}

/// The list of `format=help`, if an option asks for it.
pub(crate) fn format_help(opts: &QemuOpts) -> Option<String> {
    let wanted = matches!(opts.get("format"), Some("help" | "?"));
    wanted.then(|| {
        format!("Supported formats: {FORMATS}\nSupported formats (read-only): {FORMATS}\n")
    })
}

/// The drivers that QEMU lists.
const FORMATS: &str = "blkdebug blklogwrites blkreplay blkverify bochs cloop compress \
    copy-before-write copy-on-read dmg file ftp ftps gluster host_cdrom host_device http https \
    iscsi iser luks nbd nfs null-aio null-co nvme parallels preallocate qcow qcow2 qed quorum raw \
    rbd replication snapshot-access ssh throttle vdi vhdx vmdk vpc vvfat";
