//! Processors: `cpu.json`.

use super::current_cpu::{hmp_cpu, hmp_info_cpus};
use super::hmp::{nothing, Cx};
use super::registers::{hmp_info_lapic, hmp_info_registers};
use crate::model::board::Place;
use crate::model::cpu::expand_model;
use crate::model::cpu::models::{in_order, CpuModel};
use crate::schema::{
    CpuCommands, CpuDefinitionInfo, CpuInfoFast, CpuInfoFastBranch, CpuInstanceProperties,
    CpuModelExpansionInfo, CpuModelExpansionType, CpuModelInfo, HotpluggableCPU,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::{Profile, Runtime};

impl CpuCommands for Machine {
    fn qmp_query_cpus_fast(rt: &mut Runtime<Self>) -> Result<Vec<CpuInfoFast>, Error> {
        let machine = &rt.state;
        let info = |cpu: crate::model::cpu::CpuInfo| CpuInfoFast {
            qom_type: machine.class_name(cpu.id).to_owned(),
            cpu_index: cpu.index as i64,
            qom_path: cpu.path,
            thread_id: cpu.thread_id,
            props: Some(instance_properties(&cpu.place, cpu.node)),
            u: CpuInfoFastBranch::X86_64,
        };
        Ok(machine.cpus().into_iter().map(info).collect())
    }

    fn qmp_query_hotpluggable_cpus(rt: &mut Runtime<Self>) -> Result<Vec<HotpluggableCPU>, Error> {
        let info = |slot: crate::model::board::CpuSlot| HotpluggableCPU {
            r#type: slot.typename.to_owned(),
            vcpus_count: 1,
            props: instance_properties(&slot.place, slot.node),
            qom_path: slot.path,
        };
        Ok(rt.state.cpu_slots()?.into_iter().map(info).collect())
    }

    fn qmp_query_cpu_definitions(rt: &mut Runtime<Self>) -> Result<Vec<CpuDefinitionInfo>, Error> {
        Ok(in_order(rt.profile()).rev().map(definition).collect())
    }

    /// A static expansion is the empty model `base` with all features of the model as
    /// changes.
    fn qmp_query_cpu_model_expansion(
        rt: &mut Runtime<Self>,
        r#type: CpuModelExpansionType,
        model: CpuModelInfo,
    ) -> Result<CpuModelExpansionInfo, Error> {
        let changes = match model.props {
            None => QDict::new(),
            Some(QObject::Dict(props)) => props,
            Some(_) => {
                return Err(Error::new(
                    "Invalid parameter type for 'model.props', expected: object",
                ))
            }
        };
        let policy = rt.policy();
        let props = expand_model(&mut rt.state, &model.name, &changes, policy)?;
        let name = match r#type {
            CpuModelExpansionType::Static => "base".to_owned(),
            CpuModelExpansionType::Full => model.name,
        };
        Ok(CpuModelExpansionInfo {
            model: CpuModelInfo {
                name,
                props: Some(props.into()),
            },
            deprecated_props: None,
        })
    }
}

fn instance_properties(place: &Place, node: Option<u16>) -> CpuInstanceProperties {
    let id = |number: u32| Some(i64::from(number));
    CpuInstanceProperties {
        node_id: node.map(i64::from),
        drawer_id: None,
        book_id: None,
        socket_id: id(place.socket),
        die_id: place.die.and_then(id),
        cluster_id: None,
        module_id: place.module.and_then(id),
        core_id: id(place.core),
        thread_id: id(place.thread),
    }
}

fn definition(model: &'static CpuModel) -> CpuDefinitionInfo {
    CpuDefinitionInfo {
        name: model.name.to_owned(),
        migration_safe: Some(model.migration_safe()),
        r#static: model.is_static(),
        unavailable_features: Some(model.unavailable().map(str::to_owned).collect()),
        typename: model.object.name.to_owned(),
        alias_of: model.alias_of.map(str::to_owned),
        deprecated: model.is_deprecated(),
    }
}

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("cpu", "index", "set the default CPU").args(&[HmpArg::new("index", Int32)]),
        hmp_cpu,
    ),
    (
        HmpRow::new(
            "mce",
            "[-b] cpu bank status mcgstatus addr misc",
            "inject a MCE on the given CPU [and broadcast to other CPUs with -b option]",
        )
        .args(&[
            HmpArg::new("broadcast", Flag('b')),
            HmpArg::new("cpu_index", Int32),
            HmpArg::new("bank", Int32),
            HmpArg::new("status", Int),
            HmpArg::new("mcg_status", Int),
            HmpArg::new("addr", Int),
            HmpArg::new("misc", Int),
        ]),
        nothing,
    ),
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
];

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
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
        HmpRow::new(
            "lapic",
            "[apic-id]",
            "show local apic state (apic-id: local apic to read, default is which of current CPU)",
        )
        .args(&[HmpArg::new("apic-id", Int32).optional()]),
        hmp_info_lapic,
    ),
    (
        HmpRow::new("opcount", "", "show dynamic compiler opcode counters").before(Profile::V11_1),
        |hmp, _| hmp.print("[TCG profiler not compiled]\n"),
    ),
    (
        HmpRow::new(
            "registers",
            "[-a|vcpu]",
            "show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to \
             query; show the current CPU's registers if no argument is specified)",
        )
        .args(&[
            HmpArg::new("all", Flag('a')),
            HmpArg::new("vcpu", Int32).optional(),
        ]),
        hmp_info_registers,
    ),
];

/// An option of the emulator, which this machine does not have.
fn hmp_one_insn_per_tb(hmp: Cx, args: &HmpArgs) {
    match args.try_str("option") {
        None | Some("on" | "off") => {}
        Some(other) => hmp.print(format!("unexpected option {other}\n")),
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
        if let Some(node) = slot.node {
            hmp.print(format!("    node-id: \"{node}\"\n"));
        }
        for (name, number) in slot.place.ids() {
            hmp.print(format!("    {name}: \"{number}\"\n"));
        }
    }
}
