//! The options about the parts of the machine: `-machine`,
//! `-accel`, `-cpu`, `-smp`, `-m`, `-boot`.
//!
//! Except for `-accel` and `-cpu` all of them are properties of the machine:
//! `-smp 2` is `-machine smp.cpus=2`. So they go into one dictionary, in which a
//! later option overrides an earlier one, and which is applied once the type of
//! the machine is known.

use super::option_groups::MEM_OPTS;
use crate::model::accel::Accel;
use crate::model::board::{default_class, find_class, MachineClass, Topology, NONE};
use crate::model::cpu::CpuOption;
use crate::schema::{BootConfiguration, SMPConfiguration};
use qmonitor::qapi::visit::{keyval_parse, to_qobject, InputVisitor, QapiType};
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};
use qmonitor::util::qemu_opts::{parse_option_number, qapi_bool_parse, QemuOpts, QemuOptsList};
use qmonitor::Profile;

/// The parameters of `-accel`: any, since each accelerator has its own.
static ACCEL_OPTS: QemuOptsList = QemuOptsList {
    name: "accel",
    implied_opt_name: Some("accel"),
    desc: &[],
    extensions: &[],
};

/// The parts of the machine.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// The machine type.
    pub class: &'static MachineClass,
    /// Whether an option names the type.
    has_type: bool,
    /// Properties of the machine's object.
    pub properties: QDict,
    /// The id of the object that is its memory.
    pub memory_backend: Option<String>,
    /// How much memory it has, in bytes.
    pub ram_size: Option<u64>,
    /// How much memory it can have, and how many modules of it.
    pub max_ram_size: Option<u64>,
    #[allow(missing_docs)]
    pub ram_slots: Option<u64>,
    /// `-mem-path`
    pub mem_path: Option<String>,
    /// The processors, if not those that the type has by default.
    pub cpu: Option<CpuOption>,
    /// The options of `-smp`, as given.
    smp: QDict,
    /// The options of `-boot`, as given.
    boot: QDict,
    /// The accelerators to try: from `-machine accel=a:b`, and from `-accel`.
    machine_accel: Option<String>,
    accels: Vec<String>,
}

impl Default for Hardware {
    fn default() -> Self {
        Hardware {
            class: &NONE,
            has_type: false,
            properties: QDict::new(),
            memory_backend: None,
            ram_size: None,
            max_ram_size: None,
            ram_slots: None,
            mem_path: None,
            cpu: None,
            smp: QDict::new(),
            boot: QDict::new(),
            machine_accel: None,
            accels: Vec::new(),
        }
    }
}

impl Hardware {
    /// Chooses the type that a program of this name has by default, if no option names one.
    pub fn choose_default_type(&mut self, profile: Profile, program: &str) {
        if !self.has_type {
            self.class = default_class(profile, program);
        }
    }

    /// Takes the argument of `-machine`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or there is no such type.
    pub fn take_machine(&mut self, profile: Profile, arg: &str) -> Result<(), Error> {
        for (name, value) in keyval_parse(arg, Some("type"))? {
            match (name.as_str(), value) {
                ("type", QObject::String(name)) => {
                    self.class = find_class(profile, &name).ok_or_else(|| {
                        Error::new(format!("unsupported machine type: \"{name}\""))
                            .with_hint("Use -machine help to list supported machines\n")
                    })?;
                    self.has_type = true;
                }
                // What only another accelerator would read.
                ("kernel-irqchip" | "kernel_irqchip" | "kvm-shadow-mem" | "kvm_shadow_mem", _) => {}
                ("memory-backend", QObject::String(id)) => self.memory_backend = Some(id),
                ("accel", QObject::String(names)) => self.machine_accel = Some(names),
                ("smp", QObject::Dict(smp)) => merge(&mut self.smp, smp),
                ("boot", QObject::Dict(boot)) => merge(&mut self.boot, boot),
                (_, value) => {
                    self.properties.insert(name, value);
                }
            }
        }
        Ok(())
    }

