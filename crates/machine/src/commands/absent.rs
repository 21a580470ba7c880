//! Commands about things that this machine has none of, and about the balloon,
//! which it may have: `absent.json`.

use crate::schema::{
    AbsentCommands, BalloonInfo, DumpQueryResult, DumpStatus, JobInfo, MouseInfo, ReplayInfo,
    ReplayMode, TpmModel, TpmType, VncInfo,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl AbsentCommands for Machine {
    fn qmp_query_balloon(rt: &mut Runtime<Self>) -> Result<BalloonInfo, Error> {
        let actual = rt.state.balloon_actual()?;
        Ok(BalloonInfo { actual })
    }

    fn qmp_balloon(rt: &mut Runtime<Self>, value: i64) -> Result<(), Error> {
        rt.state.balloon_request(value)
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
