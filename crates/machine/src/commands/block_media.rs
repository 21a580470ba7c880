//! Media and exports of disks: `block-media.json`, `block-export.json`.

use crate::model::block::Drive;
use crate::model::qom::device_not_found;
use crate::schema::{
    BlockExportCommands, BlockExportOptions, BlockExportRemoveMode, BlockMediaCommands,
    MediumChange, NbdServerAdd, NbdServerStart,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The drive that exactly one of the two names means. No drive has a name of its own, only
/// its device has.
fn drive(rt: &Rt, device: Option<String>, id: Option<String>) -> Result<Drive, Error> {
    let (name, by_id) = match (device, id) {
        (Some(device), None) => (device, false),
        (None, Some(id)) => (id, true),
        _ => return Err(Error::new("Need exactly one of 'device' and 'id'")),
    };
    let mut drives = rt.state.drives().into_iter();
    let drive = drives.find(|drive| by_id && drive.qdev == name);
    drive.ok_or_else(|| device_not_found(&name))
}

/// The error about a tray. The drives of this machine have none that moves.
fn no_tray(drive: &Drive) -> Error {
    let name = &drive.qdev;
    Error::new(if drive.removable {
        format!("Device '{name}' does not have a tray")
    } else {
        format!("Device '{name}' is not removable")
    })
}

impl BlockMediaCommands for Machine {
    fn qmp_blockdev_open_tray(
        rt: &mut Rt,
        device: Option<String>,
        id: Option<String>,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        Err(no_tray(&drive(rt, device, id)?))
    }

    fn qmp_blockdev_close_tray(
        rt: &mut Rt,
        device: Option<String>,
        id: Option<String>,
    ) -> Result<(), Error> {
        Err(no_tray(&drive(rt, device, id)?))
    }

    fn qmp_blockdev_remove_medium(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(no_tray(&drive(rt, None, Some(id))?))
    }

    fn qmp_blockdev_insert_medium(rt: &mut Rt, id: String, _node: String) -> Result<(), Error> {
        Err(no_tray(&drive(rt, None, Some(id))?))
    }

    fn qmp_blockdev_change_medium(rt: &mut Rt, arg: MediumChange) -> Result<(), Error> {
        #[allow(deprecated)] // It is still to be taken.
        let device = arg.device;
        Err(no_tray(&drive(rt, device, arg.id)?))
    }
}

impl BlockExportCommands for Machine {
    fn qmp_nbd_server_start(_: &mut Rt, _: NbdServerStart) -> Result<(), Error> {
        Err(Error::new("this machine cannot serve its disks"))
    }

    fn qmp_nbd_server_add(rt: &mut Rt, arg: NbdServerAdd) -> Result<(), Error> {
        rt.state.blocks.find(&arg.device, &arg.device)?;
        Err(not_running())
    }

    fn qmp_nbd_server_remove(
        _: &mut Rt,
        name: String,
        _mode: Option<BlockExportRemoveMode>,
    ) -> Result<(), Error> {
        Err(no_export(&name))
    }

    fn qmp_nbd_server_stop(_: &mut Rt) -> Result<(), Error> {
        Err(not_running())
    }

    fn qmp_block_export_add(rt: &mut Rt, arg: BlockExportOptions) -> Result<(), Error> {
        rt.state.blocks.find("", &arg.node_name)?;
        Err(not_running())
    }

    fn qmp_block_export_del(
        _: &mut Rt,
        id: String,
        _mode: Option<BlockExportRemoveMode>,
    ) -> Result<(), Error> {
        Err(no_export(&id))
    }
}

fn not_running() -> Error {
    Error::new("NBD server not running")
}

fn no_export(name: &str) -> Error {
    Error::new(format!("Export '{name}' is not found"))
}
