//! Devices, of which there are no models: `qdev.json`.

use super::chardev_nodes;
use super::qom::property_info;
use crate::chardev::opts::{QemuOpts, QemuOptsList};
use crate::machine::qdev::device_list_properties;
use crate::machine::qom::Resolution;
use crate::machine::schema::{ObjectPropertyInfo, QdevCommands};
use crate::machine::Machine;
use crate::qapi::json::qobject_from_json;
use crate::qapi::{Error, ErrorClass, QDict, QObject};
use crate::Runtime;

/// The parameters of `-device`: any, since each model has its own.
static QEMU_DEVICE_OPTS: QemuOptsList = QemuOptsList {
    name: "device",
    implied_opt_name: Some("driver"),
    desc: &[],
    extensions: &[],
};

/// Does what `-device` asks for, which is JSON or `DRIVER,key=value,...`.
///
/// # Errors
///
/// The text cannot be read, or as `device_add`: there is no model.
pub fn device_from_cli(
    rt: &mut Runtime<Machine>,
    text: &str,
    warnings: &mut Vec<Error>,
) -> Result<(), Error> {
    let args = match text.starts_with('{') {
        true => match qobject_from_json(text.as_bytes())? {
            QObject::Dict(dict) => dict,
            _ => QDict::new(),
        },
        false => QemuOpts::parse(&QEMU_DEVICE_OPTS, text, warnings)?.to_qdict(),
    };
    Machine::qmp_device_add(rt, args)
}

impl QdevCommands for Machine {
    /// Only the model's name is ever looked at, as in QEMU, which reads the
    /// properties after it has found the model.
    fn qmp_device_add(_: &mut Runtime<Self>, args: QDict) -> Result<(), Error> {
        Err(Error::new(match args.get_str("driver") {
            Some(driver) => format!("'{driver}' is not a valid device model name"),
            None => "Parameter 'driver' is missing".to_owned(),
        }))
    }

    fn qmp_device_list_properties(
        _: &mut Runtime<Self>,
        typename: String,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let list = device_list_properties(&typename)?;
        Ok(list.into_iter().map(property_info).collect())
    }

    /// An id is looked up below `/machine/peripheral`, which is empty, so the
    /// empty id leads to that container itself (`find_device_state`).
    fn qmp_device_del(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        let absolute = id.is_empty() || id.starts_with('/');
        let exists = match id.is_empty() {
            true => true,
            false => matches!(
                rt.state.resolve_path(&id, &chardev_nodes(rt)),
                Resolution::Found(_)
            ),
        };
        Err(match absolute && exists {
            true => Error::new(format!("{id} is not a device")),
            false => Error::with_class(
                ErrorClass::DeviceNotFound,
                format!("Device '{id}' not found"),
            ),
        })
    }
}
