//! The parameters of migration: QEMU's defaults, and what they can be.

use qmonitor::qapi::{Error, QDict, QNum, QObject};
use qmonitor::util::qemu_opts::id_wellformed;

/// QEMU's settings.
pub(super) fn defaults() -> QDict {
    let numbers: [(&str, i64); 18] = [
        ("announce-initial", 50),
        ("announce-max", 550),
        ("announce-rounds", 5),
        ("announce-step", 100),
        ("throttle-trigger-threshold", 50),
        ("cpu-throttle-initial", 20),
        ("cpu-throttle-increment", 10),
        ("max-cpu-throttle", 99),
        ("max-bandwidth", 128 << 20),
        ("avail-switchover-bandwidth", 0),
        ("downtime-limit", 300),
        ("x-checkpoint-delay", 20_000),
        ("multifd-channels", 2),
        ("xbzrle-cache-size", 64 << 20),
        ("max-postcopy-bandwidth", 0),
        ("multifd-zlib-level", 1),
        ("multifd-qatzip-level", 1),
        ("multifd-zstd-level", 1),
    ];
    let words = [
        ("tls-creds", ""),
        ("tls-hostname", ""),
        ("tls-authz", ""),
        ("multifd-compression", "none"),
        ("mode", "normal"),
        ("zero-page-detection", "multifd"),
    ];
    let mut parameters: QDict = numbers.into_iter().collect();
    for (name, word) in words {
        parameters.insert(name.to_owned(), word.to_owned());
    }
    for name in ["cpu-throttle-tailslow", "direct-io"] {
        parameters.insert(name.to_owned(), false);
    }
    parameters.insert("x-vcpu-dirty-limit-period".to_owned(), 1000);
    parameters.insert("vcpu-dirty-limit".to_owned(), 1);
    parameters.insert("x-rdma-chunk-size".to_owned(), 1 << 20);
    parameters.insert("cpr-exec-command".to_owned(), Vec::new());
    parameters
}

/// A parameter that is a number; 0 for another.
pub(super) fn number(parameters: &QDict, name: &str) -> u64 {
    match parameters.get(name) {
        Some(QObject::Num(QNum::I64(n))) => u64::try_from(*n).unwrap_or(0),
        Some(QObject::Num(QNum::U64(n))) => *n,
        _ => 0,
    }
}

/// Whether nothing is set that changes the bytes on their way.
pub(super) fn is_uncompressed_without_tls(parameters: &QDict) -> bool {
    let is = |name, text| parameters.get_str(name) == Some(text);
    is("multifd-compression", "none") && is("tls-creds", "")
}

/// A limit, and how QEMU tells of it.
struct Limit {
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
    text: &'static str,
}

const fn limit(name: &'static str, least: u64, most: u64, text: &'static str) -> Limit {
    Limit {
        name,
        range: least..=most,
        text,
    }
}

/// The limits, in the order in which QEMU looks at them.
const LIMITS: &[Limit] = &[
    limit(
        "throttle-trigger-threshold",
        1,
        100,
        "an integer in the range of 1 to 100",
    ),
    limit(
        "cpu-throttle-initial",
        1,
        99,
        "an integer in the range of 1 to 99",
    ),
    limit(
        "cpu-throttle-increment",
        1,
        99,
        "an integer in the range of 1 to 99",
    ),
    limit(
        "downtime-limit",
        0,
        2_000_000,
        "an integer in the range of 0 to (2000 * 1000) ms",
    ),
    limit("multifd-channels", 1, 255, "a value between 1 and 255"),
    limit("multifd-zlib-level", 0, 9, "a value between 0 and 9"),
    limit("multifd-qatzip-level", 1, 9, "a value between 1 and 9"),
    limit("multifd-zstd-level", 0, 20, "a value between 0 and 20"),
];

