//! Statistics: `statistics.json`. Only encryption devices have counts, and no guest uses them.

use super::emulator::jit_page;
use super::hmp::Cx;
use super::queries::text;
use crate::model::qom::ObjectId;
use crate::schema::{
    HumanReadableText, QCryptodevBackendClient, QCryptodevBackendServiceType,
    QCryptodevBackendType, QCryptodevInfo, StatisticsCommands, Stats, StatsFilter,
    StatsFilterBranch, StatsProvider, StatsRequest, StatsResult, StatsSchema, StatsSchemaValue,
    StatsTarget, StatsType, StatsVCPUFilter, StatsValue,
};
use crate::Machine;
use qmonitor::hash_order::hash_order;
use qmonitor::monitor::hmp::HmpArgs;
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

/// Where the counts of devices that can do nothing asymmetric begin.
const SYMMETRIC: usize = 8;

/// The encryption devices, with their ids.
fn cryptodevs(m: &Machine) -> Vec<(&str, ObjectId)> {
    let objects = m.user_objects();
    let devices = objects.filter(|(_, id)| m.class_name(*id) == "cryptodev-backend-builtin");
    hash_order(devices.collect(), |(name, _)| name)
}

/// What `query-cryptodev` tells.
pub(super) fn query_cryptodev(m: &Machine) -> Vec<QCryptodevInfo> {
    let info = |(name, _): (&str, ObjectId)| QCryptodevInfo {
        id: name.to_owned(),
        service: vec![
            QCryptodevBackendServiceType::Mac,
            QCryptodevBackendServiceType::Hash,
            QCryptodevBackendServiceType::Cipher,
        ],
        client: vec![QCryptodevBackendClient {
            queue: 0,
            r#type: QCryptodevBackendType::Builtin,
        }],
    };
    cryptodevs(m).into_iter().map(info).collect()
}

/// `info cryptodev`
pub(super) fn hmp_info_cryptodev(hmp: Cx, _: &HmpArgs) {
    for info in query_cryptodev(&hmp.rt.state) {
        let service: Vec<_> = info
            .service
            .iter()
            .map(|service| service.as_str())
            .collect();
        hmp.print(format!("{}: service=[{}]\n", info.id, service.join("|")));
        for client in info.client {
            let kind = client.r#type.as_str();
            hmp.print(format!("    queue {}: type={kind}\n", client.queue));
        }
    }
}

/// `info stats`
pub(super) fn hmp_info_stats(hmp: Cx, args: &HmpArgs) {
    let target = args.str("target");
    let u = match target {
        "vm" => StatsFilterBranch::Vm,
        "vcpu" => StatsFilterBranch::Vcpu(StatsVCPUFilter { vcpus: None }),
        "cryptodev" => StatsFilterBranch::Cryptodev,
        _ => return hmp.print(format!("invalid stats target {target}\n")),
    };
    let name = args.try_str("provider");
    let provider = match name.map(str::parse::<StatsProvider>) {
        None => None,
        Some(Ok(provider)) => Some(provider),
        Some(Err(_)) => {
            let name = name.unwrap_or_default();
            return hmp.print(format!("invalid stats provider {name}\n"));
        }
    };
    let request = |provider| StatsRequest {
        provider,
        names: None,
    };
    let providers = provider.map(|provider| vec![request(provider)]);
    let result = Machine::qmp_query_stats(hmp.rt, StatsFilter { providers, u });
    for result in hmp.handle_error(result).unwrap_or_default() {
        if provider.is_none() {
            hmp.print(format!("provider: {}\n", result.provider.as_str()));
        }
        for stat in result.stats {
            hmp.print(format!("    {} (cumulative): 0\n", stat.name));
        }
    }
}

impl StatisticsCommands for Machine {
    /// QEMU looks at no names either.
    fn qmp_query_stats(rt: &mut Rt, filter: StatsFilter) -> Result<Vec<StatsResult>, Error> {
        let is_wanted = filter.providers.is_none_or(|providers| {
            let mut all = providers.iter().map(|request| request.provider);
            all.any(|provider| provider == StatsProvider::Cryptodev)
        });
        if !is_wanted || !matches!(filter.u, StatsFilterBranch::Cryptodev) {
            return Ok(Vec::new());
        }
        let stat = |name: &&str| Stats {
            name: (*name).to_owned(),
            value: StatsValue::Scalar(0),
        };
        let result = |(_, id)| StatsResult {
            provider: StatsProvider::Cryptodev,
            qom_path: Some(rt.state.canonical_path(id)),
            stats: CRYPTODEV[SYMMETRIC..].iter().map(stat).collect(),
        };
        Ok(cryptodevs(&rt.state).into_iter().map(result).collect())
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
