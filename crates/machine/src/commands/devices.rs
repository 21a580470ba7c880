//! Dumps, clocks, recordings, and the inside of virtio: `devices.json`, `virtio.json`.

use crate::schema::{
    DevicesCommands, NumaOptions, VirtQueueStatus, VirtVhostQueueStatus, VirtioCommands,
    VirtioQueueElement, VirtioStatus,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl DevicesCommands for Machine {
    fn qmp_device_sync_config(rt: &mut Rt, id: String) -> Result<(), Error> {
        Err(Error::new(match rt.state.find_device(&id) {
            None => format!("Device '{id}' not found"),
            Some(_) => "device-sync-config is not supported on this device".to_owned(),
        }))
    }

    fn qmp_set_numa_node(rt: &mut Rt, arg: NumaOptions) -> Result<(), Error> {
        if !rt.state.run.is_preconfig() {
            return Err(Error::new(
                "The command is permitted only before the machine has been created",
            ));
        }
        rt.state.numa_set(&arg, &mut Vec::new())
    }

    fn qmp_dumpdtb(_: &mut Rt, _filename: String) -> Result<(), Error> {
        Err(Error::new("This machine doesn't have an FDT"))
    }

    fn qmp_rtc_reset_reinjection(_: &mut Rt) -> Result<(), Error> {
        Ok(())
    }

    fn qmp_replay_break(_: &mut Rt, _icount: i64) -> Result<(), Error> {
        let text = "setting the breakpoint is allowed only in play mode";
        Err(Error::new(text))
    }

    fn qmp_replay_delete_break(_: &mut Rt) -> Result<(), Error> {
        let text = "replay breakpoints are allowed only in play mode";
        Err(Error::new(text))
    }

    fn qmp_replay_seek(_: &mut Rt, _icount: i64) -> Result<(), Error> {
        Err(Error::new("replay must be enabled to seek"))
    }
}

impl VirtioCommands for Machine {
    fn qmp_x_query_virtio_status(_: &mut Rt, path: String) -> Result<VirtioStatus, Error> {
        let text = format!("Path {path} is not a realized VirtIODevice");
        Err(Error::new(text))
    }

    fn qmp_x_query_virtio_queue_status(
        _: &mut Rt,
        path: String,
        _queue: u16,
    ) -> Result<VirtQueueStatus, Error> {
        Err(Error::new(format!("Path {path} is not a VirtIODevice")))
    }

    fn qmp_x_query_virtio_vhost_queue_status(
        _: &mut Rt,
        path: String,
        _queue: u16,
    ) -> Result<VirtVhostQueueStatus, Error> {
        Err(Error::new(format!("Path {path} is not a VirtIODevice")))
    }

    fn qmp_x_query_virtio_queue_element(
        _: &mut Rt,
        path: String,
        _queue: u16,
        _index: Option<u16>,
    ) -> Result<VirtioQueueElement, Error> {
        Err(Error::new(format!("Path {path} is not a VirtIO device")))
    }
}
