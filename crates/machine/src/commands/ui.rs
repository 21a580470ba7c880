//! Keyboard and display, of which there are none: `ui.json`.

use crate::schema::{ImageFormat, KeyValue, UiCommands};
use crate::Machine;
use qmonitor::qapi::{Error, ErrorClass, Responder};
use qmonitor::Runtime;

impl UiCommands for Machine {
    /// Keys that no device takes are lost.
    fn qmp_send_key(
        _: &mut Runtime<Self>,
        _keys: Vec<KeyValue>,
        _hold_time: Option<i64>,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn qmp_screendump(
        _: &mut Runtime<Self>,
        _filename: String,
        device: Option<String>,
        head: Option<i64>,
        _format: Option<ImageFormat>,
        responder: Responder<()>,
    ) {
        responder.respond(Err(no_console(device.as_deref(), head)));
    }
}

/// Why there is no picture of a display.
pub fn no_console(device: Option<&str>, head: Option<i64>) -> Error {
    match (device, head) {
        (Some(device), _) => Error::with_class(
            ErrorClass::DeviceNotFound,
            format!("Device '{device}' not found"),
        ),
        (None, Some(_)) => Error::new("'head' must be specified together with 'device'"),
        (None, None) => Error::new("There is no console to take a screendump from"),
    }
}
