//! HMP commands of the machine: run state, information, and those whose
//! subsystem this machine does not have, which say so.

use super::block::{BlockNode, Drive};
use super::commands::{netdev_options, QEMU_NETDEV_OPTS};
use super::schema::{
    AbsentCommands, MachineCommands, NetClientDriver, QKeyCode, RunStateCommands, WatchdogAction,
};
use super::{
    hmp_absent, hmp_info, hmp_log, hmp_mem, hmp_migrate, hmp_net, hmp_qom, hmp_services, hmp_ui,
    Machine,
};
use qmonitor::chardev::opts::{QemuOpts, QemuOptsList};
use qmonitor::monitor::hmp::{
    ArgKind, CompletionKind, Hmp, HmpArg, HmpArgs, HmpHandler, HmpRow, HMP_CMDS, HMP_INFO_CMDS,
};
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::Runtime;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

const QMP_TEST: HmpRow = HmpRow::new("qmp-test", "value", "remember a number")
    .args(&[HmpArg::new("value", ArgKind::Int)]);

fn handler(name: &str) -> Option<HmpHandler<Machine>> {
    Some(match name {
        "stop" => hmp_stop,
        "cont" => hmp_cont,
        "system_reset" => hmp_system_reset,
        "system_powerdown" => hmp_system_powerdown,
        "system_wakeup" => hmp_system_wakeup,
        "exit_preconfig" => hmp_exit_preconfig,
        "nmi" => hmp_nmi,
        "watchdog_action" => hmp_watchdog_action,
        "announce_self" => nothing,
        "cpu" => hmp_cpu,
        "balloon" => hmp_balloon,
        "one-insn-per-tb" => hmp_one_insn_per_tb,
        "sync-profile" => hmp_sync_profile,
        "info balloon" => hmp_info_balloon,
        "info roms" | "info memory-devices" => nothing,
        "info block" => hmp_info_block,
        "info cpus" => hmp_info_cpus,
        "info hotpluggable-cpus" => hmp_info_hotpluggable_cpus,
        "info iothreads" => hmp_info_iothreads,
        "info kvm" => hmp_info_kvm,
        "info name" => hmp_info_name,
        "info qtree" => hmp_info_qtree,
        "info registers" => hmp_info_registers,
        "info status" => hmp_info_status,
        "info uuid" => hmp_info_uuid,
        name => {
            let rooms = [
                hmp_log::handler,
                hmp_mem::handler,
                hmp_net::handler,
                hmp_qom::handler,
                hmp_ui::handler,
            ];
            return rooms.iter().find_map(|handler| handler(name));
        }
    })
}

/// Adds the machine's commands to those of the library.
pub(super) fn register(rt: &mut Runtime<Machine>) {
    let hmp = rt.hmp_mut();
    for row in HMP_CMDS {
        if let Some(handler) = handler(row.main_name()) {
            hmp.table.add(*row, handler);
        }
    }
    let absent = [
        hmp_absent::BLOCK,
        hmp_absent::OTHERS,
        hmp_migrate::COMMANDS,
        hmp_services::COMMANDS,
    ];
    for (row, handler) in absent.into_iter().flatten() {
        hmp.table.add(*row, *handler);
    }
    hmp.table.add(QMP_TEST, hmp_qmp_test);
    if let Some(info) = hmp.table.sub_mut("info") {
        for row in HMP_INFO_CMDS {
            if let Some(handler) = handler(&format!("info {}", row.main_name())) {
                info.add(*row, handler);
            }
        }
        let absent = [hmp_info::INFO, hmp_migrate::INFO, hmp_services::INFO];
        for (row, handler) in absent.into_iter().flatten() {
            info.add(*row, *handler);
        }
    }
    hmp.add_help_topic("log", || hmp_log::log_items("log"));
    hmp.set_options(options);
    hmp.add_completion(|rt, kind, typed| match kind {
        CompletionKind::ObjectTypes => {
            let types = super::objects::user_creatable_types();
            Some(types.into_iter().map(str::to_owned).collect())
        }
        CompletionKind::ObjectIds => {
            let ids = rt.state.user_objects();
            Some(ids.map(|(name, _)| name.to_owned()).collect())
        }
        CompletionKind::WatchdogActions => {
            let all = WatchdogAction::ALL.iter();
            Some(all.map(|a| a.as_str().to_owned()).collect())
        }
        CompletionKind::NetdevTypes => {
            let all = NetClientDriver::ALL.iter();
            Some(all.map(|d| d.as_str().to_owned()).collect())
        }
        CompletionKind::NetdevIds | CompletionKind::NetClients => {
            Some(rt.state.net.ports().map(|p| p.id.clone()).collect())
        }
        CompletionKind::Keys => {
            let all = QKeyCode::ALL.iter();
            Some(all.map(|k| k.as_str().to_owned()).collect())
        }
        CompletionKind::QomPaths => Some(hmp_qom::complete_path(rt, &typed.word)),
        CompletionKind::QomProperties => {
            let path = typed.args.last().map_or(&b""[..], Vec::as_slice);
            Some(hmp_qom::complete_property(rt, path))
        }
        CompletionKind::LogItems => Some(hmp_log::complete_items(&typed.word)),
        _ => None,
    });
}

