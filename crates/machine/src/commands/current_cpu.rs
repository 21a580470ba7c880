//! The processor that a human monitor's commands are about: the first one, until `cpu N`
//! chooses another for this monitor. A line of `human-monitor-command` brings its own.

use super::hmp::Cx;
use crate::Machine;
use qmonitor::monitor::hmp::HmpArgs;
use qmonitor::Runtime;

/// The number of the current processor; `None` if there is no processor at all.
pub(super) fn current_cpu(hmp: Cx) -> Option<usize> {
    let m = &hmp.rt.state;
    let chosen = match hmp.cpu_index {
        Some(index) => usize::try_from(index).ok(),
        None => hmp
            .monitor
            .and_then(|monitor| m.current_cpus.get(&monitor))
            .copied(),
    };
    let cpus = m.cpus();
    let mut all = cpus.iter().map(|cpu| cpu.index);
    // The chosen one may be unplugged.
    let first = all.clone().next();
    all.find(|index| Some(*index) == chosen).or(first)
}

/// Whether there is a processor of this number.
pub(super) fn cpu_exists(rt: &Runtime<Machine>, index: i64) -> bool {
    let mut cpus = rt.state.cpus().into_iter();
    cpus.any(|cpu| usize::try_from(index) == Ok(cpu.index))
}

/// `cpu N`
pub(super) fn hmp_cpu(hmp: Cx, args: &HmpArgs) {
    let index = args.int("index");
    if !cpu_exists(hmp.rt, index) {
        return hmp.print("invalid CPU index\n");
    }
    // `human-monitor-command` has no next line that could make use of it.
    if let (Some(monitor), Ok(index)) = (hmp.monitor, usize::try_from(index)) {
        hmp.rt.state.current_cpus.insert(monitor, index);
    }
}

/// `info cpus`
pub(super) fn hmp_info_cpus(hmp: Cx, _args: &HmpArgs) {
    let current = current_cpu(hmp);
    for cpu in hmp.rt.state.cpus() {
        let mark = if Some(cpu.index) == current { '*' } else { ' ' };
        let (index, thread) = (cpu.index, cpu.thread_id);
        let class = hmp.rt.state.class_name(cpu.id);
        let model = class.strip_suffix("-x86_64-cpu").unwrap_or(class);
        let model = if hmp.rt.profile().shows_cpu_models() {
            format!(" model={model}")
        } else {
            String::new()
        };
        hmp.print(format!("{mark} CPU #{index}: thread_id={thread}{model}\n"));
    }
}
