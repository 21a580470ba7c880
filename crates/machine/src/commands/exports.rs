//! Exports: `block-export.json`, and their HMP commands.

use super::hmp::{fail, Cx};
use super::nbd_server::{hang_up, has_clients, not_running, start, stop};
use crate::model::block::Export;
use crate::schema::{
    qapi_event_send_block_export_deleted, BlockDirtyBitmapOrStr, BlockExportCommands,
    BlockExportInfo, BlockExportIothreads, BlockExportOptions, BlockExportOptionsBranch,
    BlockExportRemoveMode, BlockExportType, NbdServerAdd, NbdServerStart,
};
use crate::Machine;
use qmonitor::chardev::{InetSocketAddress, SocketAddress, UnixSocketAddress};
use qmonitor::monitor::hmp::HmpArgs;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

fn no_export(name: &str) -> Error {
    Error::new(format!("Export '{name}' is not found"))
}

/// The exports, the newest first.
pub(super) fn infos(m: &Machine) -> Vec<BlockExportInfo> {
    let info = |export: &Export| BlockExportInfo {
        id: export.id.clone(),
        r#type: BlockExportType::Nbd,
        node_name: export.node.clone(),
        shutting_down: false,
    };
    m.blocks.exports.iter().rev().map(info).collect()
}

fn delete(rt: &mut Rt, id: &str, mode: Option<BlockExportRemoveMode>) -> Result<(), Error> {
    if rt.state.blocks.exports.get(id).is_none() {
        return Err(no_export(id));
    }
    if mode != Some(BlockExportRemoveMode::Hard) && has_clients(rt, id) {
        let error = Error::new(format!("export '{id}' still in use"));
        return Err(error.with_hint("Use mode='hard' to force client disconnect\n"));
    }
    hang_up(rt, id);
    rt.state.blocks.export_remove(id);
    qapi_event_send_block_export_deleted(rt, id.to_owned());
    Ok(())
}

fn stop_server(rt: &mut Rt) -> Result<(), Error> {
    if rt.state.nbd.is_none() {
        return Err(not_running());
    }
    let ids: Vec<String> = rt
        .state
        .blocks
        .exports
        .iter()
        .map(|e| e.id.clone())
        .collect();
    stop(rt)?;
    let hard = Some(BlockExportRemoveMode::Hard);
    ids.iter().try_for_each(|id| delete(rt, id, hard))
}

/// Offers the disk in a drive, or a node.
fn add_drive(rt: &mut Rt, arg: NbdServerAdd) -> Result<(), Error> {
    if rt.state.nbd.is_none() {
        return Err(not_running());
    }
    let missing = |_| {
        let device = &arg.device;
        Error::new(format!(
            "Cannot find device='{device}' nor node-name='{device}'"
        ))
    };
    let node = super::job_args::device_node(&rt.state, &arg.device).map_err(missing)?;
    let name = arg.name.unwrap_or(arg.device);
    let blocks = &mut rt.state.blocks;
    // What cannot be written is offered for reading.
    let read_only = blocks.node(&node).is_some_and(|node| node.read_only);
    blocks.export_add(Export {
        id: name.clone(),
        name,
        node,
        description: arg.description,
        writable: arg.writable.unwrap_or(false) && !read_only,
        bitmaps: arg.bitmap.into_iter().collect(),
        allocation_depth: false,
    })
}

impl BlockExportCommands for Machine {
    fn qmp_nbd_server_start(rt: &mut Rt, arg: NbdServerStart) -> Result<(), Error> {
        if rt.state.nbd.is_some() {
            return Err(Error::new("NBD server already running"));
        }
        if arg.tls_creds.is_some() {
            return Err(Error::new("this machine serves its disks without TLS"));
        }
        let most = arg.max_connections.unwrap_or(100);
        start(
            rt,
            &arg.addr.into(),
            usize::try_from(most).unwrap_or(usize::MAX),
        )
    }

    fn qmp_nbd_server_add(rt: &mut Rt, arg: NbdServerAdd) -> Result<(), Error> {
        add_drive(rt, arg)
    }

    fn qmp_nbd_server_remove(
        rt: &mut Rt,
        name: String,
        mode: Option<BlockExportRemoveMode>,
    ) -> Result<(), Error> {
        delete(rt, &name, mode)
    }

