//! HMP commands about the machine's state, and the registration of all of the
//! machine's HMP commands. Each row stands beside its handler.

use super::hmp_absent::nothing;
use super::{
    hmp_absent, hmp_info, hmp_log, hmp_mem, hmp_migrate, hmp_net, hmp_qom, hmp_services, hmp_ui,
};
use super::{netdev_options, QEMU_NETDEV_OPTS};
use crate::model::block::{BlockNode, Drive};
use crate::schema::{
    AbsentCommands, MachineCommands, NetClientDriver, QKeyCode, RunStateCommands, WatchdogAction,
};
use crate::Machine;
use qmonitor::chardev::opts::{QemuOpts, QemuOptsList};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::Runtime;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "announce_self",
            "[interfaces] [id]",
            "Trigger GARP/RARP announcements",
        )
        .args(&[
            HmpArg::new("interfaces", Str).optional(),
            HmpArg::new("id", Str).optional(),
        ]),
        nothing,
    ),
    (
        HmpRow::new(
            "balloon",
            "target",
            "request VM to change its memory allocation (in MB)",
        )
        .args(&[HmpArg::new("target", MiB)]),
        hmp_balloon,
    ),
    (HmpRow::new("cont|c", "", "resume emulation"), hmp_cont),
    (
        HmpRow::new("cpu", "index", "set the default CPU").args(&[HmpArg::new("index", Int32)]),
        hmp_cpu,
    ),
    (
        HmpRow::new("exit_preconfig", "", "exit the preconfig state").preconfig(),
        hmp_exit_preconfig,
    ),
    (HmpRow::new("nmi", "", "inject an NMI"), hmp_nmi),
    (
        HmpRow::new(
            "one-insn-per-tb",
            "[on|off]",
            "run emulation with one guest instruction per translation block",
        )
        .args(&[HmpArg::new("option", Str)
            .optional()
            .completes_in_full(CompletionKind::OnOff)]),
        hmp_one_insn_per_tb,
    ),
    (
        HmpRow::new("qmp-test", "value", "remember a number").args(&[HmpArg::new("value", Int)]),
        hmp_qmp_test,
    ),
    (HmpRow::new("stop|s", "", "stop emulation"), hmp_stop),
    (
        HmpRow::new(
            "sync-profile",
            "[on|off|reset]",
            "enable, disable or reset synchronization profiling. With no arguments, prints \
         whether profiling is on or off.",
        )
        .args(&[HmpArg::new("op", Str)
            .optional()
            .completes_in_full(CompletionKind::Words(&["on", "off", "reset"]))]),
        hmp_sync_profile,
    ),
    (
        HmpRow::new("system_powerdown", "", "send system power down event"),
        hmp_system_powerdown,
    ),
    (
        HmpRow::new("system_reset", "", "reset the system"),
        hmp_system_reset,
    ),
    (
        HmpRow::new("system_wakeup", "", "wakeup guest from suspend"),
        hmp_system_wakeup,
    ),
    (
        HmpRow::new(
            "watchdog_action",
            "[reset|shutdown|poweroff|pause|debug|none|inject-nmi]",
            "change watchdog action",
        )
        .args(&[HmpArg::new("action", Str).completes(CompletionKind::WatchdogActions)]),
        hmp_watchdog_action,
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("balloon", "", "show balloon information"),
        hmp_info_balloon,
    ),
    (
        HmpRow::new(
            "block",
            "[-n] [-v] [device]",
            "show info of one block device or all block devices (-n: show named nodes; -v: \
         show details)",
        )
        .args(&[
            HmpArg::new("nodes", Flag('n')),
            HmpArg::new("verbose", Flag('v')),
            HmpArg::new("device", Block).optional(),
        ]),
        hmp_info_block,
    ),
    (
        HmpRow::new("cpus", "", "show infos for each CPU"),
        hmp_info_cpus,
    ),
    (
        HmpRow::new(
            "hotpluggable-cpus",
            "",
            "Show information about hotpluggable CPUs",
        )
        .preconfig(),
        hmp_info_hotpluggable_cpus,
    ),
    (
        HmpRow::new("iothreads", "", "show iothreads").preconfig(),
        hmp_info_iothreads,
    ),
    (HmpRow::new("kvm", "", "show KVM information"), hmp_info_kvm),
    (
        HmpRow::new("memory-devices", "", "show memory devices"),
        nothing,
    ),
    (
        HmpRow::new("name", "", "show the current VM name").preconfig(),
        hmp_info_name,
    ),
    (
        HmpRow::new(
            "qtree",
            "[-b]",
            "show device tree (-b: brief, omit properties)",
        )
        .args(&[HmpArg::new("brief", Flag('b'))]),
        hmp_info_qtree,
    ),
    (
        HmpRow::new(
            "registers",
            "[-a|vcpu]",
            "show the cpu registers (-a: show register info for all cpus; vcpu: specific \
         vCPU to query; show the current CPU's registers if no argument is specified)",
        )
        .args(&[
            HmpArg::new("all", Flag('a')),
            HmpArg::new("vcpu", Int32).optional(),
        ]),
        hmp_info_registers,
    ),
    (HmpRow::new("roms", "", "show roms"), nothing),
    (
        HmpRow::new("status", "", "show the current VM status (running|paused)").preconfig(),
        hmp_info_status,
    ),
    (
        HmpRow::new("uuid", "", "show the current VM UUID").preconfig(),
        hmp_info_uuid,
    ),
];

/// Adds the machine's commands to those of the library.
pub(super) fn register(rt: &mut Runtime<Machine>) {
    let hmp = rt.hmp_mut();
    for pairs in [
        COMMANDS,
        hmp_absent::BLOCK,
        hmp_absent::OTHERS,
        hmp_log::COMMANDS,
        hmp_mem::COMMANDS,
        hmp_migrate::COMMANDS,
        hmp_net::COMMANDS,
        hmp_qom::COMMANDS,
        hmp_services::COMMANDS,
        hmp_ui::COMMANDS,
    ] {
        hmp.table.extend(pairs.iter().copied());
    }
    if let Some(info) = hmp.table.sub_mut("info") {
        for pairs in [
            INFO,
            hmp_info::INFO,
            hmp_migrate::INFO,
            hmp_net::INFO,
            hmp_qom::INFO,
            hmp_services::INFO,
            hmp_ui::INFO,
        ] {
            info.extend(pairs.iter().copied());
        }
    }
    hmp.add_help_topic("log", || hmp_log::log_items("log"));
    hmp.set_options(options);
    hmp.add_completion(|rt, kind, typed| match kind {
        CompletionKind::ObjectTypes => {
            let types = crate::model::backends::user_creatable_types();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MachineOptions;

    #[track_caller]
    fn assert_sound(row: &HmpRow) {
        for (index, arg) in row.args.iter().enumerate() {
            let same = row.args.iter().filter(|other| other.name == arg.name);
            assert_eq!(same.count(), 1, "{}: {}", row.name, arg.name);
            if arg.kind == RestOfLine {
                assert_eq!(index + 1, row.args.len(), "{}", row.name);
            }
        }
    }

    #[test]
    fn rows_are_sound() {
        let machine = Machine::new(MachineOptions::default());
        let mut rt = Runtime::new(machine).expect("a runtime");
        super::register(&mut rt);
        for command in rt.hmp_mut().table.commands() {
            assert_sound(&command.row);
            for sub in command.sub.iter().flat_map(|sub| sub.commands()) {
                assert_sound(&sub.row);
            }
        }
    }
}
