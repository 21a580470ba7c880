//! Encrypted machines, switches, CXL: `confidential.json`, `rocker.json`, `cxl.json`, and the
//! programs of `net-events.json`. The machine never has them.

use crate::schema::{
    CXLDRAMEvent, CXLGeneralMediaEvent, CXLMemoryModuleEvent, CXLUncorErrorRecord,
    ConfidentialCommands, CxlCommands, CxlCorErrorType, CxlDynamicCapacityAdd,
    CxlDynamicCapacityRelease, CxlExtentRemovalPolicy, CxlExtentSelectionPolicy, EbpfObject,
    EbpfProgramID, NetEventsCommands, QomCommands, RockerCommands, RockerOfDpaFlow,
    RockerOfDpaGroup, RockerPort, RockerSwitch, SGXInfo, SevAttestationReport, SevCapability,
    SevLaunchMeasureInfo,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl ConfidentialCommands for Machine {
    fn qmp_query_sev_launch_measure(_: &mut Rt) -> Result<SevLaunchMeasureInfo, Error> {
        Err(Error::new("SEV launch measurement is not available"))
    }

    fn qmp_query_sev_capabilities(_: &mut Rt) -> Result<SevCapability, Error> {
        Err(Error::new("KVM not enabled"))
    }

    fn qmp_sev_inject_launch_secret(
        _: &mut Rt,
        _packet_header: String,
        _secret: String,
        _gpa: Option<u64>,
    ) -> Result<(), Error> {
        Err(Error::new("SEV not enabled for guest"))
    }

    fn qmp_query_sev_attestation_report(
        _: &mut Rt,
        _mnonce: String,
    ) -> Result<SevAttestationReport, Error> {
        Err(Error::new("SEV is not enabled"))
    }

    fn qmp_query_sgx_capabilities(_: &mut Rt) -> Result<SGXInfo, Error> {
        let missing = std::io::Error::from_raw_os_error(nix::libc::ENOENT);
        Err(Error::from_io("Could not open '/dev/sgx_vepc'", &missing))
    }
}

fn no_rocker(name: &str) -> Error {
    Error::new(format!("rocker {name} not found"))
}

impl RockerCommands for Machine {
    fn qmp_query_rocker(_: &mut Rt, name: String) -> Result<RockerSwitch, Error> {
        Err(no_rocker(&name))
    }

    fn qmp_query_rocker_ports(_: &mut Rt, name: String) -> Result<Vec<RockerPort>, Error> {
        Err(no_rocker(&name))
    }

    fn qmp_query_rocker_of_dpa_flows(
        _: &mut Rt,
        name: String,
        _table: Option<u32>,
    ) -> Result<Vec<RockerOfDpaFlow>, Error> {
        Err(no_rocker(&name))
    }

    fn qmp_query_rocker_of_dpa_groups(
        _: &mut Rt,
        name: String,
        _kind: Option<u8>,
    ) -> Result<Vec<RockerOfDpaGroup>, Error> {
        Err(no_rocker(&name))
    }
}

impl NetEventsCommands for Machine {
    /// There is no program, since nothing is sent to the kernel.
    fn qmp_request_ebpf(_: &mut Rt, id: EbpfProgramID) -> Result<EbpfObject, Error> {
        let text = format!("this machine has no eBPF program '{}'", id.as_str());
        Err(Error::new(text))
    }
}

/// The error about a path to a device of CXL.
fn no_cxl(rt: &mut Rt, path: &str) -> Error {
    Error::new(if Machine::qmp_qom_list(rt, path).is_ok() {
        "Path does not point to a CXL type 3 device"
    } else {
        "Unable to resolve path"
    })
}

impl CxlCommands for Machine {
    fn qmp_cxl_inject_general_media_event(
        rt: &mut Rt,
        arg: CXLGeneralMediaEvent,
    ) -> Result<(), Error> {
        Err(no_cxl(rt, &arg.path))
    }

    fn qmp_cxl_inject_dram_event(rt: &mut Rt, arg: CXLDRAMEvent) -> Result<(), Error> {
        Err(no_cxl(rt, &arg.path))
    }

    fn qmp_cxl_inject_memory_module_event(
        rt: &mut Rt,
        arg: CXLMemoryModuleEvent,
    ) -> Result<(), Error> {
        Err(no_cxl(rt, &arg.path))
    }

    fn qmp_cxl_inject_poison(
        rt: &mut Rt,
        path: String,
        _start: u64,
        length: u64,
    ) -> Result<(), Error> {
        if length % 64 != 0 {
            return Err(Error::new(
                "Poison injection must be in multiples of 64 bytes",
            ));
        }
        Err(no_cxl(rt, &path))
    }

    fn qmp_cxl_inject_uncorrectable_errors(
        rt: &mut Rt,
        path: String,
        _errors: Vec<CXLUncorErrorRecord>,
    ) -> Result<(), Error> {
        Err(no_cxl(rt, &path))
    }

    fn qmp_cxl_inject_correctable_error(
        rt: &mut Rt,
        path: String,
        _kind: CxlCorErrorType,
    ) -> Result<(), Error> {
        Err(no_cxl(rt, &path))
    }

    fn qmp_cxl_add_dynamic_capacity(_: &mut Rt, arg: CxlDynamicCapacityAdd) -> Result<(), Error> {
        use CxlExtentSelectionPolicy::{EnableSharedAccess, Prescriptive};
        Err(Error::new(match arg.selection_policy {
            Prescriptive | EnableSharedAccess => "Unable to resolve CXL type 3 device",
            _ => "Selection policy not supported",
        }))
    }

    fn qmp_cxl_release_dynamic_capacity(
        _: &mut Rt,
        arg: CxlDynamicCapacityRelease,
    ) -> Result<(), Error> {
        Err(Error::new(match arg.removal_policy {
            CxlExtentRemovalPolicy::Prescriptive => "Unable to resolve CXL type 3 device",
            CxlExtentRemovalPolicy::TagBased => "Removal policy not supported",
        }))
    }
}
