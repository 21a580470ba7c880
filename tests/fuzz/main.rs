//! The fuzz targets on their kept corpora, `fuzz/corpus/TARGET/*`, and on
//! random changes of these, on stable Rust and without a fuzzer.
//! `fuzz/README.md` explains the corpora.
//!
//! `QMONITOR_FUZZ=100000` makes that many changes for each target.

#[path = "../common/places.rs"]
mod places;
mod targets;

use std::panic::{catch_unwind, resume_unwind};
use std::path::PathBuf;

/// xorshift64*
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % n
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = places::root().join("fuzz/corpus");
    let Ok(entries) = std::fs::read_dir(dir.join(target)) else {
        eprintln!("skipped: {} has no {target}", dir.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Removes, changes or doubles a few bytes, or appends the rest of another
/// input.
fn change(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut data = corpus[rng.below(corpus.len())].clone();
    for _ in 0..=rng.below(3) {
        let start = rng.below(data.len() + 1);
        let end = (start + rng.below(9)).min(data.len());
        match rng.below(5) {
            0 => drop(data.drain(start..end)),
            1 => data[start..end]
                .iter_mut()
                .for_each(|b| *b ^= 1 << (*b % 8)),
            2 => data.insert(start, rng.below(256) as u8),
            3 => data.extend_from_within(start..end),
            _ => {
                let other = &corpus[rng.below(corpus.len())];
                data.truncate(start);
                data.extend(&other[rng.below(other.len() + 1)..]);
            }
        }
    }
    data
}

/// Runs `target` on its corpus, then on as many changes of it.
fn replay(name: &str, target: fn(&[u8]), changes: usize) {
    let corpus = corpus(name);
    let run = |data: &[u8]| {
        if let Err(panic) = catch_unwind(|| target(data)) {
            eprintln!("the input of {name} was b\"{}\"", data.escape_ascii());
            resume_unwind(panic);
        }
    };
    corpus.iter().for_each(|data| run(data));
    if corpus.is_empty() {
        return;
    }
    let wanted = std::env::var("QMONITOR_FUZZ");
    let changes = wanted.map_or(changes, |n| n.parse().expect("a number"));
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    for _ in 0..changes {
        run(&change(&corpus, &mut rng));
    }
}

#[test]
fn devices() {
    replay("devices", targets::devices, 20);
}

#[test]
fn hmp() {
    replay("hmp", targets::hmp, 50);
}

#[test]
fn json_stream() {
    replay("json_stream", targets::json_stream, 300);
}

#[test]
fn options() {
    replay("options", targets::options, 300);
}

#[test]
fn session() {
    replay("session", targets::session, 100);
}

/// The page of debugging makes a file of an input. It is one that the target takes.
#[test]
fn the_input_of_the_page() {
    let page = std::fs::read_to_string(places::root().join("docs/debugging.md")).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("$ printf "));
    let (words, file) = line.unwrap().split_once(" >fuzz/corpus/").unwrap();
    let script = format!("printf {words}");
    let made = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(
        made.stdout.escape_ascii().to_string(),
        r#"\x01{\"execute\":\"qmp_capabilities\"}\n{\"exec\xf6"#
    );
    assert!(file.starts_with("session/"), "{file}");
    targets::session(&made.stdout);
}

#[test]
fn telnet() {
    replay("telnet", targets::telnet, 300);
}

#[test]
fn websocket() {
    replay("websocket", targets::websocket, 300);
}
