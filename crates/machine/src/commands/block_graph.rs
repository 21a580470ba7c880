//! The graph of nodes and its edges: `block-graph.json`.

use super::block_edges;
use crate::model::block::{no_node, BlockEvent};
use crate::model::qom::device_not_found;
use crate::schema::{
    qapi_event_send_block_write_threshold, BlockGraphCommands, BlockdevOptions, LatencyHistogram,
    XDbgBlockGraph,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Tells clients what happened to nodes.
pub(super) fn send_events(rt: &mut Rt) {
    for event in rt.state.blocks.take_events() {
        match event {
            BlockEvent::WriteThreshold {
                node,
                threshold,
                exceeded,
            } => qapi_event_send_block_write_threshold(rt, node, exceeded, threshold),
        }
    }
}

impl BlockGraphCommands for Machine {
    fn qmp_block_latency_histogram_set(rt: &mut Rt, arg: LatencyHistogram) -> Result<(), Error> {
        let mut drives = rt.state.drives().into_iter();
        let drive = drives.find(|drive| drive.is_called(&arg.id));
        let object = drive.and_then(|drive| drive.object);
        let object = object.ok_or_else(|| device_not_found(&arg.id))?;
        let given = [
            ("read", arg.boundaries_read),
            ("write", arg.boundaries_write),
            ("append write", arg.boundaries_zap),
            ("flush", arg.boundaries_flush),
        ];
        let none = arg.boundaries.is_none() && given.iter().all(|(_, list)| list.is_none());
        if none {
            *rt.state.histograms_mut(object) = [const { None }; 4];
            return Ok(());
        }
        for (at, (what, list)) in given.into_iter().enumerate() {
            let Some(list) = list.or_else(|| arg.boundaries.clone()) else {
                continue;
            };
            // They grow, and none is zero.
            let grows = list.first() != Some(&0) && list.windows(2).all(|pair| pair[0] < pair[1]);
            if !grows || list.is_empty() {
                let id = &arg.id;
                return Err(Error::new(format!(
                    "Device '{id}' set {what} boundaries fail"
                )));
            }
            rt.state.histograms_mut(object)[at] = Some(list);
        }
        Ok(())
    }

    fn qmp_x_debug_query_block_graph(rt: &mut Rt) -> Result<XDbgBlockGraph, Error> {
        Ok(block_edges::graph(&rt.state))
    }

    fn qmp_blockdev_reopen(rt: &mut Rt, options: Vec<BlockdevOptions>) -> Result<(), Error> {
        rt.state.blocks.reopen_all(&options)
    }

    fn qmp_blockdev_set_active(
        rt: &mut Rt,
        node_name: Option<String>,
        _active: bool,
    ) -> Result<(), Error> {
        let Some(name) = node_name else {
            return Ok(());
        };
        let node = rt.state.blocks.node(&name);
        node.map(|_| ()).ok_or_else(|| no_node(&name))
    }

    fn qmp_block_set_write_threshold(
        rt: &mut Rt,
        node_name: String,
        write_threshold: u64,
    ) -> Result<(), Error> {
        let node = rt.state.blocks.node_mut(&node_name);
        let missing = || Error::new(format!("Device '{node_name}' not found"));
        node.ok_or_else(missing)?.write_threshold = write_threshold;
        Ok(())
    }

    fn qmp_x_blockdev_change(
        rt: &mut Rt,
        parent: String,
        child: Option<String>,
        node: Option<String>,
    ) -> Result<(), Error> {
        rt.state.blocks.find(&parent, &parent)?;
        Err(match (child, node) {
            (None, None) => Error::new("Either child or node must be specified"),
            (Some(_), Some(_)) => Error::new("The parameters child and node are in conflict"),
            (Some(child), None) => {
                Error::new(format!("Node '{parent}' does not have child '{child}'"))
            }
            (None, Some(node)) => match rt.state.blocks.node(&node) {
                None => Error::new(format!("Node '{node}' not found")),
                Some(_) => Error::new(format!("The node {parent} does not support adding a child")),
            },
        })
    }
}
