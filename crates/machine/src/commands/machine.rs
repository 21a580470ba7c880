//! What the machine is: `machine.json`.

use crate::model::board::{all_classes, MachineClass};
use crate::schema::{
    CurrentMachineParams, HostMemPolicy, HumanReadableText, IOThreadInfo, KvmInfo, MachineCommands,
    MachineInfo, Memdev, MemoryInfo, NameInfo, SysEmuTarget, TargetInfo, UuidInfo,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl MachineCommands for Machine {
    fn qmp_query_name(rt: &mut Runtime<Self>) -> Result<NameInfo, Error> {
        let name = rt.state.name.clone();
        Ok(NameInfo {
            name: Some(name).filter(|name| !name.is_empty()),
        })
    }

    fn qmp_query_uuid(rt: &mut Runtime<Self>) -> Result<UuidInfo, Error> {
        Ok(UuidInfo {
            uuid: rt.state.uuid.to_string(),
        })
    }

    /// The architecture whose commands and machine types this program has.
    fn qmp_query_target(_: &mut Runtime<Self>) -> Result<TargetInfo, Error> {
        Ok(TargetInfo {
            arch: SysEmuTarget::X86_64,
        })
    }

    /// QEMU, built with KVM, says the same of a machine that does not use it.
    fn qmp_query_kvm(_: &mut Runtime<Self>) -> Result<KvmInfo, Error> {
        Ok(KvmInfo {
            enabled: false,
            present: true,
        })
    }

    fn qmp_query_iothreads(rt: &mut Runtime<Self>) -> Result<Vec<IOThreadInfo>, Error> {
        let info = |params: crate::model::backends::IothreadParams| IOThreadInfo {
            id: params.id,
            thread_id: params.thread_id,
            poll_max_ns: params.poll_max_ns,
            poll_grow: params.poll_grow,
            poll_shrink: params.poll_shrink,
            aio_max_batch: params.aio_max_batch,
        };
        Ok(rt.state.iothreads().into_iter().map(info).collect())
    }

    fn qmp_query_memdev(rt: &mut Runtime<Self>) -> Result<Vec<Memdev>, Error> {
        let info = |params: crate::model::backends::MemdevParams| Memdev {
            id: Some(params.id),
            size: params.size,
            merge: params.merge,
            dump: params.dump,
            prealloc: params.prealloc,
            share: params.share,
            reserve: Some(params.reserve),
            host_nodes: params.host_nodes,
            policy: params.policy.parse().unwrap_or(HostMemPolicy::Default),
        };
        Ok(rt.state.memdevs().into_iter().map(info).collect())
    }

    fn qmp_query_memory_size_summary(rt: &mut Runtime<Self>) -> Result<MemoryInfo, Error> {
        Ok(MemoryInfo {
            base_memory: rt.state.ram_size(),
            plugged_memory: Some(0),
        })
    }

    fn qmp_pmemsave(
        rt: &mut Runtime<Self>,
        val: u64,
        size: u64,
        filename: String,
    ) -> Result<(), Error> {
        rt.state.pmemsave(val, size, &filename)
    }

    fn qmp_memsave(
        _: &mut Runtime<Self>,
        _val: u64,
        _size: u64,
        _filename: String,
        _cpu_index: Option<i64>,
    ) -> Result<(), Error> {
        // There is none.
        Err(Error::new("Parameter 'cpu-index' expects a CPU number"))
    }

    fn qmp_query_machines(
        _: &mut Runtime<Self>,
        compat_props: Option<bool>,
    ) -> Result<Vec<MachineInfo>, Error> {
        let info = |class: &MachineClass| MachineInfo {
            name: class.name.into(),
            alias: class.alias.map(str::to_owned),
            is_default: None,
            cpu_max: class.cpu_max.into(),
            hotpluggable_cpus: class.is_pc(),
            numa_mem_supported: class.numa_mem_supported,
            deprecated: class.deprecated,
            default_cpu_type: class.default_cpu_type().map(str::to_owned),
            default_ram_id: Some(class.default_ram_id().into()),
            acpi: class.is_pc(),
            compat_props: compat_props.filter(|wanted| *wanted).map(|_| Vec::new()),
        };
        Ok(all_classes().map(info).collect())
    }

    fn qmp_query_current_machine(_: &mut Runtime<Self>) -> Result<CurrentMachineParams, Error> {
        Ok(CurrentMachineParams {
            wakeup_suspend_support: false,
        })
    }

    fn qmp_x_query_roms(_: &mut Runtime<Self>) -> Result<HumanReadableText, Error> {
        Ok(HumanReadableText {
            human_readable_text: String::new(),
        })
    }

    fn qmp_qmp_test(rt: &mut Runtime<Self>, value: i64) -> Result<(), Error> {
        rt.state.test_value = Some(value);
        Ok(())
    }
}
