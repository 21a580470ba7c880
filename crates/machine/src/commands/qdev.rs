//! Devices: `qdev.json`, and the option `-device`.

use std::time::Duration;

use super::hmp::{fail, nothing, Cx};
use super::objects::lend_chardev;
use super::qom::property_info;
use super::qom::ChardevNodes;
use crate::model::qdev::{default_port, device_help_wanted, DeviceClass, DeviceOptions, Unplugged};
use crate::model::qom::{Node, ObjectId, Resolution};
use crate::model::types::device_list_properties;
use crate::model::Deletion;
use crate::schema::{
    qapi_event_send_device_deleted, ObjectPropertyInfo, QdevCommands, QueriesTextCommands,
};
use crate::Machine;
use qmonitor::chardev::{
    qemu_chr_fe_deinit, qemu_chr_fe_set_handlers, qemu_chr_find, CharHandlers,
};
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::json::qobject_from_json_in;
use qmonitor::qapi::{Call, Error, ErrorClass, QDict, QObject};
use qmonitor::util::qemu_opts::{QemuOpts, QemuOptsList};
use qmonitor::Runtime;

/// The parameters of `-device` and HMP's `device_add` (`qemu_device_opts`): any, since
/// each model has its own.
static QEMU_DEVICE_OPTS: QemuOptsList = QemuOptsList {
    name: "device",
    implied_opt_name: Some("driver"),
    desc: &[],
    extensions: &[],
};

/// Carries out `-device`, whose argument is JSON or `DRIVER,key=value,...`.
///
/// # Errors
///
/// The text cannot be read, or as `device_add`.
pub fn device_from_cli(
    rt: &mut Runtime<Machine>,
    text: &str,
    warnings: &mut Vec<Error>,
) -> Result<(), Error> {
    if text.starts_with('{') {
        let dialect = rt.profile().dialect();
        let args = match qobject_from_json_in(dialect, text.as_bytes())? {
            QObject::Dict(dict) => dict,
            _ => QDict::new(),
        };
        return device_add(rt, DeviceOptions::new(args, false)?, false);
    }
    let args = QemuOpts::parse(&QEMU_DEVICE_OPTS, text, warnings)?.to_qdict();
    device_add(rt, DeviceOptions::new(args, true)?, false)
}

/// Reads the options of HMP's `device_add`.
///
/// # Errors
///
/// The text cannot be read.
pub(super) fn device_options(text: &str, warnings: &mut Vec<Error>) -> Result<QDict, Error> {
    Ok(QemuOpts::parse(&QEMU_DEVICE_OPTS, text, warnings)?.to_qdict())
}

/// Makes a device and lends it its chardev.
fn device_add(
    rt: &mut Runtime<Machine>,
    options: DeviceOptions,
    hotplugged: bool,
) -> Result<(), Error> {
    let policy = rt.policy();
    let id = rt.state.device_add(&options, hotplugged, policy)?;
    let result = attach_chardev(rt, id).and_then(|()| attach_netdev(rt, id));
    if result.is_err() {
        rt.state.unparent(id);
    }
    result
}

/// Makes an adapter of the board; false if there is no such model.
///
/// # Errors
///
/// Its place is taken, or its back end.
pub fn board_nic(
    rt: &mut Runtime<Machine>,
    model: &str,
    properties: &[(&str, &str)],
) -> Result<bool, Error> {
    let Some(id) = rt.state.add_board_device(model, None, properties)? else {
        return Ok(false);
    };
    attach_netdev(rt, id)?;
    Ok(true)
}

