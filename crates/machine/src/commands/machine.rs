//! The machine as a whole, and its memory: `machine.json`.

use super::current_cpu::cpu_exists;
use super::hmp::{fail, Cx};
use super::roms::roms_page;
use crate::model::board::{self, all_classes, MachineClass};
use crate::model::facts::place_of_type;
use crate::schema::{
    CompatProperty, CurrentMachineParams, HostMemPolicy, HumanReadableText, IOThreadInfo, KvmInfo,
    MachineCommands, MachineInfo, Memdev, MemoryInfo, NameInfo, QueriesMemoryCommands,
    SysEmuTarget, TargetInfo, UuidInfo,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::{Error, QObject};
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
            poll_weight: params.poll_weight,
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
            plugged_memory: Some(rt.state.plugged_memory()),
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
        rt: &mut Runtime<Self>,
        val: u64,
        size: u64,
        filename: String,
        cpu_index: Option<i64>,
    ) -> Result<(), Error> {
        if !cpu_exists(rt, cpu_index.unwrap_or(0)) {
            let desc = "Parameter 'cpu-index' expects a CPU number";
            return Err(Error::new(desc));
        }
        rt.state.memsave(val, size, &filename)
    }

    fn qmp_query_machines(
        rt: &mut Runtime<Self>,
        compat_props: Option<bool>,
    ) -> Result<Vec<MachineInfo>, Error> {
        let wanted = compat_props == Some(true);
        let compat =
            |class: &MachineClass| class.compat_properties().into_iter().map(compat).collect();
        let info = |class: &'static MachineClass| MachineInfo {
            name: class.name.into(),
            alias: Some(class.alias.to_owned()).filter(|alias| !alias.is_empty()),
            is_default: class.is_default_of_qemu().then_some(true),
            cpu_max: class.cpu_max.into(),
            hotpluggable_cpus: class.has_hotpluggable_cpus(),
            numa_mem_supported: class.numa_mem_supported(),
            deprecated: class.is_deprecated(),
            default_cpu_type: class.default_cpu_type().map(str::to_owned),
            default_ram_id: Some(class.default_ram_id.to_owned()).filter(|id| !id.is_empty()),
            acpi: class.has_acpi(),
            compat_props: wanted.then(|| compat(class)),
        };
        let profile = rt.profile();
        let mut classes: Vec<_> = all_classes(profile).collect();
        classes.sort_by_cached_key(|class| place_of_type(profile, class.object.name));
        Ok(classes.into_iter().map(info).collect())
    }

    fn qmp_query_current_machine(rt: &mut Runtime<Self>) -> Result<CurrentMachineParams, Error> {
        Ok(CurrentMachineParams {
            wakeup_suspend_support: rt.state.class.is_pc(),
        })
    }

    fn qmp_x_query_roms(rt: &mut Runtime<Self>) -> Result<HumanReadableText, Error> {
        Ok(HumanReadableText {
            human_readable_text: roms_page(&rt.state),
        })
    }

    fn qmp_qmp_test(rt: &mut Runtime<Self>, value: i64) -> Result<(), Error> {
        rt.state.test_value = Some(value);
        Ok(())
    }
}

fn compat(property: board::CompatProperty) -> CompatProperty {
    let value = qobject_from_json(property.value.as_bytes()).ok();
    CompatProperty {
        qom_type: property.qom_type.to_owned(),
        property: property.property.to_owned(),
        value: value
            .as_ref()
            .and_then(QObject::as_str)
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Its HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "boot_set",
            "bootdevice",
            "define new values for the boot device list",
        )
        .args(&[HmpArg::new("bootdevice", Str)]),
        |hmp, _| {
            hmp.print("no function defined to set boot device list for this architecture\n");
        },
    ),
    (
        HmpRow::new(
            "dumpdtb",
            "filename",
            "dump the FDT in dtb format to 'filename'",
        )
        .args(&[HmpArg::new("filename", File)]),
        |hmp, _| {
            let e = Error::new("This machine doesn't have an FDT").with_hint(
                "(Perhaps it doesn't support FDT at all, or perhaps you need to provide an \
                 FDT with the -fdt option?)\n",
            );
            hmp.handle_error(Err::<(), _>(e));
        },
    ),
    (
        HmpRow::new("qmp-test", "value", "remember a number").args(&[HmpArg::new("value", Int)]),
        hmp_qmp_test,
    ),
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
];

/// Its sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("iothreads", "", "show iothreads").preconfig(),
        hmp_info_iothreads,
    ),
    (HmpRow::new("kvm", "", "show KVM information"), hmp_info_kvm),
    (
        HmpRow::new("name", "", "show the current VM name").preconfig(),
        hmp_info_name,
    ),
    (HmpRow::new("roms", "", "show roms"), |hmp, _| {
        let page = roms_page(&hmp.rt.state);
        hmp.print(page);
    }),
    (HmpRow::new("sev", "", "show SEV information"), |hmp, _| {
        hmp.print("SEV is not enabled\n");
    }),
    (
        HmpRow::new("sgx", "", "show intel SGX information"),
        |hmp, _| {
            // No machine has regions for it, so the reason why is all there is.
            if let Err(e) = Machine::qmp_query_sgx(hmp.rt) {
                hmp.print(format!("{}\n", e.desc()));
            }
        },
    ),
    (
        HmpRow::new(
            "sync-profile",
            "[-m] [-n] [max]",
            "show synchronization profiling info, up to max entries (default: 10), sorted by \
             total wait time. (-m: sort by mean wait time; -n: do not coalesce objects with the \
             same call site)",
        )
        .args(&[
            HmpArg::new("mean", Flag('m')),
            HmpArg::new("no_coalesce", Flag('n')),
            HmpArg::new("max", Int32).optional(),
        ]),
        hmp_info_sync_profile,
    ),
    (
        HmpRow::new("uuid", "", "show the current VM UUID").preconfig(),
        hmp_info_uuid,
    ),
    (
        HmpRow::new("vm-generation-id", "", "Show Virtual Machine Generation ID"),
        |hmp, _| fail(hmp, "VM Generation ID device not found"),
    ),
];

fn hmp_qmp_test(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_qmp_test(hmp.rt, args.int("value"));
    hmp.handle_error(result);
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

fn hmp_info_iothreads(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_iothreads(hmp.rt);
    let has_weight = hmp.rt.profile().has_poll_weight();
    for info in hmp.handle_error(result).unwrap_or_default() {
        let weight = if has_weight {
            format!("  poll-weight={}\n", info.poll_weight)
        } else {
            String::new()
        };
        hmp.print(format!(
            "{}:\n  thread_id={}\n  poll-max-ns={}\n  poll-grow={}\n  poll-shrink={}\n\
             {weight}  aio-max-batch={}\n",
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
        let state = if info.enabled { "enabled" } else { "disabled" };
        hmp.print(format!("kvm support: {state}\n"));
    }
}

fn hmp_info_name(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_name(hmp.rt);
    if let Some(name) = hmp.handle_error(result).and_then(|info| info.name) {
        hmp.print(format!("{name}\n"));
    }
}

/// The table of an empty profile.
fn hmp_info_sync_profile(hmp: Cx, _args: &HmpArgs) {
    let head = "Type               Object  Call site  Wait Time (s)         Count  Average (us)";
    let line = "-".repeat(head.len());
    hmp.print(format!("{head}\n{line}\n{line}\n"));
}

fn hmp_info_uuid(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_uuid(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        hmp.print(format!("{}\n", info.uuid));
    }
}
