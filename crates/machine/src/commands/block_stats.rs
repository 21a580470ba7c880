//! Statistics of disks: `block-stats.json`.

use crate::model::block::{BlockNode, Drive};
use crate::schema::{
    BlockDeviceStats, BlockLatencyHistogramInfo, BlockStats, BlockStatsCommands,
    BlockStatsSpecific, BlockStatsSpecificFile, BlockdevDriver,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl BlockStatsCommands for Machine {
    fn qmp_query_blockstats(
        rt: &mut Runtime<Self>,
        query_nodes: Option<bool>,
    ) -> Result<Vec<BlockStats>, Error> {
        let m = &rt.state;
        if query_nodes == Some(true) {
            // The oldest first, unlike in other lists.
            let mut nodes: Vec<_> = m.blocks.nodes().map(|n| node_stats(m, n, false)).collect();
            nodes.reverse();
            return Ok(nodes);
        }
        let stats = |drive: Drive| {
            let node = drive.node.as_deref().and_then(|name| m.blocks.node(name));
            let node = node.map(|node| m.blocks.skip_hidden(node));
            let mut stats = counters(true);
            if let Some(object) = drive.object {
                let [read, write, zap, flush] = m.histograms(object);
                stats.rd_latency_histogram = read.as_deref().map(histogram);
                stats.wr_latency_histogram = write.as_deref().map(histogram);
                stats.zone_append_latency_histogram = zap.as_deref().map(histogram);
                stats.flush_latency_histogram = flush.as_deref().map(histogram);
            }
            BlockStats {
                device: Some(drive.device),
                qdev: drive.qdev,
                stats,
                ..match node {
                    Some(node) => node_stats(m, node, true),
                    None => no_stats(),
                }
            }
        };
        Ok(m.drives().into_iter().map(stats).collect())
    }
}

fn node_stats(m: &Machine, node: &BlockNode, of_drive: bool) -> BlockStats {
    let backing = m
        .blocks
        .backing_of(node)
        .filter(|_| of_drive && !node.is_filter());
    let file = m.blocks.file_of(node);
    let specific = BlockStatsSpecific::File(BlockStatsSpecificFile {
        discard_nb_ok: 0,
        discard_nb_failed: 0,
        discard_bytes_ok: 0,
    });
    BlockStats {
        node_name: Some(node.name.clone()),
        stats: BlockDeviceStats {
            wr_highest_offset: i64::try_from(node.highest_write).unwrap_or(i64::MAX),
            ..counters(false)
        },
        driver_specific: (node.driver == BlockdevDriver::File).then_some(specific),
        // Old clients take it for the node above; it is the one below.
        parent: file.map(|file| Box::new(node_stats(m, file, of_drive))),
        backing: backing.map(|below| Box::new(node_stats(m, below, of_drive))),
        ..no_stats()
    }
}

/// No operation of a guest is ever counted.
fn histogram(boundaries: &[u64]) -> BlockLatencyHistogramInfo {
    let signed = |limit: &u64| i64::try_from(*limit).unwrap_or(i64::MAX);
    BlockLatencyHistogramInfo {
        boundaries: boundaries.iter().map(signed).collect(),
        bins: vec![0; boundaries.len() + 1],
    }
}

fn no_stats() -> BlockStats {
    BlockStats {
        device: None,
        qdev: None,
        node_name: None,
        stats: counters(false),
        driver_specific: None,
        parent: None,
        backing: None,
    }
}

/// No operation was ever done. A drive accounts failed and invalid ones as well.
fn counters(of_drive: bool) -> BlockDeviceStats {
    BlockDeviceStats {
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
        account_invalid: of_drive,
        account_failed: of_drive,
        timed_stats: Vec::new(),
        rd_latency_histogram: None,
        wr_latency_histogram: None,
        zone_append_latency_histogram: None,
        flush_latency_histogram: None,
    }
}