/// Wires an adapter to its back end.
fn attach_netdev(rt: &mut Runtime<Machine>, id: ObjectId) -> Result<(), Error> {
    let m = &mut rt.state;
    let Some(class) = m.object(id).map(|o| o.class()) else {
        return Ok(());
    };
    if class.property("netdev").is_none() || class.property("mac").is_none() {
        return Ok(());
    }
    let netdev = m.str_property(id, "netdev");
    let netdev = (!netdev.is_empty()).then_some(netdev);
    if let Some(netdev) = &netdev {
        // The part of a virtio adapter behind PCI has the property.
        let backend = class
            .class::<DeviceClass>()
            .and_then(|device| device.backend);
        let model = backend.map_or(class.name, |(_, backend)| backend);
        match m.net.peer(netdev) {
            None => {
                let desc = format!("Property '{model}.netdev' can't find value '{netdev}'");
                return Err(Error::new(desc));
            }
            Some(Some(_)) => {
                return Err(Error::new(format!(
                    "Property '{model}.netdev' can't take value '{netdev}', it's in use"
                )));
            }
            Some(None) => {}
        }
    }
    let name = m.device_id(id).map(str::to_owned);
    let mac = m.str_property(id, "mac");
    let name = m
        .net
        .add_nic(name.as_deref(), class.name, &mac, netdev.as_deref());
    let mac = m.net.client(&name).and_then(|nic| nic.mac.clone());
    if let Some(mac) = mac {
        m.store_by_name(id, "mac", mac);
    }
    m.nics.insert(id, name);
    Ok(())
}

fn attach_chardev(rt: &mut Runtime<Machine>, id: ObjectId) -> Result<(), Error> {
    let label = rt.state.str_property(id, "chardev");
    if label.is_empty() {
        return Ok(());
    }
    let class = rt.state.object(id).map_or("device", |o| o.class().name);
    if qemu_chr_find(rt, &label).is_none() {
        return Err(Error::new(format!(
            "Property '{class}.chardev' can't find value '{label}'"
        )));
    }
    let frontend = lend_chardev(rt, &label).map_err(|_| {
        Error::new(format!(
            "Property '{class}.chardev' can't take value '{label}', it's in use"
        ))
    })?;
    // A port of the board is always open; the guest opens a port of virtio-serial.
    if default_port(class).is_some() {
        qemu_chr_fe_set_handlers(rt, frontend, Some(UNHEARD), 0);
    }
    rt.state.frontends.insert(id, frontend);
    Ok(())
}

/// The port of a guest that does not run: what comes is lost. As a user of a mux it can
/// have the focus.
const UNHEARD: CharHandlers<Runtime<Machine>> = CharHandlers {
    can_read: |_, _| 4096,
    read: |_, _, _| {},
    event: |_, _, _| {},
    new_client: None,
    drained: None,
    backlog: None,
    safe_start: 0,
};

/// Makes the board's serial or parallel ports on these chardevs; a port may be left out.
/// The empty machine has no place for ports.
///
/// # Errors
///
/// A chardev has another user.
pub fn add_ports(
    rt: &mut Runtime<Machine>,
    kind: &str,
    labels: &[Option<String>],
) -> Result<(), Error> {
    for (index, label) in labels.iter().enumerate() {
        let Some(label) = label else { continue };
        if let Some(id) = rt.state.add_port(kind, index, label) {
            attach_chardev(rt, id)?;
        }
    }
    Ok(())
}

impl QdevCommands for Machine {
    fn qmp_device_add(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        device_add(rt, DeviceOptions::new(call.take_args(), false)?, true)
    }

    fn qmp_device_list_properties(
        rt: &mut Runtime<Self>,
        typename: String,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let list = device_list_properties(rt.profile(), &typename)?;
        Ok(list.into_iter().map(property_info).collect())
    }

    /// Looks an id up below `/machine/peripheral`; the empty id is that container itself
    /// (`find_device_state`).
    fn qmp_device_del(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        let device = find_device(rt, &id)?;
        let name = rt.state.device_id(device).map(str::to_owned);
        let Unplugged::Gone(path) = rt.state.device_unplug(device)? else {
            return Ok(());
        };
        release(rt, device);
        announce(rt, Deletion { name, path });
        Ok(())
    }
}