const LATER_LIMITS: &[Limit] = &[
    limit(
        "announce-initial",
        0,
        100_000,
        "a value between 0 and 100000",
    ),
    limit("announce-max", 0, 100_000, "a value between 0 and 100000"),
    limit("announce-rounds", 0, 1000, "a value between 0 and 1000"),
    limit("announce-step", 1, 10_000, "a value between 0 and 10000"),
];

/// Looks at all parameters (`migrate_params_check`).
pub(super) fn check(parameters: &QDict, zero_copy: bool) -> Result<(), Error> {
    let value = |name| number(parameters, name);
    let expects = |name: &str, text: &str| {
        let name = name.replace('-', "_");
        Err(Error::new(format!("Parameter '{name}' expects {text}")))
    };
    let broken = |limits: &[Limit]| {
        let found = limits.iter().find(|l| !l.range.contains(&value(l.name)));
        found.map_or(Ok(()), |limit| expects(limit.name, limit.text))
    };
    broken(LIMITS)?;
    let cache = value("xbzrle-cache-size");
    if cache < 4096 || !cache.is_power_of_two() {
        let text = "a power of two no less than the target page size";
        return expects("xbzrle-cache-size", text);
    }
    if !(value("cpu-throttle-initial")..=99).contains(&value("max-cpu-throttle")) {
        let text = "an integer in the range of cpu_throttle_initial to 99";
        return expects("max-cpu-throttle", text);
    }
    broken(LATER_LIMITS)?;
    if let Some(QObject::List(mapping)) = parameters.get("block-bitmap-mapping") {
        check_mapping(mapping).map_err(|why| {
            let prefix = "Invalid mapping given for block-bitmap-mapping";
            Error::new(format!("{prefix}: {why}"))
        })?;
    }
    if zero_copy && !is_uncompressed_without_tls(parameters) {
        let desc = "Zero copy only available for non-compressed non-TLS multifd migration";
        return Err(Error::new(desc));
    }
    if !(1..=1000).contains(&value("x-vcpu-dirty-limit-period")) {
        let desc = "Parameter 'x-vcpu-dirty-limit-period' expects a value between 1 and 1000";
        return Err(Error::new(desc));
    }
    if value("vcpu-dirty-limit") < 1 {
        let desc = "Parameter 'vcpu_dirty_limit' must be greater than 1 MB/s";
        return Err(Error::new(desc));
    }
    let chunk = value("x-rdma-chunk-size");
    if !(1 << 20..=1 << 30).contains(&chunk) || !chunk.is_power_of_two() {
        let desc = "Option x_rdma_chunk_size expects a power of 2 in the range 1MiB to 1024MiB";
        return Err(Error::new(desc));
    }
    Ok(())
}

/// The longest alias.
const LONGEST_ALIAS: usize = 255;

/// Looks at the other names of nodes and bitmaps.
fn check_mapping(mapping: &[QObject]) -> Result<(), String> {
    let (mut nodes, mut aliases) = (Vec::new(), Vec::new());
    for node in mapping.iter().filter_map(QObject::as_dict) {
        let name = node.get_str("node-name").unwrap_or_default();
        let alias = node.get_str("alias").unwrap_or_default();
        if !id_wellformed(alias) {
            return Err(format!("The node alias '{alias}' is not well-formed"));
        }
        if alias.len() > LONGEST_ALIAS {
            return Err(format!(
                "The node alias '{alias}' is longer than {LONGEST_ALIAS} bytes"
            ));
        }
        if name.len() > LONGEST_ALIAS {
            return Err(format!(
                "The node name '{name}' is longer than {LONGEST_ALIAS} bytes"
            ));
        }
        if nodes.contains(&name) {
            return Err(format!("The node name '{name}' is mapped twice"));
        }
        if aliases.contains(&alias) {
            return Err(format!("The node alias '{alias}' is used twice"));
        }
        nodes.push(name);
        aliases.push(alias);
        let bitmaps = node.get("bitmaps").and_then(QObject::as_list);
        check_bitmaps(name, alias, bitmaps.unwrap_or_default())?;
    }
    Ok(())
}

