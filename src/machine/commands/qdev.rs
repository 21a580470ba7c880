//! Devices, of which there are no models: `qdev.json`.

use super::chardev_nodes;
use crate::machine::qom::Resolution;
use crate::machine::schema::QdevCommands;
use crate::machine::Machine;
use crate::qapi::{Error, ErrorClass, QDict};
use crate::Runtime;

impl QdevCommands for Machine {
    /// Only the model's name is ever looked at, as in QEMU, which reads the
    /// properties after it has found the model.
    fn qmp_device_add(_: &mut Runtime<Self>, args: QDict) -> Result<(), Error> {
        Err(Error::new(match args.get_str("driver") {
            Some(driver) => format!("'{driver}' is not a valid device model name"),
            None => "Parameter 'driver' is missing".to_owned(),
        }))
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