    /// Checks how much memory the machine can have.
    ///
    /// # Errors
    ///
    /// It is less than there is, or is not given.
    pub fn check_memory(&self) -> Result<(), Error> {
        let size = self.ram_size.or(self.class.default_ram_size()).unwrap_or(0);
        match (self.max_ram_size, self.ram_slots) {
            (None, Some(slots)) if slots > 0 => Err(Error::new("slots specified but no max-size")),
            (Some(max), _) if max < size => Err(Error::new(format!(
                "invalid value of maxmem: maximum memory size (0x{max:x}) must be at least the \
                 initial memory size (0x{size:x})"
            ))),
            (_, Some(slots)) if self.class.is_pc() && slots > SLOTS_MAX => Err(Error::new(
                format!("unsupported amount of memory slots: {slots}"),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses to write a device tree, which no machine here has.
    ///
    /// # Errors
    ///
    /// An option asks for it.
    pub fn refuse_device_tree(&self) -> Result<(), Error> {
        if self.properties.get("dumpdtb").is_none() {
            return Ok(());
        }
        Err(Error::new("This machine doesn't have an FDT").with_hint(
            "(Perhaps it doesn't support FDT at all, or perhaps you need to provide an FDT with \
             the -fdt option?)\n",
        ))
    }

    /// Takes an accelerator as `-machine accel=` gives it.
    pub fn set_machine_accel(&mut self, name: &str) {
        self.machine_accel = Some(name.to_owned());
    }

    /// Takes the argument of `-smp`.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn take_smp(&mut self, arg: &str) -> Result<(), Error> {
        merge(&mut self.smp, keyval_parse(arg, Some("cpus"))?);
        Ok(())
    }

    /// Takes the argument of `-boot`.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn take_boot(&mut self, arg: &str) -> Result<(), Error> {
        merge(&mut self.boot, keyval_parse(arg, Some("order"))?);
        Ok(())
    }

    /// Takes the argument of `-m`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is too much.
    pub fn take_memory(&mut self, arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
        let opts = QemuOpts::parse(&MEM_OPTS, arg, warnings)?;
        self.max_ram_size = opts.get_number("maxmem");
        self.ram_slots = opts.get_number("slots");
        let Some(text) = opts.get("size") else {
            return Ok(());
        };
        if text.is_empty() {
            return Err(Error::new("missing 'size' option value"));
        }
        let size = opts.get_number("size").unwrap_or_default();
        // A number without a suffix is in MiB here, and only here.
        let size = if text.ends_with(|c: char| c.is_ascii_digit()) {
            size.checked_mul(1 << 20)
        } else {
            Some(size)
        };
        let size = size.ok_or_else(|| Error::new("ram size too large"))?;
        // The largest sizes wrap around to none, as in QEMU.
        self.ram_size = Some(size.div_ceil(8192).wrapping_mul(8192));
        Ok(())
    }

    /// Takes the argument of `-accel`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the accelerator has no such property. Whether there
    /// is such an accelerator is seen later, since another may do.
    pub fn take_accel(&mut self, arg: &str, warnings: &mut Vec<Error>) -> Result<(), Error> {
        let opts = QemuOpts::parse(&ACCEL_OPTS, arg, warnings)?;
        let accel = opts.get("accel").unwrap_or_default().to_owned();
        if accel == "tcg" {
            for (name, value) in opts.iter() {
                match name {
                    "accel" => {}
                    "split-wx" | "one-insn-per-tb" => drop(qapi_bool_parse(name, value)?),
                    "tb-size" => check_tb_size(value)?,
                    "thread" if matches!(value, "single" | "multi") => {}
                    "thread" => {
                        return Err(Error::new(format!("Invalid 'thread' setting {value}")))
                    }
                    _ => {
                        let desc = format!("Property 'tcg-accel.{name}' not found");
                        return Err(Error::new(desc));
                    }
                }
            }
        }
        self.accels.push(accel);
        Ok(())
    }

    /// Chooses the first accelerator that works (`configure_accelerators`). Failures of those before are added to `reports`.
    ///
    /// # Errors
    ///
    /// None works, or they were named in both ways.
    pub fn choose_accel(&self, reports: &mut Vec<Error>) -> Result<Accel, Error> {
        let names: Vec<(String, &str)> = match &self.machine_accel {
            Some(_) if !self.accels.is_empty() => {
                return Err(Error::new(
                    "The -accel and \"-machine accel=\" options are incompatible",
                ));
            }
            Some(names) => {
                let names = names.split(':').filter(|name| !name.is_empty());
                names.map(|name| (String::new(), name)).collect()
            }
            None if self.accels.is_empty() => return Ok(Accel::default()),
            None => {
                let names = self.accels.iter().map(String::as_str);
                names
                    .map(|name| (format!("-accel {name}: "), name))
                    .collect()
            }
        };
        for (location, name) in &names {
            if let Some(accel) = Accel::of_name(name) {
                if !reports.is_empty() {
                    reports.push(Error::new(format!("falling back to {name}")));
                }
                return Ok(accel);
            }
            match *name {
                "kvm" => reports.push(Error::new(format!(
                    "{location}failed to initialize kvm: Function not implemented"
                ))),
                _ => {
                    let desc = format!("{location}invalid accelerator {name}");
                    reports.push(Error::new(desc));
                }
            }
        }
        Err(match reports.pop() {
            Some(last) => last,
            None => Error::new("no accelerator found"),
        })
    }

    /// How the processors are arranged.
    ///
    /// # Errors
    ///
    /// As [`Topology::complete`].
    pub fn topology(&self) -> Result<Topology, Error> {
        let config: SMPConfiguration = visit("smp", &self.smp)?;
        Topology::complete(&config, self.class)
    }

    /// The value of the machine's property `boot`.
    ///
    /// # Errors
    ///
    /// There is no such device, or one comes twice.
    pub fn boot(&self) -> Result<QObject, Error> {
        let mut config: BootConfiguration = visit("boot", &self.boot)?;
        for order in [&config.order, &config.once].into_iter().flatten() {
            check_boot_order(order)?;
        }
        if self.class.is_pc() {
            check_boot_times(&config)?;
        }
        if self.class.is_pc() && config.order.is_none() {
            config.order = Some("cad".to_owned());
        }
        Ok(to_qobject(&config))
    }
}

/// Adds options; a new value replaces an old one.
fn merge(into: &mut QDict, new: QDict) {
    for (name, value) in new {
        into.insert(name, value);
    }
}

/// Reads options as a type of the schema; `name` stands in front in messages.
fn visit<T: QapiType>(name: &str, options: &QDict) -> Result<T, Error> {
    let dict: QDict = [(name, QObject::Dict(options.clone()))]
        .into_iter()
        .collect();
    let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
    v.start_struct("")?;
    T::visit_in(&mut v, name)
}

/// How many modules of memory a PC takes.
const SLOTS_MAX: u64 = 256;

/// The size of the translations, in MiB.
fn check_tb_size(value: &str) -> Result<(), Error> {
    let refused = |kind: &str| Error::new(format!("Parameter 'tb-size' expects {kind}"));
    match parse_option_number("tb-size", value) {
        Ok(number) if u32::try_from(number).is_ok() => Ok(()),
        Ok(_) => Err(refused("uint32_t")),
        Err(_) => Err(refused("uint64")),
    }
}

/// Times in milliseconds that firmware reads as 16 bits.
fn check_boot_times(config: &BootConfiguration) -> Result<(), Error> {
    let outside = |time: Option<i64>, least| time.is_some_and(|n| !(least..=65535).contains(&n));
    if outside(config.splash_time, 0) {
        let desc = "splash-time is invalid,it should be a value between 0 and 65535";
        return Err(Error::new(desc));
    }
    if outside(config.reboot_timeout, -1) {
        let desc = "reboot timeout is invalid,it should be a value between -1 and 65535";
        return Err(Error::new(desc));
    }
    Ok(())
}

/// Letters of drives, each at most once (`validate_bootdevices`).
fn check_boot_order(order: &str) -> Result<(), Error> {
    for (i, device) in order.char_indices() {
        if !('a'..='p').contains(&device) {
            return Err(Error::new(format!("Invalid boot device '{device}'")));
        }
        if order[..i].contains(device) {
            return Err(Error::new(format!(
                "Boot device '{device}' was given twice"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(args: &[&str]) -> Result<Hardware, Error> {
        let mut hardware = Hardware::default();
        args.iter()
            .try_for_each(|arg| hardware.take_machine(Profile::V10_0, arg))?;
        Ok(hardware)
    }

    #[test]
    fn memory_is_in_mebibytes_unless_it_says_otherwise() {
        for (arg, bytes) in [
            ("1", 1 << 20),
            ("1k", 8192),
            ("2M", 2 << 20),
            ("1G,slots=2,maxmem=2G", 1 << 30),
            ("0xffffffffffffffee", 0),
        ] {
            let mut hardware = Hardware::default();
            hardware.take_memory(arg, &mut Vec::new()).unwrap();
            assert_eq!(hardware.ram_size, Some(bytes), "{arg}");
        }
    }

    #[test]
    fn options_of_the_machine_add_up_and_later_ones_win() {
        let mut hardware = machine(&[
            "pc,acpi=off,smp.cpus=2,boot.menu=on,memory-backend=m",
            "type=q35,acpi=on",
        ])
        .unwrap();
        assert_eq!(hardware.class.name, "pc-q35-10.0");
        assert_eq!(hardware.properties.get_str("acpi"), Some("on"));
        assert_eq!(hardware.memory_backend.as_deref(), Some("m"));
        hardware.take_smp("sockets=2").unwrap();
        let topology = hardware.topology().unwrap();
        assert_eq!((topology.cpus, topology.sockets), (2, 2));
        hardware.take_boot("d,strict=on").unwrap();
        let boot = hardware.boot().unwrap();
        let boot = boot.as_dict().unwrap();
        assert_eq!(boot.get_str("order"), Some("d"));
        assert_eq!(boot.get("strict"), Some(&true.into()));
        assert_eq!(boot.get("menu"), Some(&true.into()));
    }

    #[test]
    fn a_pc_boots_from_something_unless_told_otherwise() {
        let order = |args: &[&str]| machine(args).unwrap().boot().unwrap();
        let cad: QDict = [("order", "cad")].into_iter().collect();
        assert_eq!(order(&["pc"]), cad.into());
        assert_eq!(order(&["none"]), QDict::new().into());
    }

    #[test]
    fn errors_name_the_culprit() {
        let bad = machine(&["foo"]).unwrap_err();
        assert_eq!(bad.desc(), "unsupported machine type: \"foo\"");
        for (smp, desc) in [
            ("2,foo=1", "Parameter 'smp.foo' is unexpected"),
            ("cpus=x", "Parameter 'smp.cpus' expects integer"),
        ] {
            let mut hardware = Hardware::default();
            hardware.take_smp(smp).unwrap();
            assert_eq!(hardware.topology().unwrap_err().desc(), desc);
        }
        for (boot, desc) in [
            ("strict=x", "Parameter 'boot.strict' expects 'on' or 'off'"),
            ("foo=1", "Parameter 'boot.foo' is unexpected"),
            ("order=xyz", "Invalid boot device 'x'"),
            ("once=dd", "Boot device 'd' was given twice"),
        ] {
            let mut hardware = Hardware::default();
            hardware.take_boot(boot).unwrap();
            assert_eq!(hardware.boot().unwrap_err().desc(), desc);
        }
        for (accel, desc) in [
            ("tcg,foo=1", "Property 'tcg-accel.foo' not found"),
            ("tcg,thread=x", "Invalid 'thread' setting x"),
        ] {
            let e = Hardware::default().take_accel(accel, &mut Vec::new());
            assert_eq!(e.unwrap_err().desc(), desc);
        }
    }

    #[test]
    fn the_first_accelerator_that_works_is_taken() {
        let chosen = |machine_accel: Option<&str>, accels: &[&str]| {
            let hardware = Hardware {
                machine_accel: machine_accel.map(str::to_owned),
                accels: accels.iter().map(|a| (*a).to_owned()).collect(),
                ..Hardware::default()
            };
            let mut reports = Vec::new();
            let result = hardware.choose_accel(&mut reports);
            let mut texts: Vec<_> = reports.iter().map(|e| e.desc().to_owned()).collect();
            texts.extend(result.err().map(|e| format!("fatal: {}", e.desc())));
            texts
        };
        let none: [&str; 0] = [];
        assert_eq!(chosen(None, &[]), none);
        assert_eq!(chosen(Some("tcg"), &[]), none);
        assert_eq!(
            chosen(Some("kvm:tcg"), &[]),
            [
                "failed to initialize kvm: Function not implemented",
                "falling back to tcg"
            ]
        );
        assert_eq!(
            chosen(None, &["foo", "tcg"]),
            ["-accel foo: invalid accelerator foo", "falling back to tcg"]
        );
        assert_eq!(chosen(Some("foo"), &[]), ["fatal: invalid accelerator foo"]);
        assert_eq!(chosen(Some(""), &[]), ["fatal: no accelerator found"]);
        assert_eq!(
            chosen(Some("tcg"), &["tcg"]),
            ["fatal: The -accel and \"-machine accel=\" options are incompatible"]
        );
    }
}
