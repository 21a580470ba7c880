//! Questions about migration: `queries-migration.json`, and their pages.

use super::hmp::Cx;
use super::{dirty_rate, migration_out};
use crate::schema::{
    COLOExitReason, COLOMode, COLOStatus, DirtyLimitInfo, DirtyRateInfo, MigrateSetParameters,
    MigrationParameters, QueriesMigrationCommands, ReplicationStatus, TimeUnit,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::policy::{CompatPolicy, CompatPolicyInput, CompatPolicyOutput};
use qmonitor::qapi::visit::{parse_size, to_qobject, InputVisitor, QapiType};
use qmonitor::qapi::{Error, QDict, QNum, QObject};
use qmonitor::util::qemu_opts::parse_option_size;
use qmonitor::Profile;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl QueriesMigrationCommands for Machine {
    fn qmp_query_migrate_parameters(rt: &mut Rt) -> Result<MigrationParameters, Error> {
        let parameters = rt.state.migration.settings.parameters().clone();
        MigrationParameters::visit_in(&mut InputVisitor::new(parameters.into(), ALL), "")
    }

    fn qmp_migrate_set_parameters(rt: &mut Rt, arg: MigrateSetParameters) -> Result<(), Error> {
        if let QObject::Dict(changes) = to_qobject(&arg) {
            return rt.state.migration.settings.set_parameters(changes);
        }
        Ok(())
    }

    fn qmp_migrate_cancel(rt: &mut Rt) -> Result<(), Error> {
        migration_out::cancel(rt)
    }

    fn qmp_query_dirty_rate(
        rt: &mut Rt,
        calc_time_unit: Option<TimeUnit>,
    ) -> Result<DirtyRateInfo, Error> {
        Ok(dirty_rate::query(rt, calc_time_unit))
    }

    fn qmp_query_vcpu_dirty_limit(_: &mut Rt) -> Result<Vec<DirtyLimitInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_colo_status(_: &mut Rt) -> Result<COLOStatus, Error> {
        Ok(COLOStatus {
            mode: COLOMode::None,
            last_mode: COLOMode::None,
            reason: COLOExitReason::None,
        })
    }

    fn qmp_query_xen_replication_status(_: &mut Rt) -> Result<ReplicationStatus, Error> {
        let (error, desc) = (false, None);
        Ok(ReplicationStatus { error, desc })
    }
}

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new(
        "migrate_parameters",
        "",
        "show current migration parameters",
    ),
    hmp_info_migrate_parameters,
)];

/// Lets all parts of the schema pass, those of all profiles too, since the settings are the
/// program's own.
const ALL: CompatPolicy = CompatPolicy {
    deprecated_input: CompatPolicyInput::Accept,
    deprecated_output: CompatPolicyOutput::Accept,
    unstable_input: CompatPolicyInput::Accept,
    unstable_output: CompatPolicyOutput::Accept,
    profile: Profile::V11_1,
};

/// The settings in the order of the page, with what it shows behind their values.
const SHOWN: &[(&str, &str)] = &[
    ("announce-initial", " ms"),
    ("announce-max", " ms"),
    ("announce-rounds", ""),
    ("announce-step", " ms"),
    ("throttle-trigger-threshold", ""),
    ("cpu-throttle-initial", ""),
    ("cpu-throttle-increment", ""),
    ("cpu-throttle-tailslow", ""),
    ("max-cpu-throttle", ""),
    ("tls-creds", ""),
    ("tls-hostname", ""),
    ("max-bandwidth", " bytes/second"),
    ("avail-switchover-bandwidth", " bytes/second"),
    ("downtime-limit", " ms"),
    ("x-checkpoint-delay", " ms"),
    ("multifd-channels", ""),
    ("multifd-compression", ""),
    ("zero-page-detection", ""),
    ("xbzrle-cache-size", " bytes"),
    ("max-postcopy-bandwidth", ""),
    ("tls-authz", ""),
    ("block-bitmap-mapping", ""),
    ("x-vcpu-dirty-limit-period", " ms"),
    ("vcpu-dirty-limit", " MB/s"),
    ("mode", ""),
    ("direct-io", ""),
];

fn hmp_info_migrate_parameters(hmp: Cx, _: &HmpArgs) {
    let parameters = hmp.rt.state.migration.settings.parameters();
    let line = |(name, unit): &(&str, &str)| {
        let value = match parameters.get(name)? {
            QObject::String(text) if name.starts_with("tls-") => format!("'{text}'"),
            QObject::String(text) => text.clone(),
            QObject::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
            QObject::Num(QNum::I64(number)) => number.to_string(),
            QObject::Num(QNum::U64(number)) => number.to_string(),
            QObject::List(mapping) => mapping_page(mapping),
            _ => return None,
        };
        let space = if value.starts_with('\n') { "" } else { " " };
        Some(format!("{name}:{space}{value}{unit}\n"))
    };
    let page: String = SHOWN.iter().filter_map(line).collect();
    hmp.print(page);
}

