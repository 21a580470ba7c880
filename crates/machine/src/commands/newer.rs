//! The commands that QEMU has since version 11.1: `newer.json`.

use super::qom::ChardevNodes;
use crate::model::accel::Accel;
use crate::schema::{
    Accelerator, AcceleratorInfo, CpuModelBaselineInfo, CpuModelCompareInfo, CpuModelInfo,
    CpuPolarizationInfo, FirmwareLog, GICCapability, HumanReadableText, NewerCommands,
    ObjectPropertiesValues, ObjectPropertyValue, S390CpuEntitlement, StatisticsCommands,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

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
