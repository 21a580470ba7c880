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

#[path = "support/json_corpus.rs"]
mod json_corpus;

use json_corpus::{corpus, long_string, many_members};
use qmonitor::qapi::json::{JsonMessageParser, JsonWriter};
use qmonitor::qapi::{MemberOrder, QObject};
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
    // As serde_json: members in the order that they are in.
    writer.set_member_order(MemberOrder::Kept);
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