/// The other names of nodes and their bitmaps, a line each.
fn mapping_page(mapping: &[QObject]) -> String {
    let mut page = String::new();
    let text = |dict: &QDict, name| dict.get_str(name).unwrap_or_default().to_owned();
    for node in mapping.iter().filter_map(QObject::as_dict) {
        let (name, alias) = (text(node, "node-name"), text(node, "alias"));
        page += &format!("\n  '{name}' -> '{alias}'");
        let bitmaps = node.get("bitmaps").and_then(QObject::as_list);
        for bitmap in bitmaps.into_iter().flatten().filter_map(QObject::as_dict) {
            let (name, alias) = (text(bitmap, "name"), text(bitmap, "alias"));
            page += &format!("\n    '{name}' -> '{alias}'");
        }
    }
    page
}

/// The settings whose numbers are in MiB if they have no suffix.
const IN_MIB: &[&str] = &["max-bandwidth", "avail-switchover-bandwidth"];

/// The settings that are numbers without a suffix, and their types.
const PLAIN: &[(&str, &str, u64)] = &[
    ("throttle-trigger-threshold", "uint8_t", 0xff),
    ("cpu-throttle-initial", "uint8_t", 0xff),
    ("cpu-throttle-increment", "uint8_t", 0xff),
    ("max-cpu-throttle", "uint8_t", 0xff),
    ("x-checkpoint-delay", "uint32_t", 0xffff_ffff),
    ("multifd-channels", "uint8_t", 0xff),
    ("multifd-zlib-level", "uint8_t", 0xff),
    ("multifd-qatzip-level", "uint8_t", 0xff),
    ("multifd-zstd-level", "uint8_t", 0xff),
];

/// The settings that are no numbers.
const WORDS: &[&str] = &[
    "cpu-throttle-tailslow",
    "direct-io",
    "tls-creds",
    "tls-hostname",
    "tls-authz",
    "multifd-compression",
    "mode",
    "zero-page-detection",
];

fn hmp_migrate_set_parameter(hmp: Cx, args: &HmpArgs) {
    let result = set_parameter(hmp.rt, args.str("parameter"), args.str("value"));
    hmp.handle_error(result);
}

fn set_parameter(rt: &mut Rt, name: &str, value: &str) -> Result<(), Error> {
    if name == "block-bitmap-mapping" {
        let desc = "The block-bitmap-mapping parameter can only be set through QMP";
        return Err(Error::new(desc));
    }
    if !SHOWN.iter().any(|(n, _)| *n == name) && !PLAIN.iter().any(|(n, ..)| *n == name) {
        return Err(Error::new(format!("invalid parameter value: {name}")));
    }
    let changes = [(name, number_or_word(name, value)?)].into_iter().collect();
    let mut v = InputVisitor::new_keyval(changes, ALL);
    let arg = MigrateSetParameters::visit_in(&mut v, "")?;
    Machine::qmp_migrate_set_parameters(rt, arg)
}

/// A value as plain digits if it is a number.
fn number_or_word(name: &str, value: &str) -> Result<String, Error> {
    if WORDS.contains(&name) {
        return Ok(value.to_owned());
    }
    if IN_MIB.contains(&name) {
        let size = match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n << 20),
            None if value.ends_with(|c: char| c.is_ascii_digit()) => {
                parse_size(&format!("{value}M")).ok()
            }
            None => parse_size(value).ok(),
        };
        let size = size.ok_or_else(|| Error::new(format!("Invalid size {value}")))?;
        return Ok(size.to_string());
    }
    let Some((_, kind, most)) = PLAIN.iter().find(|(n, ..)| *n == name) else {
        return parse_option_size(name, value).map(|size| size.to_string());
    };
    let expects = |kind| Error::new(format!("Parameter '{name}' expects {kind}"));
    let (is_negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let number = number.map_err(|_| expects("uint64"))?;
    if is_negative || number > *most {
        return Err(expects(kind));
    }
    Ok(number.to_string())
}

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[(
    HmpRow::new(
        "migrate_set_parameter",
        "parameter value",
        "Set the parameter for migration",
    )
    .args(&[HmpArg::new("parameter", Str), HmpArg::new("value", Str)]),
    hmp_migrate_set_parameter,
)];
