//! Processors: `cpu.json`.

use crate::model::board::Place;
use crate::model::cpu::expand_model;
use crate::model::cpu::models::{all_models, CpuModel};
use crate::schema::{
    CpuCommands, CpuDefinitionInfo, CpuInfoFast, CpuInfoFastBranch, CpuInstanceProperties,
    CpuModelExpansionInfo, CpuModelExpansionType, CpuModelInfo, HotpluggableCPU,
};
use crate::Machine;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::Runtime;

impl CpuCommands for Machine {
    fn qmp_query_cpus_fast(rt: &mut Runtime<Self>) -> Result<Vec<CpuInfoFast>, Error> {
        let info = |cpu: crate::model::cpu::CpuInfo| CpuInfoFast {
            cpu_index: cpu.index as i64,
            qom_path: cpu.path,
            thread_id: cpu.thread_id,
            props: Some(instance_properties(&cpu.place)),
            u: CpuInfoFastBranch::X86_64,
        };
        Ok(rt.state.cpus().into_iter().map(info).collect())
    }

    fn qmp_query_hotpluggable_cpus(rt: &mut Runtime<Self>) -> Result<Vec<HotpluggableCPU>, Error> {
        let info = |slot: crate::model::board::CpuSlot| HotpluggableCPU {
            r#type: slot.typename.to_owned(),
            vcpus_count: 1,
            props: instance_properties(&slot.place),
            qom_path: slot.path,
        };
        Ok(rt.state.cpu_slots()?.into_iter().map(info).collect())
    }

    fn qmp_query_cpu_definitions(_: &mut Runtime<Self>) -> Result<Vec<CpuDefinitionInfo>, Error> {
        Ok(all_models().map(definition).collect())
    }

    /// A static expansion is the model that has nothing, with everything that
    /// the model has put on top.
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
        })
    }
}

fn instance_properties(place: &Place) -> CpuInstanceProperties {
    let id = |number: u32| Some(i64::from(number));
    CpuInstanceProperties {
        node_id: None,
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
    let kvm = model.needs_kvm().then(|| "kvm".to_owned());
    let missing = model.unavailable().into_iter();
    let missing = missing.map(|feature| feature.name.to_owned());
    CpuDefinitionInfo {
        name: model.name.to_owned(),
        migration_safe: Some(model.migration_safe()),
        r#static: model.is_static(),
        unavailable_features: Some(kvm.into_iter().chain(missing).collect()),
        typename: model.object.name.to_owned(),
        alias_of: model.alias_of.map(str::to_owned),
        deprecated: false,
    }
}
