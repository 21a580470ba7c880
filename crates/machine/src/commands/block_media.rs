//! Media of drives: `block-media.json`.

use crate::model::block::{BlockOp, Drive, Image};
use crate::model::qom::device_not_found;
use crate::schema::{
    qapi_event_send_device_tray_moved, BlockMediaCommands, BlockdevChangeReadOnlyMode, MediumChange,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The drive that exactly one of the two names means, and that name.
fn drive(rt: &Rt, device: Option<String>, id: Option<String>) -> Result<(Drive, String), Error> {
    let (name, by_id) = match (device, id) {
        (Some(device), None) => (device, false),
        (None, Some(id)) => (id, true),
        _ => return Err(Error::new("Need exactly one of 'device' and 'id'")),
    };
    let is_it = |drive: &Drive| {
        if by_id {
            drive.is_called(&name)
        } else {
            drive.device == name
        }
    };
    let drive = rt.state.drives().into_iter().find(is_it);
    let drive = drive.ok_or_else(|| device_not_found(&name))?;
    if drive.removable {
        Ok((drive, name))
    } else {
        Err(Error::new(format!("Device '{name}' is not removable")))
    }
}

/// Moves a tray and says so, unless it is there already.
fn move_tray(rt: &mut Rt, drive: &Drive, open: bool) {
    let Some(object) = drive.object.filter(|_| drive.has_tray) else {
        return;
    };
    if rt.state.set_tray(object, open) {
        let id = drive.qdev.clone().unwrap_or_default();
        qapi_event_send_device_tray_moved(rt, drive.device.clone(), id, open);
    }
}

/// Checks that something can be put in, or taken out.
fn check_open(rt: &Rt, drive: &Drive, name: &str) -> Result<(), Error> {
    let open = drive
        .object
        .is_none_or(|object| rt.state.is_tray_open(object));
    if drive.has_tray && !open {
        return Err(Error::new(format!("Tray of device '{name}' is not open")));
    }
    Ok(())
}

fn remove(rt: &mut Rt, drive: &Drive, name: &str) -> Result<(), Error> {
    check_open(rt, drive, name)?;
    rt.state.set_medium(drive, None);
    Ok(())
}

/// Opens the tray and takes the medium out.
///
/// # Errors
///
/// There is no such drive, or nothing can be taken out.
pub(super) fn eject(rt: &mut Rt, device: Option<String>, id: Option<String>) -> Result<(), Error> {
    let (drive, name) = drive(rt, device, id)?;
    if let Some(node) = &drive.node {
        rt.state.check_drive(&drive.device, node, BlockOp::Eject)?;
    }
    move_tray(rt, &drive, true);
    remove(rt, &drive, &name)
}

impl BlockMediaCommands for Machine {
    fn qmp_blockdev_open_tray(
        rt: &mut Rt,
        device: Option<String>,
        id: Option<String>,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        let (drive, name) = drive(rt, device, id)?;
        if !drive.has_tray {
            let desc = format!("Device '{name}' does not have a tray");
            return Err(Error::new(desc));
        }
        move_tray(rt, &drive, true);
        Ok(())
    }

    fn qmp_blockdev_close_tray(
        rt: &mut Rt,
        device: Option<String>,
        id: Option<String>,
    ) -> Result<(), Error> {
        let (drive, _) = drive(rt, device, id)?;
        move_tray(rt, &drive, false);
        Ok(())
    }

    fn qmp_blockdev_remove_medium(rt: &mut Rt, id: String) -> Result<(), Error> {
        let (drive, name) = drive(rt, None, Some(id))?;
        remove(rt, &drive, &name)
    }

    fn qmp_blockdev_insert_medium(rt: &mut Rt, id: String, node: String) -> Result<(), Error> {
        let (drive, name) = drive(rt, None, Some(id))?;
        if rt.state.blocks.node(&node).is_none() {
            return Err(Error::new(format!("Node '{node}' not found")));
        }
        if rt.state.is_in_drive(&node) {
            return Err(Error::new(format!("Node '{node}' is already in use")));
        }
        check_open(rt, &drive, &name)?;
        if drive.node.is_some() {
            return Err(Error::new(format!(
                "There already is a medium in device '{name}'"
            )));
        }
        rt.state.set_medium(&drive, Some(node));
        Ok(())
    }

    fn qmp_blockdev_change_medium(rt: &mut Rt, arg: MediumChange) -> Result<(), Error> {
        #[allow(deprecated)] // It is still to be taken.
        let device = arg.device;
        let (drive, name) = drive(rt, device, arg.id)?;
        let before = drive
            .node
            .as_deref()
            .and_then(|node| rt.state.blocks.node(node));
        let was_read_only = before.map_or(drive.has_tray, |node| node.read_only);
        let format = match arg.format.as_deref() {
            None => None,
            Some(name) => {
                let unknown = |_| Error::new(format!("Unknown driver '{name}'"));
                Some(name.parse().map_err(unknown)?)
            }
        };
        let image = Image {
            filename: Some(arg.filename),
            format,
            read_only: Some(match arg.read_only_mode {
                Some(BlockdevChangeReadOnlyMode::ReadOnly) => true,
                Some(BlockdevChangeReadOnlyMode::ReadWrite) => false,
                _ => was_read_only,
            }),
            ..Image::default()
        };
        let (node, _) = rt.state.blocks.open_image(&image)?;
        move_tray(rt, &drive, true);
        remove(rt, &drive, &name)?;
        rt.state.set_medium(&drive, Some(node));
        move_tray(rt, &drive, false);
        Ok(())
    }
}
