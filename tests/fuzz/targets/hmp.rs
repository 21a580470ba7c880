//! The human monitor: keystrokes into the line editor, and lines into the
//! command table, with and without a machine.
//!
//! Input: a byte that chooses among editor, editor in full mode, and
//! sessions; then a [script](super::script) whose clients type.

use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::main_loop::Host;
use qmonitor::monitor::hmp::{
    find_completion, CompletionScope, CompletionSource, HmpTable, Readline, ReadlineEvent,
    READLINE_CMD_BUF_SIZE, READLINE_MAX_CMDS,
};
use qmonitor::monitor::MonitorOptions;
use qmonitor::Runtime;

use super::harmless;
use super::script::{self, Step};

const PROMPT: &str = "(qemu) ";

pub fn hmp(data: &[u8]) {
    let [what, script @ ..] = data else {
        return;
    };
    match what % 4 {
        0 => edit(script, false),
        1 => edit(script, true),
        2 => session(harmless::machine, script),
        _ => session(harmless::bare, script),
    }
}

fn edit(script: &[u8], full: bool) {
    let table = harmless::bare().hmp_mut().table.clone();
    let mut rl = Readline::new(PROMPT);
    rl.set_full(full);
    rl.show_prompt(&mut Vec::new());
    for step in script::read(script) {
        match step {
            Step::Send(bytes) => bytes.iter().for_each(|b| key(&mut rl, *b, &table, full)),
            // A client comes anew.
            _ => rl.restart(),
        }
    }
}

fn key<F: Copy>(rl: &mut Readline, byte: u8, table: &HmpTable<F>, full: bool) {
    let mut out = Vec::new();
    match rl.handle_byte(byte, &mut out) {
        ReadlineEvent::None => {}
        ReadlineEvent::Line(line) => {
            assert!(line.len() <= READLINE_CMD_BUF_SIZE);
            assert!(rl.line().text().is_empty());
            rl.show_prompt(&mut out);
        }
        ReadlineEvent::Complete => {
            let completion = find_completion(
                rl.before_cursor(),
                table,
                CompletionScope {
                    preconfig: false,
                    full,
                },
            );
            if let CompletionSource::Names(names) = &completion.source {
                rl.complete(&completion.word, names, &mut out);
            }
        }
    }
    check(rl, full);
}

fn check(rl: &Readline, full: bool) {
    let (text, cursor) = (rl.line().text(), rl.line().cursor());
    assert!(cursor <= text.len() && text.len() <= READLINE_CMD_BUF_SIZE);
    assert_eq!(rl.before_cursor(), &text[..cursor]);
    assert!(rl.history().entries().len() <= READLINE_MAX_CMDS);
    if let (true, Ok(text)) = (full, std::str::from_utf8(text)) {
        assert!(text.is_char_boundary(cursor), "{cursor} in {text:?}");
    }
}

/// Cuts in the input make no difference to the output.
fn session<S: 'static>(make: fn() -> Runtime<S>, script: &[u8]) {
    let whole = play(make(), script, usize::MAX);
    let single = play(make(), script, 1);
    assert!(
        whole == single,
        "whole: {}\nsingle: {}",
        whole.escape_ascii(),
        single.escape_ascii()
    );
}

fn play<S: 'static>(mut rt: Runtime<S>, script: &[u8], split: usize) -> Vec<u8> {
    let peer = MemoryPeer::new(&mut rt, "m0").expect("descriptors");
    rt.monitor_init(&MonitorOptions::new("m0"))
        .expect("a monitor");
    peer.split(&mut rt, split);
    peer.open(&mut rt);
    let mut said = Vec::new();
    for step in script::read(script) {
        if let Step::Send(bytes) = step {
            peer.send(&mut rt, bytes);
            continue;
        }
        said.extend(peer.recv(&mut rt));
        if rt.exit_requested().is_some() {
            break;
        }
        match step {
            Step::Leave | Step::LeaveAnswered => {
                peer.close(&mut rt);
                said.extend(peer.recv(&mut rt));
                peer.open(&mut rt);
            }
            Step::Wait(n) => {
                let time = Duration::from_millis(u64::from(n) * u64::from(n));
                rt.main_loop_mut().time_advance(time);
            }
            _ => {}
        }
    }
    said.extend(peer.recv(&mut rt));
    rt.shut_down();
    without_thread_ids(&said)
}

/// The host's threads have other numbers in each run.
fn without_thread_ids(said: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b"thread_id=";
    let mut kept = Vec::with_capacity(said.len());
    let mut after_mark = false;
    for byte in said {
        after_mark = if after_mark {
            byte.is_ascii_digit()
        } else {
            kept.ends_with(MARK)
        };
        if !(after_mark && byte.is_ascii_digit()) {
            kept.push(*byte);
        }
    }
    kept
}
