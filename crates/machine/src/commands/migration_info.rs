//! How a migration goes: `query-migrate` and `info migrate`.

use super::block_pages::size_to_str;
use super::hmp::Cx;
use super::qom::socket_address;
use super::{dump, migration_out};
use crate::model::migration::Source;
use crate::schema::{
    MigrationCapability as Cap, MigrationInfo, MigrationRAMStats, MigrationStatus as Status,
    XBZRLECacheStats,
};
use crate::Machine;
use qmonitor::chardev::socket_address_to_string;
use qmonitor::monitor::hmp::HmpArgs;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The state of the move to here, and over it that of a move away.
pub(super) fn migration_info(rt: &mut Rt) -> MigrationInfo {
    rt.state.migration.reap();
    let mut info = MigrationInfo::default();
    let mut reasons = rt.state.migration_blockers();
    if rt.state.dump.is_active() {
        reasons.push(dump::BLOCKER.to_owned());
    }
    info.blocked_reasons = (!reasons.is_empty()).then_some(reasons);
    let incoming = &rt.state.migration.incoming;
    if let Some(status) = incoming.status {
        info.status = Some(status);
        info.error_desc.clone_from(&incoming.error);
        info.socket_address = incoming
            .listens_at
            .as_ref()
            .map(|a| vec![socket_address(a)]);
    }
    if let Some(source) = &rt.state.migration.source {
        fill(rt, source, &mut info);
    }
    info
}

fn fill(rt: &Rt, source: &Source, info: &mut MigrationInfo) {
    info.status = Some(source.status);
    info.error_desc.clone_from(&source.error);
    if matches!(
        source.status,
        Status::None | Status::Setup | Status::Cancelled | Status::Failed
    ) {
        return;
    }
    let (ledger, settings) = (&source.ledger, &rt.state.migration.settings);
    info.setup_time = ledger.setup_time();
    info.total_time = Some(ledger.total_time(migration_out::now(rt)));
    info.downtime = ledger.downtime();
    if info.downtime.is_none() {
        info.expected_downtime = Some(ledger.expected_downtime());
        info.remaining = u64::try_from(ledger.ram().remaining).ok();
    }
    info.ram = Some(ledger.ram());
    if settings.has(Cap::Xbzrle) {
        info.xbzrle_cache = Some(XBZRLECacheStats {
            cache_size: settings.number("xbzrle-cache-size"),
            bytes: 0,
            pages: 0,
            cache_miss: 0,
            cache_miss_rate: 0.0,
            encoding_rate: 0.0,
            overflow: 0,
        });
    }
    if ledger.throttle() > 0 {
        info.cpu_throttle_percentage = i64::try_from(ledger.throttle()).ok();
    }
}

/// How it goes, as QEMU 11.1 lays it out: what all migrations share comes last, and only
/// with `-a`.
pub(super) fn hmp_info_migrate(hmp: Cx, args: &HmpArgs) {
    let info = migration_info(hmp.rt);
    let mut page = String::new();
    if let Some(status) = info.status {
        page += &format!("Status: \t\t{}", status.as_str());
        if let (Status::Failed, Some(error)) = (status, &info.error_desc) {
            page += &format!(" ({error})");
        }
        page.push('\n');
    }
    if let Some(total) = info.total_time {
        page += &format!("Time (ms): \t\ttotal={total}");
        let times = [
            ("setup", info.setup_time),
            ("exp_down", info.expected_downtime),
            ("down", info.downtime),
        ];
        for (name, ms) in times {
            page += &ms.map_or_else(String::new, |ms| format!(", {name}={ms}"));
        }
        page.push('\n');
    }
    if let Some(remaining) = info.remaining {
        page += &format!("Remaining: \t\t{}\n", size_to_str(remaining));
    }
    if let Some(ram) = &info.ram {
        page += &ram_lines(ram);
    }
    if let Some(addr) = &hmp.rt.state.migration.incoming.listens_at {
        let words = socket_address_to_string(addr);
        page += &format!("Sockets: [\n\t{words}\n]\n");
    }
    if args.flag("all") {
        page += "Globals:\n  store-global-state: on\n  only-migratable: off\n  \
             send-configuration: on\n  send-section-footer: on\n  send-switchover-start: on\n  \
             clear-bitmap-shift: 18\n";
    }
    hmp.print(page);
}

