//! Making and deleting objects: from a client, from a command line, from a
//! person, all by way of `ObjectOptions`; and lending them chardevs.

use crate::chardev::{qemu_chr_fe_deinit, qemu_chr_fe_init, qemu_chr_find, CharFrontend};
use crate::machine::schema::ObjectOptions;
use crate::machine::Machine;
use crate::qapi::json::qobject_from_json;
use crate::qapi::visit::{keyval_parse, to_qobject, InputVisitor, QapiType};
use crate::qapi::{Error, ErrorClass, QDict, QObject};
use crate::Runtime;

pub(super) fn object_add(rt: &mut Runtime<Machine>, options: &ObjectOptions) -> Result<(), Error> {
    let QObject::Dict(options) = to_qobject(options) else {
        return Ok(());
    };
    let policy = rt.policy;
    let id = rt.state.object_add(options, policy)?;
    let Some(label) = rt.state.chardev_wanted(id) else {
        return Ok(());
    };
    match lend_chardev(rt, &label) {
        Ok(frontend) => {
            rt.state.frontends.insert(id, frontend);
            Ok(())
        }
        Err(e) => {
            rt.state.unparent(id);
            Err(e)
        }
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

pub(super) fn object_del(rt: &mut Runtime<Machine>, name: &str) -> Result<(), Error> {
    let id = rt.state.user_object(name);
    rt.state.object_del(name)?;
    if let Some(frontend) = id.and_then(|id| rt.state.frontends.remove(&id)) {
        qemu_chr_fe_deinit(rt, frontend, false);
    }
    Ok(())
}

/// Reads options written as JSON or as `TYPE,id=ID,...`.
fn parse(rt: &Runtime<Machine>, text: &str) -> Result<ObjectOptions, Error> {
    let mut v = match text.starts_with('{') {
        true => InputVisitor::new(qobject_from_json(text.as_bytes())?, rt.policy),
        false => InputVisitor::new_keyval(keyval_parse(text, Some("qom-type"))?, rt.policy),
    };
    ObjectOptions::visit_in(&mut v, "")
}

/// Makes an object from the text of HMP's `object_add`.
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
