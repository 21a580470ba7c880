//! Passwords of displays, and input: `displays.json`. No display is connected.

use crate::model::display::expiry;
use crate::schema::{
    ClientMigrateInfo, DisplayReloadOptions, DisplayUpdateOptions, DisplaysCommands,
    ExpirePasswordOptions, ExpirePasswordOptionsBranch, InputEvent,
};
use crate::Machine;
use qmonitor::qapi::{Error, ErrorClass};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

fn no_spice() -> Error {
    Error::with_class(ErrorClass::DeviceNotActive, "SPICE is not in use")
}

impl DisplaysCommands for Machine {
    fn qmp_expire_password(rt: &mut Rt, arg: ExpirePasswordOptions) -> Result<(), Error> {
        let time = &arg.time;
        if expiry(time, 0).is_none() {
            let desc = format!("Parameter 'time' doesn't take value '{time}'");
            return Err(Error::new(desc));
        }
        match arg.u {
            ExpirePasswordOptionsBranch::Spice => Err(no_spice()),
            ExpirePasswordOptionsBranch::Vnc(vnc) => {
                super::vnc::expire_password(rt, vnc.display.as_deref(), time)
            }
        }
    }

    fn qmp_change_vnc_password(rt: &mut Rt, password: String) -> Result<(), Error> {
        super::vnc::set_password(rt, None, &password)
    }

    /// All kinds are checked before any is carried out.
    fn qmp_input_send_event(
        rt: &mut Rt,
        device: Option<String>,
        head: Option<i64>,
        events: Vec<InputEvent>,
    ) -> Result<(), Error> {
        if let Some(device) = device {
            rt.state.check_console(&device, head.unwrap_or(0))?;
        }
        if !rt.state.run.is_running() {
            return Err(Error::new("VM not running"));
        }
        let mut kinds = events.iter().map(InputEvent::r#type);
        if let Some(kind) = kinds.find(|kind| !rt.state.takes_input(*kind)) {
            let kind = kind.as_str();
            let desc = format!("Input handler not found for event type {kind}");
            return Err(Error::new(desc));
        }
        super::keys::send_events(rt, events);
        Ok(())
    }

    fn qmp_display_reload(rt: &mut Rt, arg: DisplayReloadOptions) -> Result<(), Error> {
        let DisplayReloadOptions::Vnc(vnc) = arg;
        if vnc.tls_certs == Some(true) {
            return Err(super::vnc::reload_certificates(&rt.state));
        }
        Ok(())
    }

    fn qmp_display_update(rt: &mut Rt, arg: DisplayUpdateOptions) -> Result<(), Error> {
        let DisplayUpdateOptions::Vnc(vnc) = arg;
        super::vnc::update(rt, vnc.addresses)
    }

    fn qmp_client_migrate_info(_: &mut Rt, arg: ClientMigrateInfo) -> Result<(), Error> {
        Err(match arg.protocol.as_str() {
            "spice" => no_spice(),
            _ => Error::new("Parameter 'protocol' expects 'spice'"),
        })
    }
}
