//! The commands that QEMU has since version 11.1: `newer.json`, and the rows of HMP.

use super::emulator::hmp_info_jit;
use super::hmp::{nothing, Cx};
use super::qom::ChardevNodes;
use crate::model::accel::Accel;
use crate::schema::{
    Accelerator, AcceleratorInfo, CpuModelBaselineInfo, CpuModelCompareInfo, CpuModelInfo,
    CpuPolarizationInfo, FirmwareLog, GICCapability, HumanReadableText, NewerCommands,
    ObjectPropertiesValues, ObjectPropertyValue, S390CpuEntitlement, StatisticsCommands,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::{Profile, Runtime};

type Rt = Runtime<Machine>;

/// The error of a command that is about other machines than a PC.
fn not_here<T>(what: &str) -> Result<T, Error> {
    Err(Error::new(format!("{what} on this target")))
}

impl NewerCommands for Machine {
    fn qmp_query_accelerators(rt: &mut Rt) -> Result<AcceleratorInfo, Error> {
        Ok(AcceleratorInfo {
            enabled: match rt.state.accel {
                Accel::Tcg => Accelerator::Tcg,
                Accel::Qtest => Accelerator::Qtest,
            },
            present: vec![
                Accelerator::Kvm,
                Accelerator::Mshv,
                Accelerator::Qtest,
                Accelerator::Tcg,
            ],
        })
    }

    fn qmp_x_accel_stats(rt: &mut Rt) -> Result<HumanReadableText, Error> {
        Machine::qmp_x_query_jit(rt)
    }

    fn qmp_qom_list_get(
        rt: &mut Rt,
        paths: Vec<String>,
    ) -> Result<Vec<ObjectPropertiesValues>, Error> {
        paths.iter().map(|path| properties_of(rt, path)).collect()
    }

    fn qmp_query_firmware_log(_: &mut Rt, _max_size: Option<u64>) -> Result<FirmwareLog, Error> {
        Err(Error::new("firmware log buffer not found"))
    }

    fn qmp_query_gic_capabilities(_: &mut Rt) -> Result<Vec<GICCapability>, Error> {
        not_here("GIC hardware is not available")
    }

    fn qmp_query_cpu_model_comparison(
        _: &mut Rt,
        _modela: CpuModelInfo,
        _modelb: CpuModelInfo,
    ) -> Result<CpuModelCompareInfo, Error> {
        not_here("CPU model comparison is not supported")
    }

    fn qmp_query_cpu_model_baseline(
        _: &mut Rt,
        _modela: CpuModelInfo,
        _modelb: CpuModelInfo,
    ) -> Result<CpuModelBaselineInfo, Error> {
        not_here("CPU model baseline is not supported")
    }

    fn qmp_dump_skeys(_: &mut Rt, _filename: String) -> Result<(), Error> {
        Err(Error::new(
            "Storage keys information not available for this architecture",
        ))
    }

    fn qmp_set_cpu_topology(
        _: &mut Rt,
        _core_id: u16,
        _socket_id: Option<u16>,
        _book_id: Option<u16>,
        _drawer_id: Option<u16>,
        _entitlement: Option<S390CpuEntitlement>,
        _dedicated: Option<bool>,
    ) -> Result<(), Error> {
        not_here("CPU topology change is not supported")
    }

    fn qmp_query_s390x_cpu_polarization(_: &mut Rt) -> Result<CpuPolarizationInfo, Error> {
        not_here("CPU polarization is not supported")
    }

    fn qmp_inject_ghes_v2_error(_: &mut Rt, _cper: String) -> Result<(), Error> {
        Err(Error::new("GHES QMP error inject is not compiled in"))
    }
}

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("clear", "", "clear the monitor screen")
            .preconfig()
            .read_only()
            .since(Profile::V11_1),
        |hmp, _| hmp.print("\x1b[H\x1b[2J\x1b[3J"),
    ),
    (
        HmpRow::new("dump-skeys", "", "")
            .elsewhere()
            .since(Profile::V11_1),
        nothing,
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("accel", "", "show accelerator statistics").since(Profile::V11_1),
        hmp_info_jit,
    ),
    (
        HmpRow::new("accelerators", "", "show present and enabled information")
            .since(Profile::V11_1),
        hmp_info_accelerators,
    ),
    (
        HmpRow::new("cmma", "", "")
            .elsewhere()
            .since(Profile::V11_1),
        nothing,
    ),
    (
        HmpRow::new(
            "firmware-log",
            "[max-size]",
            "show the firmware (ovmf) debug log",
        )
        .args(&[HmpArg::new("max-size", Size).optional()])
        .since(Profile::V11_1),
        |hmp, _| {
            let result = Machine::qmp_query_firmware_log(hmp.rt, None);
            hmp.handle_error(result);
        },
    ),
    (
        HmpRow::new("skeys", "", "")
            .elsewhere()
            .since(Profile::V11_1),
        nothing,
    ),
    (
        HmpRow::new("via", "", "show guest mos6522 VIA devices").since(Profile::V11_1),
        |hmp, _| hmp.print("MOS6522 VIA is not available in this QEMU\n"),
    ),
];

/// All that are present; the enabled one in brackets.
fn hmp_info_accelerators(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_accelerators(hmp.rt);
    let Some(info) = hmp.handle_error(result) else {
        return;
    };
    let name = |accel: &Accelerator| {
        if *accel == info.enabled {
            format!("[{accel}]")
        } else {
            accel.to_string()
        }
    };
    let names: Vec<String> = info.present.iter().map(name).collect();
    hmp.print(format!("{}\n", names.join(" ")));
}

/// The properties of an object, each with its value if it can be read.
fn properties_of(rt: &Rt, path: &str) -> Result<ObjectPropertiesValues, Error> {
    let chardevs = ChardevNodes(rt);
    let list = rt.state.qom_list(path, &chardevs)?;
    let with_value = |property: crate::model::qom::PropertyListing| ObjectPropertyValue {
        value: rt.state.qom_get(path, &property.name, &chardevs).ok(),
        name: property.name,
        r#type: property.type_name,
    };
    Ok(ObjectPropertiesValues {
        properties: list.into_iter().map(with_value).collect(),
    })
}
