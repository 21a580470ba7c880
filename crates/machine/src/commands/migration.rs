//! Moving the machine away: `migration.json`.

use crate::schema::{
    MigrationCapabilityStatus, MigrationCommands, MigrationInfo, MigrationThreadInfo,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl MigrationCommands for Machine {
    fn qmp_query_migrate(_: &mut Runtime<Self>) -> Result<MigrationInfo, Error> {
        Ok(MigrationInfo {
            status: None,
            ram: None,
            vfio: None,
            xbzrle_cache: None,
            total_time: None,
            expected_downtime: None,
            downtime: None,
            setup_time: None,
            cpu_throttle_percentage: None,
            error_desc: None,
            blocked_reasons: None,
            postcopy_blocktime: None,
            postcopy_vcpu_blocktime: None,
            socket_address: None,
            dirty_limit_throttle_time_per_round: None,
            dirty_limit_ring_full_time: None,
        })
    }

    fn qmp_query_migrationthreads(
        _: &mut Runtime<Self>,
    ) -> Result<Vec<MigrationThreadInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_migrate_set_capabilities(
        rt: &mut Runtime<Self>,
        capabilities: Vec<MigrationCapabilityStatus>,
    ) -> Result<(), Error> {
        let changes = capabilities.iter().map(|c| (c.capability, c.state));
        rt.state.migration.set_capabilities(changes)
    }

    fn qmp_query_migrate_capabilities(
        rt: &mut Runtime<Self>,
    ) -> Result<Vec<MigrationCapabilityStatus>, Error> {
        let status = |(capability, state)| MigrationCapabilityStatus { capability, state };
        Ok(rt.state.migration.capabilities().map(status).collect())
    }

    fn qmp_migrate_recover(_: &mut Runtime<Self>, _uri: String) -> Result<(), Error> {
        Err(Error::new(
            "Migrate recover can only be run when postcopy is paused.",
        ))
    }

    fn qmp_migrate_pause(_: &mut Runtime<Self>) -> Result<(), Error> {
        Err(Error::new(
            "migrate-pause is currently only supported during postcopy-active or \
             postcopy-recover state",
        ))
    }
}
