//! Dumps, clocks, recordings, and the inside of virtio: `devices.json`, `virtio.json`.

use crate::schema::{
    DevicesCommands, DumpGuestMemory, DumpGuestMemoryFormat, NumaOptions, VirtQueueStatus,
    VirtVhostQueueStatus, VirtioCommands, VirtioQueueElement, VirtioStatus,
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

    fn qmp_dump_guest_memory(rt: &mut Rt, arg: DumpGuestMemory) -> Result<(), Error> {
        check_dump(&arg)?;
        if let Some(name) = arg.protocol.strip_prefix("fd:") {
            let text = format!("File descriptor named '{name}' has not been found");
            return Err(Error::new(text));
        }
        let Some(filename) = arg.protocol.strip_prefix("file:") else {
            let text = "parameter 'protocol' must start with 'file:' or 'fd:'";
            return Err(Error::new(text));
        };
        let dir = std::path::Path::new(filename).parent();
        if let Some(Err(e)) = dir.map(|dir| dir.join(".").metadata()) {
            return Err(Error::from_io(format!("Could not create '{filename}'"), &e));
        }
        Err(Error::new(match rt.state.ram_size() {
            0 => "dump: no guest memory to dump",
            _ => "this machine cannot be dumped",
        }))
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

/// Checks the arguments of a dump in QEMU's order.
fn check_dump(arg: &DumpGuestMemory) -> Result<(), Error> {
    use DumpGuestMemoryFormat as Format;
    let range = arg.begin.is_some() || arg.length.is_some();
    let kdump = match arg.format {
        None | Some(Format::Elf | Format::WinDmp) => false,
        Some(_) => true,
    };
    let missing = |name| Error::new(format!("Parameter '{name}' is missing"));
    if kdump && (arg.paging || range) {
        let text = "kdump-compressed format doesn't support paging or filter";
        return Err(Error::new(text));
    }
    if arg.begin.is_some() && arg.length.is_none() {
        return Err(missing("length"));
    }
    if arg.begin.is_none() && arg.length.is_some() {
        return Err(missing("begin"));
    }
    let absent = match arg.format {
        Some(Format::KdumpLzo | Format::KdumpRawLzo) => "lzo",
        Some(Format::KdumpSnappy | Format::KdumpRawSnappy) => "snappy",
        _ => return Ok(()),
    };
    Err(Error::new(format!("kdump-{absent} is not available now")))
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
