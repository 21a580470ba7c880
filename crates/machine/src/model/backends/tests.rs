//! Objects as QEMU 10.0.2 makes them: one row, one answer.

use super::*;
use crate::model::qom::tests::set as qom_set;
use crate::model::qom::NoChardevs;
use crate::model::MachineOptions;
use qmonitor::qapi::QObject;

pub(super) fn machine() -> Machine {
    Machine::new(MachineOptions::default())
}

/// Adds an object called `x`; the answer is the error's text, or empty.
pub(super) fn add(m: &mut Machine, typename: &str, properties: &str) -> String {
    let json = format!("{{\"id\": \"x\", \"qom-type\": \"{typename}\", {properties}}}");
    let json = json.replace(", }", "}");
    let options: serde_json::Value = serde_json::from_str(&json).unwrap();
    let QObject::Dict(options) = options.into() else {
        unreachable!("an object was written");
    };
    match m.object_add(options, CompatPolicy::default()) {
        Ok(_) => String::new(),
        Err(e) => e.to_string(),
    }
}

fn set(m: &mut Machine, property: &str, value: impl Into<QObject>) -> String {
    let input = PropertyInput::json(property, value.into(), CompatPolicy::default());
    match qom_set(m, "/objects/x", property, &input) {
        Ok(()) => String::new(),
        Err(e) => e.to_string(),
    }
}

fn get(m: &Machine, property: &str) -> QObject {
    m.qom_get("/objects/x", property, &NoChardevs).unwrap()
}