/// The options of `device_add` (`qemu_device_opts`); all of them are a
/// model's own.
static QEMU_DEVICE_OPTS: QemuOptsList = QemuOptsList {
    name: "device",
    implied_opt_name: Some("driver"),
    desc: &[],
    extensions: &[],
};

/// Reads the options of `device_add` and `netdev_add` while their line is
/// parsed.
fn options(rt: &Runtime<Machine>, group: &str, text: &str) -> Result<QDict, Error> {
    let mut warnings = Vec::new();
    if group == QEMU_NETDEV_OPTS.name {
        return netdev_options(&rt.state, text, &mut warnings);
    }
    let opts = QemuOpts::parse(&QEMU_DEVICE_OPTS, text, &mut warnings)?;
    Ok(opts
        .iter()
        .map(|(name, text)| (name, QObject::from(text)))
        .collect())
}

fn nothing(_hmp: Cx, _args: &HmpArgs) {}

fn hmp_qmp_test(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_qmp_test(hmp.rt, args.int("value"));
    hmp.handle_error(result);
}

fn hmp_stop(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_stop(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_cont(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_cont(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_system_reset(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_system_reset(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_system_powerdown(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_system_powerdown(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_system_wakeup(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_system_wakeup(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_exit_preconfig(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_x_exit_preconfig(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_nmi(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_inject_nmi(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_watchdog_action(hmp: Cx, args: &HmpArgs) {
    let name = args.str("action");
    let result = match name.parse::<WatchdogAction>() {
        Ok(action) => Machine::qmp_watchdog_set_action(hmp.rt, action),
        Err(_) => Err(Error::new(format!("invalid parameter value: {name}"))),
    };
    hmp.handle_error(result);
}

fn hmp_cpu(hmp: Cx, _args: &HmpArgs) {
    hmp.print("invalid CPU index\n");
}

fn hmp_balloon(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_balloon(hmp.rt, args.int("target"));
    hmp.handle_error(result);
}

fn hmp_info_balloon(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_balloon(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        hmp.print(format!("balloon: actual={}\n", info.actual >> 20));
    }
}

/// The option of an emulator, which this machine has none of.
fn hmp_one_insn_per_tb(hmp: Cx, args: &HmpArgs) {
    match args.try_str("option") {
        None | Some("on" | "off") => {}
        Some(other) => hmp.print(format!("unexpected option {other}\n")),
    }
}

fn hmp_sync_profile(hmp: Cx, args: &HmpArgs) {
    let on = &mut hmp.rt.state.sync_profile;
    match args.try_str("op") {
        None => {
            let state = if *on { "on" } else { "off" };
            hmp.print(format!("sync-profile is {state}\n"));
        }
        Some("on") => *on = true,
        Some("off") => *on = false,
        Some("reset") => {}
        Some(other) => {
            let e = Error::new(format!(
                "invalid parameter '{other}', expecting 'on', 'off', or 'reset'"
            ));
            hmp.handle_error(Err::<(), _>(e));
        }
    }
}

fn hmp_info_cpus(hmp: Cx, _args: &HmpArgs) {
    for cpu in hmp.rt.state.cpus() {
        let mark = if cpu.index == 0 { '*' } else { ' ' };
        let (index, thread) = (cpu.index, cpu.thread_id);
        hmp.print(format!("{mark} CPU #{index}: thread_id={thread}\n"));
    }
}

fn hmp_info_hotpluggable_cpus(hmp: Cx, _args: &HmpArgs) {
    let result = hmp.rt.state.cpu_slots();
    let Some(slots) = hmp.handle_error(result) else {
        return;
    };
    hmp.print("Hotpluggable CPUs:\n");
    for slot in slots {
        hmp.print(format!(
            "  type: \"{}\"\n  vcpus_count: \"1\"\n",
            slot.typename
        ));
        if let Some(path) = slot.path {
            hmp.print(format!("  qom_path: \"{path}\"\n"));
        }
        hmp.print("  CPUInstance Properties:\n");
        for (name, number) in slot.place.ids() {
            hmp.print(format!("    {name}: \"{number}\"\n"));
        }
    }
}

fn hmp_info_block(hmp: Cx, _args: &HmpArgs) {
    let m = &hmp.rt.state;
    let text =
        |drive: &Drive| drive_text(drive, drive.node.as_deref().and_then(|n| m.blocks.node(n)));
    let texts: Vec<String> = m.drives().iter().map(text).collect();
    hmp.print(texts.join("\n"));
}

/// A drive as `info block` describes it.
fn drive_text(drive: &Drive, node: Option<&BlockNode>) -> String {
    let title = match node {
        Some(node) => format!(
            "{}: {} ({}{})\n",
            node.name,
            node.filename,
            node.driver.as_str(),
            if node.read_only { ", read-only" } else { "" }
        ),
        None => format!("{}: [not inserted]\n", drive.qdev),
    };
    let mut text = format!("{title}    Attached to:      {}\n", drive.qdev);
    if drive.removable {
        text.push_str("    Removable device: not locked, tray closed\n");
    }
    if let Some(node) = node {
        let direct = if node.direct { ", direct" } else { "" };
        let no_flush = if node.no_flush {
            ", ignore flushes"
        } else {
            ""
        };
        text.push_str(&format!(
            "    Cache mode:       writeback{direct}{no_flush}\n"
        ));
    }
    text
}

fn hmp_info_iothreads(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_iothreads(hmp.rt);
    for info in hmp.handle_error(result).unwrap_or_default() {
        hmp.print(format!(
            "{}:\n  thread_id={}\n  poll-max-ns={}\n  poll-grow={}\n  poll-shrink={}\n  \
             aio-max-batch={}\n",
            info.id,
            info.thread_id,
            info.poll_max_ns,
            info.poll_grow,
            info.poll_shrink,
            info.aio_max_batch
        ));
    }
}

fn hmp_info_kvm(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_kvm(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        let state = match info.enabled {
            true => "enabled",
            false => "disabled",
        };
        hmp.print(format!("kvm support: {state}\n"));
    }
}

fn hmp_info_name(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_name(hmp.rt);
    if let Some(name) = hmp.handle_error(result).and_then(|info| info.name) {
        hmp.print(format!("{name}\n"));
    }
}

fn hmp_info_qtree(hmp: Cx, _args: &HmpArgs) {
    hmp.print("bus: main-system-bus\n  type System\n");
}

fn hmp_info_registers(hmp: Cx, args: &HmpArgs) {
    match args.try_int("vcpu") {
        _ if args.flag("all") => {}
        Some(vcpu) => hmp.print(format!("CPU#{vcpu} not available\n")),
        None => hmp.print("No CPU available\n"),
    }
}

fn hmp_info_status(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_status(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        let state = if info.running { "running" } else { "paused" };
        let status = info.status.as_str();
        match status {
            "running" | "paused" => hmp.print(format!("VM status: {state}\n")),
            other => hmp.print(format!("VM status: {state} ({other})\n")),
        }
    }
}

fn hmp_info_uuid(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_uuid(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        hmp.print(format!("{}\n", info.uuid));
    }
}
