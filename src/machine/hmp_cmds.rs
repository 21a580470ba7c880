//! HMP commands of the machine: run state, information, and those whose
//! subsystem this machine does not have, which say so.

use super::schema::{MachineCommands, RunStateCommands, WatchdogAction};
use super::{hmp_mem, hmp_qom, Machine};
use crate::monitor::hmp::{
    ArgKind, CompletionKind, Hmp, HmpArg, HmpArgs, HmpHandler, HmpRow, HMP_CMDS, HMP_INFO_CMDS,
};
use crate::qapi::Error;
use crate::Runtime;

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
        "log" => hmp_log,
        "logfile" => hmp_logfile,
        "balloon" | "info balloon" => hmp_no_balloon,
        "info block" | "info network" | "info cpus" | "info roms" | "info memory-devices" => {
            nothing
        }
        "info hotpluggable-cpus" => hmp_info_hotpluggable_cpus,
        "info iothreads" => hmp_info_iothreads,
        "info kvm" => hmp_info_kvm,
        "info mice" => hmp_info_mice,
        "info name" => hmp_info_name,
        "info qtree" => hmp_info_qtree,
        "info registers" => hmp_info_registers,
        "info status" => hmp_info_status,
        "info uuid" => hmp_info_uuid,
        name => return hmp_mem::handler(name).or_else(|| hmp_qom::handler(name)),
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
    hmp.table.add(QMP_TEST, hmp_qmp_test);
    if let Some(info) = hmp.table.sub_mut("info") {
        for row in HMP_INFO_CMDS {
            if let Some(handler) = handler(&format!("info {}", row.main_name())) {
                info.add(*row, handler);
            }
        }
    }
    hmp.add_completion(|rt, kind| match kind {
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
        _ => None,
    });
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

/// The items that QEMU logs. None of them exists in this machine but the trace
/// events; the names are accepted, so that scripts work.
const LOG_ITEMS: &[(&str, &str)] = &[
    ("int", "show interrupts/exceptions in short format"),
    ("exec", "show trace before each executed TB (lots of logs)"),
    (
        "cpu",
        "show CPU registers before entering a TB (lots of logs)",
    ),
    ("unimp", "log unimplemented functionality"),
    (
        "guest_errors",
        "log when the guest OS does something invalid (eg accessing a\nnon-existent register)",
    ),
];

/// What `help log` and `-d help` print.
pub(super) fn log_items() -> String {
    let mut text = "Log items (comma separated):\n".to_owned();
    let rows = [("none", "remove all logs")];
    let trace = [("trace:PATTERN", "enable trace events")];
    for (name, about) in rows.iter().chain(LOG_ITEMS).chain(&trace) {
        text.push_str(&format!("{name:<15} {about}\n"));
    }
    text.push_str("\nUse \"-d trace:help\" to get a list of trace events.\n\n");
    text
}

fn hmp_log(hmp: Cx, args: &HmpArgs) {
    let items = args.str("items");
    let known = |item: &str| LOG_ITEMS.iter().any(|(name, _)| *name == item);
    if items != "none" {
        for item in items.split(',') {
            match item.strip_prefix("trace:") {
                Some(pattern) => {
                    crate::trace::set_enabled(pattern, true);
                }
                None if known(item) || item == "all" => {}
                None => {
                    let text = hmp.rt.hmp_mut().table.help(b"log", false);
                    hmp.print(text.unwrap_or_default());
                    return;
                }
            }
        }
    }
    open_logfile(hmp);
}

fn hmp_logfile(hmp: Cx, args: &HmpArgs) {
    hmp.rt.state.logfile = Some(args.str("filename").to_owned());
    open_logfile(hmp);
}

/// Opens the log file; one that cannot be opened is tried again by the next
/// command, as in QEMU.
fn open_logfile(hmp: Cx) {
    let Some(path) = hmp.rt.state.logfile.clone() else {
        return;
    };
    match std::fs::File::create(&path) {
        Ok(file) => crate::trace::set_output(Some(Box::new(file))),
        Err(e) => {
            let reason = crate::qapi::error::strerror(&e);
            hmp.print(format!("Error opening logfile {path}: {reason}\n"));
        }
    }
}

fn hmp_no_balloon(hmp: Cx, _args: &HmpArgs) {
    let e = Error::new("No balloon device has been activated");
    hmp.handle_error(Err::<(), _>(e));
}

fn hmp_info_hotpluggable_cpus(hmp: Cx, _args: &HmpArgs) {
    let e = Error::new("machine does not support hot-plugging CPUs");
    hmp.handle_error(Err::<(), _>(e));
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
        let state = match (info.present, info.enabled) {
            (true, true) => "enabled",
            (true, false) => "disabled",
            (false, _) => "disabled",
        };
        hmp.print(format!("kvm support: {state}\n"));
    }
}

fn hmp_info_mice(hmp: Cx, _args: &HmpArgs) {
    hmp.print("No mouse devices connected\n");
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