    fn qmp_nbd_server_stop(rt: &mut Rt) -> Result<(), Error> {
        stop_server(rt)
    }

    fn qmp_block_export_add(rt: &mut Rt, arg: BlockExportOptions) -> Result<(), Error> {
        let kind = arg.r#type();
        let BlockExportOptionsBranch::Nbd(nbd) = arg.u else {
            return Err(Error::new(format!(
                "this machine cannot make exports of type '{}'",
                kind.as_str()
            )));
        };
        let threads = match arg.iothread {
            None => Vec::new(),
            Some(BlockExportIothreads::Single(name)) => vec![name],
            Some(BlockExportIothreads::Multi(names)) => names,
        };
        let is_missing = |name: &&String| !rt.state.has_user_object(name, "iothread");
        if let Some(name) = threads.iter().find(is_missing) {
            return Err(Error::new(format!("iothread \"{name}\" not found")));
        }
        let bitmap = |bitmap| match bitmap {
            BlockDirtyBitmapOrStr::Local(name) => name,
            BlockDirtyBitmapOrStr::External(bitmap) => bitmap.name,
        };
        let is_running = rt.state.nbd.is_some();
        let blocks = &mut rt.state.blocks;
        blocks.find("", &arg.node_name)?;
        if !is_running {
            return Err(not_running());
        }
        blocks.export_add(Export {
            id: arg.id,
            name: nbd.name.unwrap_or_else(|| arg.node_name.clone()),
            node: arg.node_name,
            description: nbd.description,
            writable: arg.writable.unwrap_or(false),
            bitmaps: nbd.bitmaps.into_iter().flatten().map(bitmap).collect(),
            allocation_depth: nbd.allocation_depth.unwrap_or(false),
        })
    }

    fn qmp_block_export_del(
        rt: &mut Rt,
        id: String,
        mode: Option<BlockExportRemoveMode>,
    ) -> Result<(), Error> {
        delete(rt, &id, mode)
    }
}

/// The address that a word of a person means.
fn address(word: &str) -> Option<SocketAddress> {
    if let Some(path) = word.strip_prefix("unix:") {
        return Some(SocketAddress::Unix(UnixSocketAddress::path(path)));
    }
    let (host, port) = word.rsplit_once(':')?;
    Some(SocketAddress::Inet(InetSocketAddress {
        host: host.to_owned(),
        port: port.to_owned(),
        ..InetSocketAddress::default()
    }))
}

/// `nbd_server_start [-a] [-w] host:port`
pub(super) fn hmp_start(hmp: Cx, args: &HmpArgs) {
    let (all, writable) = (args.flag("all"), args.flag("writable"));
    if writable && !all {
        return fail(hmp, "-w only valid together with -a");
    }
    let word = args.str("uri");
    let Some(address) = address(word) else {
        return fail(hmp, "port not specified".to_owned());
    };
    let result = start(hmp.rt, &address, 0);
    if hmp.handle_error(result).is_none() || !all {
        return;
    }
    for drive in hmp.rt.state.drives() {
        if drive.node.is_none() || drive.device.is_empty() {
            continue;
        }
        let arg = NbdServerAdd {
            name: None,
            description: None,
            device: drive.device,
            writable: Some(writable),
            bitmap: None,
        };
        let result = add_drive(hmp.rt, arg);
        if hmp.handle_error(result).is_none() {
            // The first that fails takes the server with it.
            let _ = stop_server(hmp.rt);
            return;
        }
    }
}

/// `nbd_server_add [-w] device [name]`
pub(super) fn hmp_add(hmp: Cx, args: &HmpArgs) {
    let arg = NbdServerAdd {
        name: args.try_str("name").map(str::to_owned),
        description: None,
        device: args.str("device").to_owned(),
        writable: Some(args.flag("writable")),
        bitmap: None,
    };
    let result = add_drive(hmp.rt, arg);
    hmp.handle_error(result);
}

/// `nbd_server_remove [-f] name`
pub(super) fn hmp_remove(hmp: Cx, args: &HmpArgs) {
    let mode = args.flag("force").then_some(BlockExportRemoveMode::Hard);
    let result = delete(hmp.rt, args.str("name"), mode);
    hmp.handle_error(result);
}

/// `nbd_server_stop`
pub(super) fn hmp_stop(hmp: Cx, _: &HmpArgs) {
    let result = stop_server(hmp.rt);
    hmp.handle_error(result);
}
