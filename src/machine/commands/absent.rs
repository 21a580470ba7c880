//! Commands about things that this machine has none of: `absent.json`,
//! `block.json`.

use crate::machine::schema::{
    AbsentCommands, BalloonInfo, BlockCommands, BlockDeviceInfo, BlockInfo, DumpQueryResult,
    DumpStatus, JobInfo, MouseInfo, ReplayInfo, ReplayMode, StrOrNull, TpmModel, TpmType, VncInfo,
};
use crate::machine::Machine;
use crate::qapi::{Error, ErrorClass};
use crate::Runtime;

fn no_balloon() -> Error {
    Error::with_class(
        ErrorClass::DeviceNotActive,
        "No balloon device has been activated",
    )
}

impl AbsentCommands for Machine {
    fn qmp_query_balloon(_: &mut Runtime<Self>) -> Result<BalloonInfo, Error> {
        Err(no_balloon())
    }

    fn qmp_balloon(_: &mut Runtime<Self>, _value: i64) -> Result<(), Error> {
        Err(no_balloon())
    }

    fn qmp_query_mice(_: &mut Runtime<Self>) -> Result<Vec<MouseInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_dump(_: &mut Runtime<Self>) -> Result<DumpQueryResult, Error> {
        Ok(DumpQueryResult {
            status: DumpStatus::None,
            completed: 0,
            total: 0,
        })
    }

    fn qmp_query_replay(_: &mut Runtime<Self>) -> Result<ReplayInfo, Error> {
        Ok(ReplayInfo {
            mode: ReplayMode::None,
            filename: None,
            icount: 0,
        })
    }

    fn qmp_query_jobs(_: &mut Runtime<Self>) -> Result<Vec<JobInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_vnc(_: &mut Runtime<Self>) -> Result<VncInfo, Error> {
        Ok(VncInfo {
            enabled: false,
            host: None,
            family: None,
            service: None,
            auth: None,
            clients: None,
        })
    }

    fn qmp_query_tpm_models(_: &mut Runtime<Self>) -> Result<Vec<TpmModel>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_tpm_types(_: &mut Runtime<Self>) -> Result<Vec<TpmType>, Error> {
        Ok(Vec::new())
    }
}

impl BlockCommands for Machine {
    fn qmp_query_block(_: &mut Runtime<Self>) -> Result<Vec<BlockInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_named_block_nodes(
        _: &mut Runtime<Self>,
        _flat: Option<bool>,
    ) -> Result<Vec<BlockDeviceInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_x_blockdev_set_iothread(
        _: &mut Runtime<Self>,
        node_name: String,
        _iothread: StrOrNull,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        Err(Error::new(format!(
            "Failed to find node with node-name='{node_name}'"
        )))
    }
}
