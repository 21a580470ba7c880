//! The JSON parser beside three others, on the texts of `cargo bench --bench json`.
//!
//! ```text
//! cargo run --release --manifest-path benches/json-peers/Cargo.toml
//! ```
//!
//! Each parses to its own tree of values and drops it. sonic-rs and simd-json use
//! the vector instructions of the processor and keep the tree in few allocations;
//! simd-json's strings lie in a copy of the text. Neither refuses a duplicate
//! member or can resume. All take turns in short rounds, and the best round of each
//! counts.

#[path = "../../support/json_corpus.rs"]
mod json_corpus;

use std::hint::black_box;
use std::time::{Duration, Instant};

use qmonitor::qapi::json::JsonMessageParser;

const ROUND: Duration = Duration::from_millis(5);
const ROUNDS: usize = 20;

fn main() {
    println!(
        "{:<34} {:>12} {:>12} {:>12} {:>12}",
        "ns", "ours", "serde_json", "sonic-rs", "simd-json"
    );
    for (name, text) in json_corpus::corpus() {
        let best = race(text.as_bytes());
        let [ours, serde, sonic, simd] = best;
        println!("{name:<34} {ours:>12.1} {serde:>12.1} {sonic:>12.1} {simd:>12.1}");
    }
}

/// The best time of each parser, in nanoseconds.
fn race(text: &[u8]) -> [f64; 4] {
    let mut parser = JsonMessageParser::default();
    let mut scratch = Vec::new();
    let mut ours = || {
        let (_, message) = parser.parse(black_box(text));
        drop(black_box(message.expect("a message").expect("corpus is valid")));
    };
    let mut serde = || {
        let value = serde_json::from_slice::<serde_json::Value>(black_box(text));
        drop(black_box(value.expect("corpus is JSON")));
    };
    let mut sonic = || {
        let value = sonic_rs::from_slice::<sonic_rs::Value>(black_box(text));
        drop(black_box(value.expect("corpus is JSON")));
    };
    let mut simd = || {
        scratch.clear();
        scratch.extend_from_slice(text);
        let value = simd_json::to_borrowed_value(black_box(&mut scratch));
        drop(black_box(value.expect("corpus is JSON")));
    };
    let mut parsers: [&mut dyn FnMut(); 4] = [&mut ours, &mut serde, &mut sonic, &mut simd];
    let mut best = [f64::MAX; 4];
    for _ in 0..ROUNDS {
        for (parse, best) in parsers.iter_mut().zip(&mut best) {
            *best = best.min(time(parse));
        }
    }
    best
}

/// Nanoseconds per call, over a round.
fn time(parse: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 1;
    loop {
        // Looking at the clock costs as much as a small message.
        for _ in calls / 2..calls {
            parse();
        }
        let elapsed = start.elapsed();
        if elapsed >= ROUND {
            return elapsed.as_nanos() as f64 / f64::from(calls);
        }
        calls *= 2;
    }
}
