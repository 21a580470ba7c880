//! Passwords of displays, and input: `displays.json`. No display is connected.

use crate::model::qom::device_not_found;
use crate::schema::{
    ClientMigrateInfo, DisplayReloadOptions, DisplayUpdateOptions, DisplaysCommands,
    ExpirePasswordOptions, ExpirePasswordOptionsBranch, InputEvent, InputEventKind,
};
use crate::Machine;
use qmonitor::qapi::{Error, ErrorClass};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

fn no_spice() -> Error {
    Error::with_class(ErrorClass::DeviceNotActive, "SPICE is not in use")
}

/// Whether the time of an end can be read: a word, or seconds from the epoch or from now.
fn is_time(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    matches!(text, "now" | "never") || digits.parse::<u64>().is_ok()
}

impl DisplaysCommands for Machine {
    fn qmp_expire_password(rt: &mut Rt, arg: ExpirePasswordOptions) -> Result<(), Error> {
        let time = &arg.time;
        Err(match arg.u {
            _ if !is_time(time) => {
                Error::new(format!("Parameter 'time' doesn't take value '{time}'"))
            }
            ExpirePasswordOptionsBranch::Spice => no_spice(),
            ExpirePasswordOptionsBranch::Vnc(vnc)
                if super::vnc::has_server(&rt.state, vnc.display.as_deref()) =>
            {
                return Ok(());
            }
            ExpirePasswordOptionsBranch::Vnc(_) => Error::new("Could not set password expire time"),
        })
    }

    fn qmp_change_vnc_password(rt: &mut Rt, _password: String) -> Result<(), Error> {
        if super::vnc::takes_password(&rt.state, None) {
            return Ok(());
        }
        Err(super::vnc::password_refused(rt, None))
    }

    /// What is pressed is lost, since no system looks at it.
    fn qmp_input_send_event(
        rt: &mut Rt,
        device: Option<String>,
        _head: Option<i64>,
        events: Vec<InputEvent>,
    ) -> Result<(), Error> {
        if let Some(device) = device {
            return Err(device_not_found(&device));
        }
        let mut kinds = events.iter().map(InputEvent::r#type);
        match kinds.find(|kind| !takes(&rt.state, *kind)) {
            None => Ok(()),
            Some(kind) => Err(Error::new(format!(
                "Input handler not found for event type {}",
                kind.as_str()
            ))),
        }
    }

    fn qmp_display_reload(_: &mut Rt, arg: DisplayReloadOptions) -> Result<(), Error> {
        let DisplayReloadOptions::Vnc(vnc) = arg;
        if vnc.tls_certs == Some(true) {
            return Err(no_vnc());
        }
        Ok(())
    }

    fn qmp_display_update(_: &mut Rt, _: DisplayUpdateOptions) -> Result<(), Error> {
        Err(no_vnc())
    }

    fn qmp_client_migrate_info(_: &mut Rt, arg: ClientMigrateInfo) -> Result<(), Error> {
        Err(match arg.protocol.as_str() {
            "spice" => no_spice(),
            _ => Error::new("Parameter 'protocol' expects 'spice'"),
        })
    }
}

fn no_vnc() -> Error {
    Error::new("Can not find vnc display")
}

/// Whether a device takes input of a kind. A PC has a keyboard and a mouse of its own.
fn takes(m: &Machine, kind: InputEventKind) -> bool {
    match kind {
        InputEventKind::Key | InputEventKind::Btn | InputEventKind::Rel => m.class.is_pc(),
        InputEventKind::Abs => m.has_device(&["usb-tablet", "virtio-tablet-pci"]),
        InputEventKind::Mtt => m.has_device(&["virtio-multitouch-pci"]),
    }
}