/// Gives back what a device used that is gone.
fn release(rt: &mut Runtime<Machine>, device: ObjectId) {
    if let Some(nic) = rt.state.nics.remove(&device) {
        rt.state.net.remove_nic(&nic);
    }
    if let Some(frontend) = rt.state.frontends.remove(&device) {
        qemu_chr_fe_deinit(rt, frontend, false);
    }
}

/// Takes the devices away that were to go, as a reset of the board does.
pub(super) fn finish_unplugs(rt: &mut Runtime<Machine>) {
    for (device, name, paths) in rt.state.finish_unplugs() {
        release(rt, device);
        let last = paths.len() - 1;
        for (at, path) in paths.into_iter().enumerate() {
            let name = name.clone().filter(|_| at == last);
            qapi_event_send_device_deleted(rt, name, path);
        }
    }
}

/// The time from the reply to the event of a deletion. QEMU takes about as long to drop
/// the last reference to the object; and libvirt waits five seconds in vain if it
/// reads the reply and the event at once.
const DELETION_TAKES: Duration = Duration::from_millis(10);

/// Sends the event of a deletion, some time later.
fn announce(rt: &mut Runtime<Machine>, deletion: Deletion) {
    rt.state.deletions.push(deletion);
    let timer = match rt.state.deletion_timer {
        Some(timer) => timer,
        None => {
            let main_loop = rt.main_loop_mut();
            let timer = main_loop.timer_new(ClockType::Realtime, "device_deleted", tell_deletions);
            *rt.state.deletion_timer.insert(timer)
        }
    };
    rt.main_loop_mut().timer_mod_in(timer, DELETION_TAKES);
}

fn tell_deletions(rt: &mut Runtime<Machine>) {
    for deletion in std::mem::take(&mut rt.state.deletions) {
        qapi_event_send_device_deleted(rt, deletion.name, deletion.path);
    }
}

fn find_device(rt: &Runtime<Machine>, id: &str) -> Result<ObjectId, Error> {
    let chardevs = ChardevNodes(rt);
    let absolute = id.is_empty() || id.starts_with('/');
    let found = match absolute {
        false => rt.state.find_device(id).map(Node::Object),
        true if id.is_empty() => return Err(Error::new(format!("{id} is not a device"))),
        true => match rt.state.resolve_path(id, &chardevs) {
            Resolution::Found(node) => Some(node),
            _ => None,
        },
    };
    let node = found.ok_or_else(|| {
        Error::with_class(
            ErrorClass::DeviceNotFound,
            format!("Device '{id}' not found"),
        )
    })?;
    let device = |id: &ObjectId| {
        let object = rt.state.object(*id);
        object.is_some_and(|o| o.class().is_a("device"))
    };
    match node {
        Node::Object(object) => Some(object).filter(device),
        Node::Chardev(_) | Node::Part(..) => None,
    }
    .ok_or_else(|| Error::new(format!("{id} is not a device")))
}

