//! The JSON parser and writer beside `serde_json`'s, on the same texts.
//!
//! ```text
//! cargo bench --bench json              # all
//! cargo bench --bench json -- number    # those with "number" in their name
//! cargo bench --bench json -- --test    # each once, untimed, results compared
//! ```
//!
//! Both sides take turns in short rounds and the best round of each counts, so
//! that a noisy machine disturbs both alike. A ratio below 1 means that this
//! parser took less time. serde_json does less work: it neither refuses
//! duplicate members and noncharacters nor counts tokens, does not round every
//! double correctly, and writes neither spaces nor `\u` escapes.

use qmonitor::qapi::json::{JsonMessageParser, JsonWriter};
use qmonitor::qapi::QObject;
use serde_json::Value;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let test = args.iter().any(|a| a == "--test");
    let filter = args.iter().find(|a| !a.starts_with("--"));
    let wanted = |name: &str| filter.is_none_or(|f| name.contains(f.as_str()));
    if !test {
        println!(
            "{:<34} {:>14} {:>16} {:>6}",
            "name", "ours ns", "serde_json ns", "ratio"
        );
    }
    for (name, text) in corpus() {
        let name = format!("parse {name}");
        if wanted(&name) {
            parse_whole(&name, text.as_bytes(), test);
        }
    }
    for (name, piece) in [
        ("64 KiB pieces", 65536),
        ("1 KiB pieces", 1024),
        ("single bytes", 1),
    ] {
        let name = format!("parse long string in {name}");
        if wanted(&name) {
            parse_pieces(&name, long_string().as_bytes(), piece, test);
        }
        let name = name.replace("long string", "many members");
        if wanted(&name) {
            parse_pieces(&name, many_members().as_bytes(), piece, test);
        }
    }
    for (name, text) in corpus() {
        let name = format!("write {name}");
        if wanted(&name) {
            write(&name, text.as_bytes(), test);
        }
    }
}

fn long_string() -> String {
    format!(
        r#"{{"execute":"ringbuf-write","arguments":{{"device":"r","data":"{}"}}}}"#,
        "0123456789abcdef".repeat(65536)
    )
}