fn ram_lines(ram: &MigrationRAMStats) -> String {
    let size = |bytes: i64| size_to_str(u64::try_from(bytes).unwrap_or(0));
    format!(
        "RAM info:\n  Throughput (Mbps): \t{:.2}\n  Sizes: \t\tpagesize={}, total={}\n  \
         Transfers: \t\ttransferred={}, remain={}\n    Channels: \t\tprecopy={}, multifd={}, \
         postcopy={}\n    Page Types: \tnormal={}, zero={}\n  Page Rates (pps): \t\
         transfer={}{}\n  Others: \t\tdirty_syncs={}\n",
        ram.mbps,
        size(ram.page_size),
        size(ram.total),
        size(ram.transferred),
        size(ram.remaining),
        size_to_str(ram.precopy_bytes),
        size_to_str(ram.multifd_bytes),
        size_to_str(ram.postcopy_bytes),
        ram.normal,
        ram.duplicate,
        ram.pages_per_second,
        if ram.dirty_pages_rate > 0 {
            format!(", dirty={}", ram.dirty_pages_rate)
        } else {
            String::new()
        },
        ram.dirty_sync_count,
    )
}

/// How it goes, as QEMU laid it out before 11.1.
pub(super) fn hmp_info_migrate_old(hmp: Cx, _: &HmpArgs) {
    let info = migration_info(hmp.rt);
    let only = if hmp.rt.state.migration.only_migratable {
        "on"
    } else {
        "off"
    };
    let mut page = format!(
        "globals:\nstore-global-state: on\nonly-migratable: {only}\nsend-configuration: on\n\
         send-section-footer: on\nsend-switchover-start: on\nclear-bitmap-shift: 18\n"
    );
    if let Some(reasons) = &info.blocked_reasons {
        page += "Outgoing migration blocked:\n";
        for reason in reasons {
            page += &format!("  {reason}\n");
        }
    }
    if let Some(status) = info.status {
        page += &format!("Migration status: {}", status.as_str());
        if let (Status::Failed, Some(error)) = (status, &info.error_desc) {
            page += &format!(" ({error})");
        }
        let ms = info.total_time.unwrap_or(0);
        page += &format!("\ntotal time: {ms} ms\n");
        let lines = [
            ("expected downtime", info.expected_downtime),
            ("downtime", info.downtime),
            ("setup", info.setup_time),
        ];
        for (name, ms) in lines {
            if let Some(ms) = ms {
                page += &format!("{name}: {ms} ms\n");
            }
        }
    }
    if let Some(ram) = &info.ram {
        page += &ram_page(ram, info.status == Some(Status::Active));
    }
    if let Some(xbzrle) = &info.xbzrle_cache {
        page += &format!(
            "cache size: {} bytes\nxbzrle transferred: 0 kbytes\nxbzrle pages: 0 pages\n\
             xbzrle cache miss: 0 pages\nxbzrle cache miss rate: 0.00\nxbzrle encoding rate: \
             0.00\nxbzrle overflow: 0\n",
            xbzrle.cache_size
        );
    }
    if let Some(percent) = info.cpu_throttle_percentage {
        page += &format!("cpu throttle percentage: {percent}\n");
    }
    if let Some(addr) = &hmp.rt.state.migration.incoming.listens_at {
        let words = socket_address_to_string(addr);
        page += &format!("socket address: [\n\t{words}\n]\n");
    }
    hmp.print(page);
}

fn ram_page(ram: &MigrationRAMStats, is_active: bool) -> String {
    let kib = |bytes: i64| bytes >> 10;
    let mut page = format!(
        "transferred ram: {} kbytes\nthroughput: {:.2} mbps\nremaining ram: {} kbytes\n\
         total ram: {} kbytes\nduplicate: {} pages\nnormal: {} pages\nnormal bytes: {} kbytes\n\
         dirty sync count: {}\npage size: {} kbytes\nmultifd bytes: {} kbytes\n\
         pages-per-second: {}\n",
        kib(ram.transferred),
        ram.mbps,
        kib(ram.remaining),
        kib(ram.total),
        ram.duplicate,
        ram.normal,
        kib(ram.normal_bytes),
        ram.dirty_sync_count,
        kib(ram.page_size),
        ram.multifd_bytes >> 10,
        ram.pages_per_second
    );
    if ram.dirty_pages_rate > 0 {
        page += &format!("dirty pages rate: {} pages\n", ram.dirty_pages_rate);
    }
    for (name, bytes) in [
        ("precopy", ram.precopy_bytes),
        ("downtime", ram.downtime_bytes),
        ("postcopy", ram.postcopy_bytes),
    ] {
        if bytes > 0 && !(is_active && name == "downtime") {
            page += &format!("{name} ram: {} kbytes\n", bytes >> 10);
        }
    }
    page
}
