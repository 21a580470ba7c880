//! Statistics of disks: `block-stats.json`.

use super::hmp::nothing;
use crate::model::block::{BlockNode, Drive};
use crate::schema::{
    BlockDeviceStats, BlockStats, BlockStatsCommands, BlockStatsSpecific, BlockStatsSpecificFile,
    BlockdevDriver,
};
use crate::Machine;
use qmonitor::monitor::hmp::{HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl BlockStatsCommands for Machine {
    fn qmp_query_blockstats(
        rt: &mut Runtime<Self>,
        query_nodes: Option<bool>,
    ) -> Result<Vec<BlockStats>, Error> {
        let m = &rt.state;
        if query_nodes == Some(true) {
            return Ok(m.blocks.nodes().map(node_stats).collect());
        }
        let stats = |drive: Drive| {
            let node = drive.node.as_deref().and_then(|name| m.blocks.node(name));
            BlockStats {
                device: Some(String::new()),
                qdev: Some(drive.qdev),
                ..match node {
                    Some(node) => node_stats(node),
                    None => no_stats(),
                }
            }
        };
        Ok(m.drives().into_iter().map(stats).collect())
    }
}

fn node_stats(node: &BlockNode) -> BlockStats {
    let specific = BlockStatsSpecific::File(BlockStatsSpecificFile {
        discard_nb_ok: 0,
        discard_nb_failed: 0,
        discard_bytes_ok: 0,
    });
    BlockStats {
        node_name: Some(node.name.clone()),
        driver_specific: (node.driver == BlockdevDriver::File).then_some(specific),
        ..no_stats()
    }
}

/// No operation was ever done.
fn no_stats() -> BlockStats {
    BlockStats {
        device: None,
        qdev: None,
        node_name: None,
        stats: BlockDeviceStats {
            rd_bytes: 0,
            wr_bytes: 0,
            zone_append_bytes: 0,
            unmap_bytes: 0,
            rd_operations: 0,
            wr_operations: 0,
            zone_append_operations: 0,
            flush_operations: 0,
            unmap_operations: 0,
            rd_total_time_ns: 0,
            wr_total_time_ns: 0,
            zone_append_total_time_ns: 0,
            flush_total_time_ns: 0,
            unmap_total_time_ns: 0,
            wr_highest_offset: 0,
            rd_merged: 0,
            wr_merged: 0,
            zone_append_merged: 0,
            unmap_merged: 0,
            idle_time_ns: None,
            failed_rd_operations: 0,
            failed_wr_operations: 0,
            failed_zone_append_operations: 0,
            failed_flush_operations: 0,
            failed_unmap_operations: 0,
            invalid_rd_operations: 0,
            invalid_wr_operations: 0,
            invalid_zone_append_operations: 0,
            invalid_flush_operations: 0,
            invalid_unmap_operations: 0,
            account_invalid: true,
            account_failed: true,
            timed_stats: Vec::new(),
            rd_latency_histogram: None,
            wr_latency_histogram: None,
            zone_append_latency_histogram: None,
            flush_latency_histogram: None,
        },
        driver_specific: None,
        parent: None,
        backing: None,
    }
}

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("blockstats", "", "show block device statistics"),
    nothing,
)];
