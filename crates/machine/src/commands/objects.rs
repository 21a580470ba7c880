//! Making and deleting objects: from a client, from a command line, from a
//! person, all by way of `ObjectOptions`; and lending them chardevs.

use crate::model::qom::ObjectId;
use crate::schema::{ObjectOptions, ObjectType};
use crate::Machine;
use qmonitor::chardev::{
    qemu_chr_fe_deinit, qemu_chr_fe_init, qemu_chr_fe_set_open, qemu_chr_find, CharFrontend,
};
use qmonitor::monitor::{monitor_remove, MonitorId};
use qmonitor::qapi::visit::{to_qobject, InputVisitor, QapiType};
use qmonitor::qapi::{Error, ErrorClass, QDict, QObject};
use qmonitor::Runtime;

pub(super) fn object_add(rt: &mut Runtime<Machine>, options: &ObjectOptions) -> Result<(), Error> {
    let QObject::Dict(options) = to_qobject(options) else {
        return Ok(());
    };
    let policy = rt.policy();
    let id = rt.state.object_add(options, policy)?;
    let attached = attach(rt, id);
    if attached.is_err() {
        rt.state.unparent(id);
    }
    attached
}

/// Does what an object needs the program for.
fn attach(rt: &mut Runtime<Machine>, id: ObjectId) -> Result<(), Error> {
    if let Some(label) = rt.state.chardev_wanted(id) {
        let frontend = lend_chardev(rt, &label)?;
        qemu_chr_fe_set_open(rt, frontend, true);
        rt.state.frontends.insert(id, frontend);
    }
    if let Some(options) = rt.state.monitor_wanted(id) {
        let monitor = rt.monitor_init(&options?)?;
        rt.state.monitors.insert(id, monitor);
    }
    Ok(())
}

/// A monitor is gone, which may be because its client is: so is its object.
pub(super) fn monitor_removed(rt: &mut Runtime<Machine>, monitor: MonitorId) {
    let mut monitors = rt.state.monitors.iter();
    let found = monitors.find_map(|(id, m)| (*m == monitor).then_some(*id));
    if let Some(id) = found {
        rt.state.monitors.remove(&id);
        rt.state.unparent(id);
    }
}

pub(super) fn lend_chardev(rt: &mut Runtime<Machine>, label: &str) -> Result<CharFrontend, Error> {
    let chr = qemu_chr_find(rt, label).ok_or_else(|| {
        Error::with_class(
            ErrorClass::DeviceNotFound,
            format!("Device '{label}' not found"),
        )
    })?;
    qemu_chr_fe_init(rt, chr)
}

/// Deletes an object; a monitor ends with it.
///
/// The monitor that the command comes from cannot be deleted, as in QEMU: the
/// reply could not be sent. With `close-action=delete` it goes when its client
/// leaves.
pub(super) fn object_del(rt: &mut Runtime<Machine>, name: &str) -> Result<(), Error> {
    let id = rt.state.user_object(name);
    let monitor = id.and_then(|id| rt.state.monitors.get(&id).copied());
    if let Some(monitor) = monitor {
        if rt.is_current_monitor(monitor) {
            return Err(Error::new(format!(
                "monitor '{name}' cannot be deleted by its own client"
            )));
        }
        monitor_remove(rt, monitor);
        return Ok(());
    }
    rt.state.object_del(name)?;
    if let Some(frontend) = id.and_then(|id| rt.state.frontends.remove(&id)) {
        qemu_chr_fe_deinit(rt, frontend, false);
    }
    Ok(())
}

/// Reads options written as JSON or as `TYPE,id=ID,...`.
fn parse(rt: &Runtime<Machine>, text: &str) -> Result<ObjectOptions, Error> {
    let mut v = InputVisitor::new_str(text, Some("qom-type"), rt.policy())?;
    ObjectOptions::visit_in(&mut v, "")
}

/// Whether the argument of `-object` is about an object that uses a chardev,
/// and so has to wait for the chardevs. Of an argument that cannot be read the
/// answer is no: the error is reported when it is carried out.
pub fn is_made_after_chardevs(rt: &Runtime<Machine>, text: &str) -> bool {
    let options = parse(rt, text);
    matches!(
        options.as_ref().map(ObjectOptions::qom_type),
        Ok(ObjectType::MonitorHmp | ObjectType::MonitorQmp | ObjectType::RngEgd)
    )
}

/// Makes an object from the text of HMP's `object_add`, or of the storage daemon's
/// `--object`.
///
/// # Errors
///
/// The text cannot be read, or as [`Machine::object_add`].
pub fn object_from_text(rt: &mut Runtime<Machine>, text: &str) -> Result<(), Error> {
    let options = parse(rt, text)?;
    object_add(rt, &options)
}

/// Makes an object from the argument of `-object`.
///
/// # Errors
///
/// As [`object_from_text`]; an id in use is reported in other words.
pub fn object_from_cli(rt: &mut Runtime<Machine>, text: &str) -> Result<(), Error> {
    let options = parse(rt, text)?;
    let QObject::Dict(dict) = to_qobject(&options) else {
        return Ok(());
    };
    let id = id_of(&dict);
    if rt.state.user_object(id).is_some() {
        return Err(Error::new(format!("Duplicate ID '{id}' for object")));
    }
    object_add(rt, &options)
}

fn id_of(options: &QDict) -> &str {
    options.get_str("id").unwrap_or_default()
}
