//! What the options ask for, made one kind after the other: the runtime with its machine,
//! objects, back ends, the board, devices. `vl` has the order.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::char_options::{report_about, CharOptions};
use super::cli::Opt;
use super::hardware::Hardware;
use super::option_table::OPTION_GROUPS;
use super::report::{Failure, Location, Pending, Reporter};
use super::settings::Settings;
use super::vc::Vc;
use super::vdagent::Vdagent;
use crate::{Machine, MachineOptions};
use qmonitor::chardev::ChardevHost;
use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::Error;
use qmonitor::{InheritedFds, Runtime};

/// A runtime with the machine and no chardevs.
pub(super) fn make_runtime(
    settings: &Settings,
    inherited: InheritedFds,
    time: TimeSource,
    reporter: &Reporter,
) -> Result<Runtime<Machine>, Failure> {
    let hardware = &settings.hardware;
    let mut machine = Machine::new(MachineOptions {
        profile: settings.policy.profile,
        class: hardware.class,
        topology: hardware.topology()?,
        memory_slots: hardware.ram_slots.unwrap_or(0),
        max_ram_size: hardware.max_ram_size.unwrap_or(0),
        ..settings.machine.clone()
    });
    machine.globals.clone_from(&settings.globals);
    machine.migration.dirty_rate = settings.dirty_rate;
    machine.migration.only_migratable = settings.only_migratable;
    machine.audiodevs.clone_from(&settings.audiodevs);
    machine.host = settings.host_parts();
    machine.set_properties(&hardware.properties, hardware.boot()?)?;
    if let Some(path) = &settings.log_file {
        machine.log.set_name(path).map_err(Error::new)?;
    }
    machine.blocks.has_threads = time.is_system();
    let mut rt = Runtime::with_time(machine, time)
        .map_err(|e| Error::from_io("the main loop cannot be made", &e))?;
    report_about(&mut rt, reporter, None);
    rt.chardevs_mut().register::<Vc>("vc");
    rt.chardevs_mut().register::<Vdagent>("qemu-vdagent");
    rt.set_compat_policy(settings.policy);
    rt.chardevs_mut().set_inherited_fds(inherited);
    rt.set_preconfig(settings.machine.preconfig);
    rt.set_options(OPTION_GROUPS);
    crate::commands::register(&mut rt);
    crate::commands::take_clock_in_hand(&mut rt);
    // The sets have duplicates, so one descriptor may be in several. The numbers that were
    // passed on are free again when all are made, as in QEMU.
    let mut originals = HashMap::new();
    for add in &settings.add_fds {
        let option = format!("-add-fd fd={},set={}", add.fd, add.set);
        let location = Some(Location::CommandLine(option));
        let failed = |e| Failure::at(&location, e);
        let missing = |_| failed(Error::new("fd is not valid or already in use"));
        let original = match originals.entry(add.fd) {
            Entry::Occupied(original) => original.into_mut(),
            Entry::Vacant(place) => {
                let inherited = rt.chardevs_mut().inherited_fds_mut();
                place.insert(inherited.take(add.fd).map_err(missing)?)
            }
        };
        let fd = original.try_clone().map_err(missing)?;
        rt.add_fd(add.set, fd, add.opaque.clone()).map_err(failed)?;
    }
    Ok(rt)
}

/// Objects come before chardevs, which may use them; but monitors use chardevs.
#[derive(PartialEq, Eq)]
pub(super) enum Stage {
    BeforeChardevs,
    AfterChardevs,
}

pub(super) fn make_objects(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
    stage: Stage,
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Object) {
        let late = crate::commands::is_made_after_chardevs(rt, &item.arg);
        if late == (stage == Stage::AfterChardevs) {
            report_about(rt, reporter, item.location.as_ref());
            if matches!(item.location, Some(Location::File { .. })) {
                let made = crate::commands::object_from_text(rt, &item.arg);
                made.map_err(|e| item.failed(e))?;
                continue;
            }
            let options = crate::commands::object_of_option(rt, &item.arg);
            let options = options.map_err(|e| item.failed(e))?;
            // QEMU has read all options by now, and no longer tells which is wrong.
            let id = rt.state.object_add(options, rt.policy())?;
            let is_monitor = rt.state.monitor_wanted(id).is_some();
            let attached = crate::commands::attach(rt, id);
            if is_monitor && rt.profile().has_monitor_objects() {
                // QEMU looks for the chardev when all options are done with.
                attached?;
            } else {
                attached.map_err(|e| item.failed(e))?;
            }
        }
    }
    Ok(())
}

