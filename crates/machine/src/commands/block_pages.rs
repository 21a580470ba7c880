//! `info block` and `info blockstats`: what `query-block`, `query-named-block-nodes` and
//! `query-blockstats` tell, for people.

use super::block_info::depth;
use super::hmp::Cx;
use crate::model::block::{BlockNode, Drive};
use crate::schema::BlockStatsCommands;
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "block",
            "[-n] [-v] [device]",
            "show info of one block device or all block devices (-n: show named nodes; -v: show \
             details)",
        )
        .args(&[
            HmpArg::new("nodes", Flag('n')),
            HmpArg::new("verbose", Flag('v')),
            HmpArg::new("device", Block).optional(),
        ]),
        hmp_info_block,
    ),
    (
        HmpRow::new("blockstats", "", "show block device statistics"),
        hmp_info_blockstats,
    ),
];

fn hmp_info_block(hmp: Cx, args: &HmpArgs) {
    let m = &hmp.rt.state;
    let device = args.try_str("device");
    let verbose = args.flag("verbose");
    let mut text = String::new();
    if !args.flag("nodes") {
        let of_drive = |drive: &Drive| {
            let node = drive.node.as_deref().and_then(|n| m.blocks.node(n));
            drive_text(m, Some(drive), node, verbose)
        };
        let drives = m.drives();
        let shown = drives
            .iter()
            .filter(|drive| device.is_none_or(|name| name == drive.device));
        let texts: Vec<String> = shown.map(of_drive).collect();
        text = texts.join("\n");
    }
    // A name that no drive has may be that of a node.
    if args.flag("nodes") || device.is_some() && text.is_empty() {
        for (i, node) in m.blocks.nodes().enumerate() {
            if device.is_some_and(|name| name != node.name) {
                continue;
            }
            if i > 0 {
                text.push('\n');
            }
            text += &drive_text(m, None, Some(node), verbose);
        }
    }
    hmp.print(text);
}

/// A node, perhaps in a drive, or a drive without one.
fn drive_text(
    m: &Machine,
    drive: Option<&Drive>,
    node: Option<&BlockNode>,
    verbose: bool,
) -> String {
    let device = drive.map_or("", |d| &d.device);
    let mut text = match node {
        Some(node) => format!(
            "{}: {} ({}{})\n",
            if device.is_empty() {
                node.name.clone()
            } else {
                format!("{device} ({})", node.name)
            },
            m.blocks.filename(node),
            node.driver_name(),
            if node.read_only { ", read-only" } else { "" }
        ),
        None => {
            let qdev = drive.and_then(|d| d.qdev.as_deref()).unwrap_or_default();
            let name = if device.is_empty() { qdev } else { device };
            format!("{name}: [not inserted]\n")
        }
    };
    if let Some(drive) = drive {
        if let Some(qdev) = &drive.qdev {
            text += &format!("    Attached to:      {qdev}\n");
        }
        if drive.removable {
            let tray = if drive.tray_open { "open" } else { "closed" };
            text += &format!("    Removable device: not locked, tray {tray}\n");
        }
    }
    let Some(node) = node else {
        return text;
    };
    let direct = if node.direct { ", direct" } else { "" };
    let no_flush = if node.no_flush {
        ", ignore flushes"
    } else {
        ""
    };
    text += &format!("    Cache mode:       writeback{direct}{no_flush}\n");
    let backing = m.blocks.backing_of(node).filter(|_| !node.is_filter());
    if let Some(backing) = backing {
        let name = m.blocks.filename(m.blocks.skip_hidden(backing));
        let depth = depth(m, node);
        text += &format!("    Backing file:     {name} (chain depth: {depth})\n");
    }
    if let Some(drive) = drive.filter(|d| !d.limits.is_unlimited()) {
        text += &limits_text(drive);
    }
    if verbose {
        let size = m.blocks.length(&node.name);
        let on_host = m.blocks.actual_size(&node.name);
        let on_host = on_host.map_or("unavailable".to_owned(), size_to_str);
        text += &format!(
            "\nImages:\nimage: {}\nfile format: {}\nvirtual size: {} ({size} bytes)\n\
             disk size: {on_host}\n",
            m.blocks.filename(node),
            node.driver_name(),
            size_to_str(size),
        );
    }
    text
}

fn limits_text(drive: &Drive) -> String {
    let ([bps, bps_rd, bps_wr], [iops, iops_rd, iops_wr]) = (drive.limits.bps, drive.limits.iops);
    let group = drive.group.as_ref().or(drive.qdev.as_ref());
    format!(
        "    I/O throttling:   bps={bps} bps_rd={bps_rd} bps_wr={bps_wr} bps_max=0 bps_rd_max=0 \
         bps_wr_max=0 iops={iops} iops_rd={iops_rd} iops_wr={iops_wr} iops_max=0 iops_rd_max=0 \
         iops_wr_max=0 iops_size=0 group={}\n",
        group.map_or("", |g| g)
    )
}

/// A size with a unit and three digits (`size_to_str`).
pub(super) fn size_to_str(size: u64) -> String {
    const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let (mut value, mut unit) = (size as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {}B", UNITS[unit])
}

fn hmp_info_blockstats(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_blockstats(hmp.rt, None);
    for info in hmp.handle_error(result).unwrap_or_default() {
        let s = &info.stats;
        hmp.print(format!(
            "{}: rd_bytes={} wr_bytes={} rd_operations={} wr_operations={} flush_operations={} \
             wr_total_time_ns={} rd_total_time_ns={} flush_total_time_ns={} rd_merged={} \
             wr_merged={} idle_time_ns={}\n",
            info.device.as_deref().unwrap_or_default(),
            s.rd_bytes,
            s.wr_bytes,
            s.rd_operations,
            s.wr_operations,
            s.flush_operations,
            s.wr_total_time_ns,
            s.rd_total_time_ns,
            s.flush_total_time_ns,
            s.rd_merged,
            s.wr_merged,
            s.idle_time_ns.unwrap_or(0),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (size, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (1000, "0.977 KiB"),
            (102_400, "100 KiB"),
            (10_485_760, "10 MiB"),
            (1_572_864_000, "1.46 GiB"),
        ] {
            assert_eq!(size_to_str(size), text);
        }
    }
}
