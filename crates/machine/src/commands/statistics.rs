//! Statistics: `statistics.json`. No provider counts anything here.

use super::emulator::jit_page;
use super::queries::text;
use crate::schema::{
    HumanReadableText, StatisticsCommands, StatsFilter, StatsProvider, StatsResult, StatsSchema,
    StatsSchemaValue, StatsTarget, StatsType,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// What encryption devices count, as far as the kind goes: operations, then bytes.
const CRYPTODEV: &[&str] = &[
    "asym-verify-bytes",
    "asym-sign-bytes",
    "asym-decrypt-bytes",
    "asym-encrypt-bytes",
    "asym-verify-ops",
    "asym-sign-ops",
    "asym-decrypt-ops",
    "asym-encrypt-ops",
    "sym-decrypt-bytes",
    "sym-encrypt-bytes",
    "sym-decrypt-ops",
    "sym-encrypt-ops",
];

impl StatisticsCommands for Machine {
    fn qmp_query_stats(_: &mut Rt, _: StatsFilter) -> Result<Vec<StatsResult>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_stats_schemas(
        _: &mut Rt,
        provider: Option<StatsProvider>,
    ) -> Result<Vec<StatsSchema>, Error> {
        if provider == Some(StatsProvider::Kvm) {
            return Ok(Vec::new());
        }
        let value = |name: &&str| StatsSchemaValue {
            name: (*name).to_owned(),
            r#type: StatsType::Cumulative,
            unit: None,
            base: None,
            exponent: 0,
            bucket_size: None,
        };
        Ok(vec![StatsSchema {
            provider: StatsProvider::Cryptodev,
            target: StatsTarget::Cryptodev,
            stats: CRYPTODEV.iter().map(value).collect(),
        }])
    }

    fn qmp_x_query_jit(rt: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(HumanReadableText {
            human_readable_text: jit_page(rt.profile()),
        })
    }

    fn qmp_x_query_opcount(_: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(text("[TCG profiler not compiled]\n"))
    }

    fn qmp_x_query_interrupt_controllers(_: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(text(""))
    }
}