fn many_members() -> String {
    let members: Vec<String> = (0..40_000)
        .map(|i| format!(r#""member-{i}": {i}"#))
        .collect();
    format!(
        r#"{{"execute":"x","arguments":{{{}}}}}"#,
        members.join(", ")
    )
}

fn corpus() -> Vec<(&'static str, String)> {
    let integers: Vec<String> = (0..10_000u64)
        .map(|i| (i * i * 7919 % 1_000_003).to_string())
        .collect();
    let doubles: Vec<String> = (0..10_000)
        .map(|i| format!("{:.3}", f64::from(i) * 1.37 - 5000.0))
        .collect();
    let exact: Vec<String> = (1..10_000)
        .map(|i| format!("{}", 1.0 / f64::from(i)))
        .collect();
    let objects: Vec<String> = (0..10_000)
        .map(|i| format!(r#"{{"id":"net{i}","up":true,"mtu":1500}}"#))
        .collect();
    vec![
        ("query-version", r#"{"execute":"query-version"}"#.into()),
        ("qmp_capabilities", r#"{"execute":"qmp_capabilities","id":"libvirt-12"}"#.into()),
        ("qom-get", r#"{"execute":"qom-get","arguments":{"path":"/machine/i440fx/pci.0","property":"realized"},"id":"libvirt-7"}"#.into()),
        ("device_add", r#"{"execute":"device_add","arguments":{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","mac":"52:54:00:12:34:56","bus":"pci.1","addr":"0x0"},"id":"libvirt-386"}"#.into()),
        ("blockdev-add", r#"{"execute":"blockdev-add","arguments":{"node-name":"libvirt-1-format","read-only":false,"discard":"unmap","cache":{"direct":true,"no-flush":false},"driver":"qcow2","file":{"driver":"file","filename":"/var/lib/libvirt/images/guest.qcow2","node-name":"libvirt-1-storage","auto-read-only":true},"backing":null},"id":"libvirt-391"}"#.into()),
        ("query-replies with white space", "{\n    \"return\": [\n        {\"frontend-open\": true, \"filename\": \"unix:/tmp/q,server=on\", \"label\": \"compat_monitor0\"},\n        {\"frontend-open\": false, \"filename\": \"vc\", \"label\": \"parallel0\"}\n    ],\n    \"id\": 17\n}".into()),
        ("escapes", r#"{"execute":"human-monitor-command","arguments":{"command-line":"print \"a\\b\" \u00e9\n"},"id":"\t\r\n"}"#.into()),
        ("non-ASCII", r#"{"execute":"set","arguments":{"name":"Виртуальная машина №7","note":"日本語のテキスト"}}"#.into()),
        ("long string", long_string()),
        ("many members", many_members()),
        ("many objects", format!("[{}]", objects.join(","))),
        ("integers", format!("[{}]", integers.join(","))),
        ("doubles", format!("[{}]", doubles.join(","))),
        ("doubles of 17 digits", format!("[{}]", exact.join(","))),
        ("deep arrays", format!("{}{}", "[".repeat(120), "]".repeat(120))),
        ("deep objects", format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120))),
    ]
}

fn parse_whole(name: &str, text: &[u8], test: bool) {
    let mut parser = JsonMessageParser::default();
    let mut ours = || parse(&mut parser, text, text.len());
    let serde = || serde_json::from_slice::<Value>(text).expect("corpus is JSON");
    if test {
        assert_same(ours(), &serde(), name);
    } else {
        compare(name, &mut ours, serde);
    }
}

fn parse_pieces(name: &str, text: &[u8], piece: usize, test: bool) {
    let mut parser = JsonMessageParser::default();
    let mut ours = || parse(&mut parser, text, piece);
    // serde_json cannot resume: its text must be collected first.
    let serde = || {
        let mut whole = Vec::new();
        for part in text.chunks(piece) {
            whole.extend_from_slice(black_box(part));
        }
        serde_json::from_slice::<Value>(&whole).expect("corpus is JSON")
    };
    if test {
        assert_same(ours(), &serde(), name);
    } else {
        compare(name, &mut ours, serde);
    }
}

fn write(name: &str, text: &[u8], test: bool) {
    let value = parse(&mut JsonMessageParser::default(), text, text.len());
    let serde_value: Value = serde_json::from_slice(text).expect("corpus is JSON");
    let mut writer = JsonWriter::new(false);
    let mut ours = || {
        writer.clear();
        writer.qobject(black_box(&value));
        writer.as_bytes().len()
    };
    let mut buffer = Vec::new();
    let mut serde = || {
        buffer.clear();
        serde_json::to_writer(&mut buffer, black_box(&serde_value)).expect("writing to memory");
        buffer.len()
    };
    if test {
        assert!(ours() >= serde(), "{name}");
        let written: Value = serde_json::from_slice(writer.as_bytes()).expect(name);
        // Doubles such as 100.0 are written as integers.
        if !name.contains("doubles") {
            assert!(same(&written, &serde_value), "{name}");
        }
    } else {
        compare(name, &mut ours, &mut serde);
    }
}

fn parse(parser: &mut JsonMessageParser, text: &[u8], piece: usize) -> QObject {
    for part in text.chunks(piece) {
        if let (_, Some(outcome)) = parser.parse(black_box(part)) {
            return outcome.expect("corpus is valid");
        }
    }
    panic!("message is not complete")
}

fn assert_same(ours: QObject, serde: &Value, name: &str) {
    assert!(same(&Value::from(ours), serde), "{name}");
}

/// Equality, but for the last bit of doubles, which serde_json does not always
/// get right.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(1.0));
            (a - b).abs() <= f64::EPSILON * a.abs()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let pairs = || a.iter().zip(b);
            a.len() == b.len() && pairs().all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => a == b,
    }
}

const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 15;

fn compare<A, B>(name: &str, mut ours: impl FnMut() -> A, mut serde: impl FnMut() -> B) {
    let (ours_batch, serde_batch) = (batch(&mut ours), batch(&mut serde));
    let (mut ours_best, mut serde_best) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        ours_best = ours_best.min(time(&mut ours, ours_batch));
        serde_best = serde_best.min(time(&mut serde, serde_batch));
    }
    println!(
        "{name:<34} {ours_best:>14.1} {serde_best:>16.1} {:>6.2}",
        ours_best / serde_best
    );
}

/// How many calls fill a round.
fn batch<T>(f: &mut impl FnMut() -> T) -> usize {
    let mut calls = 1;
    loop {
        let ns = time(f, calls) * calls as f64;
        if ns >= ROUND.as_nanos() as f64 / 4.0 {
            return (calls as f64 * ROUND.as_nanos() as f64 / ns).ceil() as usize;
        }
        calls *= 4;
    }
}

/// Nanoseconds per call.
fn time<T>(f: &mut impl FnMut() -> T, calls: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(f());
    }
    start.elapsed().as_nanos() as f64 / calls as f64
}