fn check_bitmaps(node: &str, node_alias: &str, bitmaps: &[QObject]) -> Result<(), String> {
    let (mut names, mut aliases) = (Vec::new(), Vec::new());
    for bitmap in bitmaps.iter().filter_map(QObject::as_dict) {
        let name = bitmap.get_str("name").unwrap_or_default();
        let alias = bitmap.get_str("alias").unwrap_or_default();
        if alias.len() > LONGEST_ALIAS {
            return Err(format!(
                "The bitmap alias '{alias}' is longer than {LONGEST_ALIAS} bytes"
            ));
        }
        if names.contains(&name) {
            return Err(format!("The bitmap '{node}'/'{name}' is mapped twice"));
        }
        if aliases.contains(&alias) {
            return Err(format!(
                "The bitmap alias '{node_alias}'/'{alias}' is used twice"
            ));
        }
        names.push(name);
        aliases.push(alias);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of QEMU 10.0.2 just outside of each range, and its silence just inside.
    #[test]
    fn bounds() {
        let ms = "an integer in the range of 0 to (2000 * 1000) ms";
        let power = "a power of two no less than the target page size";
        for (name, inside, outside, text) in [
            (
                "throttle-trigger-threshold",
                1,
                0,
                "an integer in the range of 1 to 100",
            ),
            (
                "throttle-trigger-threshold",
                100,
                101,
                "an integer in the range of 1 to 100",
            ),
            (
                "cpu-throttle-initial",
                1,
                0,
                "an integer in the range of 1 to 99",
            ),
            (
                "cpu-throttle-initial",
                99,
                100,
                "an integer in the range of 1 to 99",
            ),
            (
                "cpu-throttle-increment",
                99,
                100,
                "an integer in the range of 1 to 99",
            ),
            ("downtime-limit", 2_000_000, 2_000_001, ms),
            ("multifd-channels", 1, 0, "a value between 1 and 255"),
            ("multifd-zlib-level", 9, 10, "a value between 0 and 9"),
            ("multifd-qatzip-level", 1, 0, "a value between 1 and 9"),
            ("multifd-zstd-level", 20, 21, "a value between 0 and 20"),
            ("xbzrle-cache-size", 4096, 4095, power),
            ("xbzrle-cache-size", 65536, 65537, power),
            (
                "max-cpu-throttle",
                20,
                19,
                "an integer in the range of cpu_throttle_initial to 99",
            ),
            (
                "announce-initial",
                100_000,
                100_001,
                "a value between 0 and 100000",
            ),
            (
                "announce-max",
                100_000,
                100_001,
                "a value between 0 and 100000",
            ),
            ("announce-rounds", 1000, 1001, "a value between 0 and 1000"),
            ("announce-step", 1, 0, "a value between 0 and 10000"),
            (
                "announce-step",
                10_000,
                10_001,
                "a value between 0 and 10000",
            ),
        ] {
            let mut parameters = defaults();
            parameters.insert(name, inside);
            check(&parameters, false).unwrap();
            parameters.insert(name, outside);
            let error = check(&parameters, false).unwrap_err();
            let name = name.replace('-', "_");
            assert_eq!(error.desc(), format!("Parameter '{name}' expects {text}"));
        }
        for (name, value, desc) in [
            (
                "x-vcpu-dirty-limit-period",
                1001,
                "Parameter 'x-vcpu-dirty-limit-period' expects a value between 1 and 1000",
            ),
            (
                "vcpu-dirty-limit",
                0,
                "Parameter 'vcpu_dirty_limit' must be greater than 1 MB/s",
            ),
        ] {
            let mut parameters = defaults();
            parameters.insert(name, value);
            assert_eq!(check(&parameters, false).unwrap_err().desc(), desc);
        }
    }
}