/// Makes the chardevs of debug consoles, and returns the options, whose devices come last.
pub(super) fn make_debug_consoles<'a>(
    rt: &mut Runtime<Machine>,
    chars: &CharOptions,
    pending: &'a [Pending],
    reporter: &Reporter,
) -> Result<Vec<&'a Pending>, Failure> {
    let items: Vec<&Pending> = pending.iter().filter(|p| p.opt == Opt::Debugcon).collect();
    for item in &items {
        let then = format!("invalid character backend '{}'", item.arg);
        chars.make_one(rt, reporter, "debugcon", item, &item.arg, then)?;
    }
    Ok(items)
}

/// Makes the chardevs on which debuggers would be served.
pub(super) fn make_debuggers(
    rt: &mut Runtime<Machine>,
    chars: &CharOptions,
    pending: &[Pending],
    reporter: &Reporter,
) -> Result<(), Failure> {
    for item in pending {
        let device = match item.opt {
            Opt::Gdb => item.arg.as_str(),
            Opt::GdbShort => "tcp::1234",
            _ => continue,
        };
        if !rt.state.class.is_pc() {
            let desc = "gdbstub: meaningless to attach gdb to a machine without any CPU.";
            return Err(item.failed(Error::new(desc)));
        }
        if device == "none" {
            continue;
        }
        let mut device = device.to_owned();
        if device.starts_with("tcp:") {
            device += ",wait=off,nodelay=on,server=on";
        }
        let then = "gdbstub: couldn't create chardev".to_owned();
        chars.make_one(rt, reporter, "gdb", item, &device, then)?;
    }
    Ok(())
}

/// Memory and processors.
pub(super) fn make_processors(
    rt: &mut Runtime<Machine>,
    hardware: &Hardware,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let class = hardware.class;
    if class.is_deprecated() {
        let text = format!(
            "Machine type '{}' is deprecated: machines more than 3 years old are subject to \
             deletion after 6 years",
            class.name
        );
        reporter.warning(None, &Error::new(text));
    }
    let backend = hardware.memory_backend.as_deref();
    rt.state.check_memory_id(backend)?;
    rt.state.init_memory(hardware.ram_size, backend)?;
    let mut warnings = Vec::new();
    let made = rt
        .state
        .init_processors(hardware.cpu.clone(), &mut warnings);
    for w in &warnings {
        reporter.warning(None, w);
    }
    Ok(made?)
}

pub(super) fn make_netdevs(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Netdev) {
        let mut warnings = Vec::new();
        let result = crate::commands::netdev_from_cli(rt, &item.arg, &mut warnings);
        item.warn(reporter, &warnings);
        result.map_err(|e| item.failed(e))?;
    }
    Ok(())
}

pub(super) fn make_blockdevs(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
) -> Result<(), Failure> {
    for item in pending.iter().filter(|p| p.opt == Opt::Blockdev) {
        crate::commands::blockdev_from_cli(rt, &item.arg).map_err(|e| item.failed(e))?;
    }
    Ok(())
}

pub(super) fn make_devices(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    reporter: &Reporter,
) -> Result<(), Failure> {
    let mut ids = HashSet::new();
    for item in pending.iter().filter(|p| p.opt == Opt::Device) {
        if let Some(id) = option_id(&item.arg).filter(|id| !ids.insert(id.clone())) {
            let desc = format!("Duplicate ID '{id}' for device");
            return Err(item.failed(Error::new(desc)));
        }
        let mut warnings = Vec::new();
        let result = crate::commands::device_from_cli(rt, &item.arg, &mut warnings);
        item.warn(reporter, &warnings);
        result.map_err(|e| item.failed(e))?;
    }
    Ok(())
}

/// The id in an option that is no JSON.
fn option_id(arg: &str) -> Option<String> {
    let mut words = arg.rsplit(',').filter_map(|word| word.strip_prefix("id="));
    words
        .next()
        .filter(|_| !arg.starts_with('{'))
        .map(str::to_owned)
}