#[test]
fn objects_that_cannot_be_made_leave_nothing_behind() {
    let long = format!("\"limits\": {{\"iops-total\": {}}}", THROTTLE_MAX + 1);
    #[rustfmt::skip] // A row is a line.
    let table = [
        ("pef-guest", "", "invalid object type: pef-guest"),
        ("container", "", "invalid object type: container"),
        ("memory-backend", "", "invalid object type: memory-backend"),
        ("iothread", r#""poll-max-ns": -1"#, "poll-max-ns value must be in range [0, 9223372036854775807]"),
        ("iothread", r#""aio-max-batch": -1"#, "aio-max-batch value must be in range [0, 9223372036854775807]"),
        ("iothread", r#""thread-pool-min": 65"#, "bad thread-pool-min/thread-pool-max values"),
        ("iothread", r#""thread-pool-max": 2147483648"#, "bad thread-pool-min/thread-pool-max values"),
        ("iothread", r#""bogus": 1"#, "Property 'iothread.bogus' not found"),
        ("secret", "", "Either 'file' or 'data' must be provided"),
        ("secret", r#""data": "x", "file": "y""#, "'file' and 'data' are mutually exclusive"),
        ("secret", r#""data": "!!", "format": "base64""#, "Base64 data contains invalid characters"),
        ("secret", r#""data": "x", "keyid": "nope""#, "No secret with id 'nope'"),
        ("secret", r#""file": "/nonexistent/y""#, "Unable to read /nonexistent/y: Failed to open file \u{201c}/nonexistent/y\u{201d}: No such file or directory"),
        ("memory-backend-ram", r#""size": 0"#, "property 'size' of memory-backend-ram doesn't take value '0'"),
        ("memory-backend-ram", r#""size": 4096, "prealloc-threads": 0"#, "property 'prealloc-threads' of memory-backend-ram doesn't take value '0'"),
        ("memory-backend-ram", r#""size": 4611686018427387904"#, "cannot set up guest memory 'x': Cannot allocate memory"),
        ("memory-backend-ram", r#""size": 4096, "policy": "bind""#, "host-nodes must be set for policy bind"),
        ("memory-backend-ram", r#""size": 4096, "host-nodes": [0]"#, "host-nodes must be empty for policy default, or you should explicitly specify a policy other than default"),
        ("memory-backend-ram", r#""size": 4096, "host-nodes": [300]"#, "Invalid host-nodes value: 300"),
        ("memory-backend-ram", r#""size": 4096, "reserve": false, "prealloc": true"#, "'prealloc=on' and 'reserve=off' are incompatible"),
        ("memory-backend-shm", r#""size": 4096, "share": false"#, "can't create shm backend with `share=off`"),
        ("memory-backend-shm", r#""size": 4097"#, "x backing store size 0x1001 is too small for 'size' option 0x2000 plus 'offset' option 0x0"),
        ("memory-backend-memfd", r#""size": 4097"#, "x backing store size 0x1001 is too small for 'size' option 0x2000 plus 'offset' option 0x0"),
        ("memory-backend-memfd", r#""size": 18446744073709551615"#, "memory size 0x0 must be equal to or larger than page size 0x1000"),
        ("memory-backend-memfd", r#""size": 140737488355328"#, "unable to map backing store for guest RAM: Cannot allocate memory"),
        ("memory-backend-file", r#""size": 4097, "mem-path": "/", "host-nodes": [0]"#, "backend 'memory-backend-file' memory size must be multiple of 4 KiB"),
        ("memory-backend-file", r#""size": 4096, "mem-path": "/nonexistent/x", "offset": 1"#, "offset 0x1 must be multiples of page size 0x1000"),
        ("memory-backend-file", r#""size": 4096, "mem-path": "/", "readonly": true"#, "can't open backing store / for guest RAM: Is a directory"),
        ("memory-backend-file", r#""size": 4096, "mem-path": "/nonexistent/x""#, "can't open backing store /nonexistent/x for guest RAM: No such file or directory"),
        ("memory-backend-file", r#""size": 4096, "mem-path": "/nonexistent/x", "align": 3"#, "alignment 0x3 must be multiples of page size 0x1000"),
        ("memory-backend-file", r#""size": 4096, "mem-path": "/nonexistent/x", "rom": "on""#, "property 'rom' = 'on' is not supported with 'readonly' = 'off'"),
        ("rng-random", r#""filename": "/nonexistent/r""#, "Could not open '/nonexistent/r': No such file or directory"),
        ("rng-builtin", r#""opened": true"#, "Property 'rng-builtin.opened' is not writable"),
        #[cfg(not(feature = "tls"))]
        ("tls-creds-x509", r#""dir": "/nonexistent""#, "TLS credentials support requires a build with the Cargo feature 'tls'"),
        #[cfg(feature = "tls")]
        ("tls-creds-x509", "", "Missing 'dir' property value"),
        #[cfg(feature = "tls")]
        ("tls-creds-x509", r#""dir": "/nonexistent""#, "Unable to access credentials /nonexistent/ca-cert.pem: No such file or directory"),
        ("tls-creds-x509", r#""dir": "/nonexistent", "passwordid": "p""#, "No secret with id 'p'"),
        ("tls-creds-psk", r#""dir": "/nonexistent""#, "TLS credentials of type 'tls-creds-psk' are not supported, only 'tls-creds-x509'"),
        ("tls-creds-anon", "", "TLS credentials of type 'tls-creds-anon' are not supported, only 'tls-creds-x509'"),
        ("tls-cipher-suites", "", "'priority' property is not set"),
        ("cryptodev-backend", r#""queues": 0"#, "Property 'cryptodev-backend.queues' doesn't take value '0'"),
        ("thread-context", r#""node-affinity": [65535]"#, "The nodes select no CPUs"),
        ("throttle-group", r#""limits": {"iops-total-max-length": -1}"#, "burst length set without burst rate"),
        ("thread-context", r#""cpu-affinity": []"#, "CPU list is empty"),
        ("thread-context", r#""cpu-affinity": [0], "node-affinity": [0]"#, "Mixing CPU and node affinity not supported"),
        ("throttle-group", r#""limits": {"iops-total": 10, "iops-read": 5}"#, "bps/iops/max total values and read/write values cannot be used at the same time"),
        ("throttle-group", r#""limits": {"iops-total": -1}"#, "bps/iops/max values must be within [0, 1000000000000000]"),
        ("throttle-group", &long, "bps/iops/max values must be within [0, 1000000000000000]"),
        ("throttle-group", r#""limits": {"iops-total-max": 10}"#, "bps_max/iops_max require corresponding bps/iops values"),
        ("throttle-group", r#""limits": {"iops-total": 10, "iops-total-max": 5}"#, "bps_max/iops_max cannot be lower than bps/iops"),
        ("throttle-group", r#""limits": {"iops-total-max-length": 0}"#, "the burst length cannot be 0"),
        ("throttle-group", r#""limits": {"iops-total": 1, "iops-total-max-length": 5}"#, "burst length set without burst rate"),
        ("throttle-group", r#""limits": {"iops-size": 5}"#, "iops size requires an iops value to be set"),
        ("throttle-group", r#""limits": {"iops-total": 1, "iops-total-max": 100000000000000, "iops-total-max-length": 1000}"#, "burst length too high for this burst rate"),
        ("throttle-group", r#""limits": {"iops-total": 1, "iops-total-max-length": 8589934592}"#, "iops-total-max-length value must be in the range [0, 4294967295]"),
    ];
    for (typename, properties, expected) in table {
        let mut m = machine();
        assert_eq!(add(&mut m, typename, properties), expected, "{properties}");
        assert_eq!(m.user_objects().count(), 0);
        let error = m.object_del("x").unwrap_err();
        assert_eq!(error.desc(), "object 'x' not found");
    }
}

const THROTTLE_MAX: i64 = 1_000_000_000_000_000;

#[test]
fn objects_have_defaults() {
    let table: &[(&str, &str, &str, QObject)] = &[
        ("iothread", "", "poll-max-ns", 32768.into()),
        ("iothread", "", "thread-pool-max", 64.into()),
        ("secret", r#""data": "x""#, "format", "raw".into()),
        ("authz-list", "", "rules", QObject::List(vec![])),
        ("authz-list", "", "policy", "deny".into()),
        ("memory-backend-ram", r#""size": 5000"#, "size", 5000.into()),
        (
            "memory-backend-ram",
            r#""size": 8192"#,
            "share",
            false.into(),
        ),
        (
            "memory-backend-ram",
            r#""size": 5000"#,
            "x[0]",
            "/objects/x/x[0]".into(),
        ),
        (
            "memory-backend-ram",
            r#""size": 5000, "x-use-canonical-path-for-ramblock-id": true"#,
            r"\x2fobjects\x2fx[0]",
            r"/objects/x/\x2fobjects\x2fx[0]".into(),
        ),
        (
            "memory-backend-memfd",
            r#""size": 8192"#,
            "share",
            true.into(),
        ),
        (
            "memory-backend-memfd",
            r#""size": 8192"#,
            "seal",
            true.into(),
        ),
        ("rng-random", "", "filename", "/dev/urandom".into()),
        ("rng-builtin", "", "opened", true.into()),
        ("throttle-group", "", "x-bps-read-max-length", 1.into()),
        (
            "throttle-group",
            r#""x-iops-total": 5"#,
            "x-iops-total",
            5.into(),
        ),
        (
            "tls-cipher-suites",
            r#""priority": "NORMAL""#,
            "endpoint",
            "client".into(),
        ),
        ("cryptodev-backend-builtin", "", "queues", 1.into()),
        (
            "thread-context",
            r#""cpu-affinity": [0]"#,
            "cpu-affinity",
            QObject::List(vec![0.into()]),
        ),
    ];
    for (typename, properties, property, expected) in table {
        let mut m = machine();
        assert_eq!(add(&mut m, typename, properties), "");
        assert_eq!(get(&m, property), *expected, "{typename}.{property}");
        m.object_del("x").unwrap();
    }
}

#[test]
fn credentials_are_fixed_and_found_by_id() {
    let mut m = machine();
    assert_eq!(
        add(&mut m, "tls-cipher-suites", r#""priority": "NORMAL""#),
        ""
    );
    for (property, value) in [
        ("verify-peer", QObject::from(false)),
        ("dir", "/x".into()),
        ("endpoint", "server".into()),
    ] {
        let expected = format!("Property '{property}' can no longer be set");
        assert_eq!(set(&mut m, property, value), expected);
    }
    let error = |id: &str| m.tls_creds(id).unwrap_err().to_string();
    assert_eq!(error("x"), "Object with id 'x' is not TLS credentials");
    assert_eq!(error("y"), "No TLS credentials with id 'y'");
}

#[test]
fn ids_must_be_identifiers() {
    for id in ["a.b", "a-b", "a_b", "A1"] {
        assert!(id_wellformed(id), "{id}");
    }
    for id in ["", "0bad", "a b", "a/b", "\u{e9}", "-a", "_a", "a:b", "a*"] {
        assert!(!id_wellformed(id), "{id}");
    }
    let options: QDict = [("qom-type", "iothread"), ("id", "0")]
        .into_iter()
        .collect();
    let error = machine().object_add(options, CompatPolicy::default());
    assert_eq!(
        error.unwrap_err().desc(),
        "Parameter 'id' expects an identifier"
    );
}

#[test]
fn an_id_is_used_once() {
    let mut m = machine();
    assert_eq!(add(&mut m, "iothread", ""), "");
    assert_eq!(
        add(&mut m, "secret", r#""data": "x""#),
        "attempt to add duplicate property 'x' to object (type 'container')"
    );
    assert_eq!(get(&m, "type"), "iothread".into());
}

#[test]
fn some_objects_stay() {
    for typename in ["main-loop", "can-bus"] {
        let mut m = machine();
        assert_eq!(add(&mut m, typename, ""), "");
        let error = m.object_del("x").unwrap_err();
        assert_eq!(error.desc(), "object 'x' is in use, can not be deleted");
    }
}

#[test]
fn iothreads_are_tuned() {
    let mut m = machine();
    assert_eq!(add(&mut m, "iothread", r#""poll-grow": 2"#), "");
    assert_eq!(set(&mut m, "poll-max-ns", i64::MAX), "");
    assert_eq!(
        set(&mut m, "poll-max-ns", "5"),
        "Invalid parameter type for 'poll-max-ns', expected: integer"
    );
    assert_eq!(
        set(&mut m, "thread-pool-min", 65),
        "bad thread-pool-min/thread-pool-max values"
    );
    assert_eq!(get(&m, "thread-pool-min"), 65.into());
    let params = m.iothreads();
    assert_eq!(params.len(), 1);
    assert_eq!((params[0].poll_max_ns, params[0].poll_grow), (i64::MAX, 2));
}

#[test]
fn rules_are_checked_by_the_schema() {
    let mut m = machine();
    assert_eq!(add(&mut m, "authz-list", ""), "");
    let rule = |matching: QObject| {
        let rule: QDict = [("match", matching), ("policy", "deny".into())]
            .into_iter()
            .collect();
        QObject::List(vec![rule.into()])
    };
    assert_eq!(set(&mut m, "rules", rule("y".into())), "");
    assert_eq!(get(&m, "rules"), rule("y".into()));
    assert_eq!(
        set(&mut m, "rules", rule(1.into())),
        "Invalid parameter type for 'rules[0].match', expected: string"
    );
    assert_eq!(
        set(&mut m, "rules", 1),
        "Invalid parameter type for 'rules', expected: array"
    );
    assert_eq!(
        set(&mut m, "policy", "maybe"),
        "Parameter 'policy' does not accept value 'maybe'"
    );
    assert_eq!(get(&m, "rules"), rule("y".into()));
}

#[test]
fn memory_is_fixed_once_made() {
    let mut m = machine();
    assert_eq!(add(&mut m, "memory-backend-ram", r#""size": 4096"#), "");
    let fixed = "cannot change property value";
    let size = "cannot change property size of memory-backend-ram ";
    assert_eq!(set(&mut m, "size", 8192), size);
    assert_eq!(set(&mut m, "share", true), fixed);
    assert_eq!(set(&mut m, "reserve", false), fixed);
    assert_eq!(set(&mut m, "merge", false), "");
    assert_eq!(set(&mut m, "prealloc", true), "");
    assert_eq!(set(&mut m, "prealloc", false), "");
    assert_eq!(set(&mut m, "policy", "bind"), "");
    let memdevs = m.memdevs();
    assert_eq!(memdevs.len(), 1);
    let memdev = &memdevs[0];
    assert!(memdev.prealloc && !memdev.merge && memdev.dump && memdev.reserve);
    assert_eq!((memdev.size, memdev.policy.as_str()), (4096, "bind"));
}

#[test]
fn files_must_be_large_enough_for_the_memory_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ram");
    let properties = |size: u64, more: &str| {
        let path = path.to_str().unwrap();
        format!(r#""size": {size}, "mem-path": "{path}"{more}"#)
    };
    let mut m = machine();
    assert_eq!(
        add(&mut m, "memory-backend-file", &properties(4096, "")),
        ""
    );
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    assert_eq!(get(&m, "rom"), "off".into());
    m.object_del("x").unwrap();
    assert_eq!(
        add(&mut m, "memory-backend-file", &properties(8192, "")),
        "x backing store size 0x1000 is too small for 'size' option 0x2000 plus 'offset' option 0x0"
    );
    let readonly = properties(4096, r#", "readonly": true, "share": true"#);
    assert_eq!(add(&mut m, "memory-backend-file", &readonly), "");
    assert_eq!(get(&m, "rom"), "on".into());
}

#[test]
fn throttle_limits_change_together_or_not_at_all() {
    let mut m = machine();
    assert_eq!(add(&mut m, "throttle-group", ""), "");
    let limits = |name: &str, value: i64| -> QDict { [(name, value)].into_iter().collect() };
    assert_eq!(set(&mut m, "limits", limits("iops-total", 7)), "");
    assert_eq!(get(&m, "x-iops-total"), 7.into());
    assert_eq!(
        set(&mut m, "limits", limits("iops-read", 7)),
        "bps/iops/max total values and read/write values cannot be used at the same time"
    );
    assert_eq!(
        set(&mut m, "limits", limits("bogus", 7)),
        "Parameter 'limits.bogus' is unexpected"
    );
    assert_eq!(
        set(&mut m, "x-iops-total", 3),
        "Property cannot be set after initialization"
    );
    let QObject::Dict(all) = get(&m, "limits") else {
        panic!("limits are an object");
    };
    assert_eq!(all.len(), 19);
    assert_eq!(all.get("iops-total"), Some(&7.into()));
    assert_eq!(all.get("iops-read"), Some(&0.into()));
}

#[test]
fn encrypted_secrets_are_checked_before_they_are_refused() {
    let mut m = machine();
    for (id, data) in [("short", "k"), ("k", "00000000000000000000000000000000")] {
        let options: QDict = [("qom-type", "secret"), ("id", id), ("data", data)]
            .into_iter()
            .collect();
        m.object_add(options, CompatPolicy::default()).unwrap();
    }
    let table = [
        (
            r#""data": "x", "keyid": "short""#,
            "Key should be 32 bytes in length",
        ),
        (
            r#""data": "x", "keyid": "k""#,
            "IV is required to decrypt secret",
        ),
        (
            r#""data": "x", "keyid": "k", "iv": "AAAA""#,
            "IV should be 16 bytes in length not 3",
        ),
        (
            r#""data": "x", "keyid": "k", "iv": "AAAAAAAAAAAAAAAAAAAAAA==""#,
            "Length 1 must be a multiple of block size 16",
        ),
    ];
    for (properties, expected) in table {
        assert_eq!(add(&mut m, "secret", properties), expected);
    }
}

#[test]
fn chardevs_are_wanted_by_name() {
    let mut m = machine();
    assert_eq!(add(&mut m, "rng-egd", r#""chardev": "c""#), "");
    let id = m.user_object("x").unwrap();
    assert_eq!(m.chardev_wanted(id), Some("c".into()));
    assert_eq!(
        set(&mut m, "chardev", "d"),
        "Property 'chardev' can no longer be set"
    );
}