const PATH: HmpArg = HmpArg::new("path", Str);
const QUEUE: HmpArg = HmpArg::new("queue", Int32);

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "device_add",
            "driver[,prop=value][,...]",
            "add device, like -device on the command line",
        )
        .args(&[HmpArg::new("device", Options("device")).completes(CompletionKind::DeviceTypes)]),
        hmp_device_add,
    ),
    (
        HmpRow::new("device_del", "device", "remove device")
            .args(&[HmpArg::new("device", Str).completes(CompletionKind::DeviceIds)]),
        hmp_device_del,
    ),
    (
        HmpRow::new(
            "pcie_aer_inject_error",
            "[-a] [-c] id <error_status> [<tlp header> [<tlp header prefix>]]",
            "inject pcie aer error\n\t\t\t \
             -a for advisory non fatal error\n\t\t\t \
             -c for correctable error\n\t\t\t\
             <id> = qdev device id\n\t\t\t\
             <error_status> = error string or 32bit\n\t\t\t\
             <tlp header> = 32bit x 4\n\t\t\t\
             <tlp header prefix> = 32bit x 4",
        )
        .args(&[
            HmpArg::new("advisory_non_fatal", Flag('a')),
            HmpArg::new("correctable", Flag('c')),
            HmpArg::new("id", Str),
            HmpArg::new("error_status", Str),
            HmpArg::new("header0", Int32).optional(),
            HmpArg::new("header1", Int32).optional(),
            HmpArg::new("header2", Int32).optional(),
            HmpArg::new("header3", Int32).optional(),
            HmpArg::new("prefix0", Int32).optional(),
            HmpArg::new("prefix1", Int32).optional(),
            HmpArg::new("prefix2", Int32).optional(),
            HmpArg::new("prefix3", Int32).optional(),
        ]),
        |hmp, args| {
            let id = args.str("id");
            fail(hmp, format!("device '{id}' not found"));
        },
    ),
];

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("ramblock", "", "Display system ramblock information"),
        |hmp, _| {
            let page = super::queries::ramblock_page(&hmp.rt.state);
            hmp.print(page);
        },
    ),
    (
        HmpRow::new("usb", "", "show guest USB devices"),
        |hmp, _| {
            let page = super::queries::usb_page(&hmp.rt.state);
            if let Some(page) = hmp.handle_error(page) {
                hmp.print(page);
            }
        },
    ),
    (HmpRow::new("usbhost", "", "show host USB devices"), nothing),
    (
        HmpRow::new("virtio", "", "List all available virtio devices"),
        |hmp, _| {
            let result = Machine::qmp_x_query_virtio(hmp.rt);
            for device in hmp.handle_error(result).unwrap_or_default() {
                hmp.print(format!("{} [{}]\n", device.path, device.name));
            }
        },
    ),
    (
        HmpRow::new(
            "virtio-queue-element",
            "path queue [index]",
            "Display element of a given virtio queue",
        )
        .args(&[PATH, QUEUE, HmpArg::new("index", Int32).optional()]),
        |hmp, args| no_virtio(hmp, args, "VirtIO device"),
    ),
    (
        HmpRow::new(
            "virtio-queue-status",
            "path queue",
            "Display status of a given virtio queue",
        )
        .args(&[PATH, QUEUE]),
        |hmp, args| no_virtio(hmp, args, "VirtIODevice"),
    ),
    (
        HmpRow::new(
            "virtio-status",
            "path",
            "Display status of a given virtio device",
        )
        .args(&[PATH]),
        |hmp, args| no_virtio(hmp, args, "realized VirtIODevice"),
    ),
    (
        HmpRow::new(
            "virtio-vhost-queue-status",
            "path queue",
            "Display status of a given vhost queue",
        )
        .args(&[PATH, QUEUE]),
        |hmp, args| no_virtio(hmp, args, "VirtIODevice"),
    ),
];

fn hmp_device_add(hmp: Cx, args: &HmpArgs) {
    let options = args.options("device");
    let driver = options.get_str("driver").unwrap_or_default();
    let wanted = ["help", "?"];
    if wanted.contains(&driver) || wanted.iter().any(|name| options.get(name).is_some()) {
        let help = device_help_wanted(hmp.rt.profile(), &format!("{driver},help"));
        match help.unwrap_or_else(|| Ok(String::new())) {
            Ok(text) => hmp.print(text),
            Err(e) => hmp.print(format!("{}\n", e.desc())),
        }
        return;
    }
    let options = DeviceOptions::new(options, true);
    let result = options.and_then(|options| device_add(hmp.rt, options, true));
    hmp.handle_error(result);
}

fn hmp_device_del(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_device_del(hmp.rt, args.str("device").to_owned());
    hmp.handle_error(result);
}

fn no_virtio(hmp: Cx, args: &HmpArgs, what: &str) {
    fail(hmp, format!("Path {} is not a {what}", args.str("path")));
}
