//! The pictures of docs/pictures.md show what the program does.
//!
//! Those that can be drawn are drawn here and compared with the page. After a change
//! `QMONITOR_PICTURES=write cargo test --test program pictures` puts the new ones in place.

mod cast;
mod packages;
mod session;
mod states;
mod svg;
mod watches;

use std::path::Path;
use std::sync::Mutex;

use crate::common::places::root;

use session::{trace_of, Recorded};

const PAGE: &str = "docs/pictures.md";

fn page() -> String {
    std::fs::read_to_string(root().join(PAGE)).expect("the page")
}

fn writes() -> bool {
    std::env::var_os("QMONITOR_PICTURES").is_some_and(|value| value == "write")
}

/// A diagram of the page, by the title in its first line.
#[track_caller]
fn diagram(title: &str) -> String {
    let page = page();
    let begin = format!("```mermaid\n%% {title}\n");
    let (_, rest) = page.split_once(&begin).expect("the diagram");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// Compares a diagram of the page with what it should be, or puts that in its place.
#[track_caller]
fn assert_drawn(title: &str, expected: &str) {
    // Each puts its own in place, and they may run at the same time.
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock();
    let shown = diagram(title);
    if writes() {
        let begin = format!("%% {title}\n");
        let (old, new) = (
            format!("{begin}{shown}```"),
            format!("{begin}{expected}```"),
        );
        let written = page().replace(&old, &new);
        // Others read the page meanwhile, and find the old one or the new.
        let beside = root().join("docs/pictures/.new");
        std::fs::write(&beside, written).expect("written");
        std::fs::rename(beside, root().join(PAGE)).expect("in its place");
        return;
    }
    assert_eq!(shown, expected, "the diagram '{title}'");
}

/// Compares a file with what it should be, or writes it.
#[track_caller]
fn assert_file(name: &str, expected: &str) {
    let path = root().join("docs/pictures").join(name);
    if writes() {
        std::fs::write(path, expected).expect("written");
        return;
    }
    let kept = std::fs::read_to_string(path).expect("the picture");
    assert!(
        kept == expected,
        "{name} is not what is drawn now; see the head of this file"
    );
}

/// Words such as `monitor_read` or `StatusInfo`, in order.
fn names(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c));
    let is_name = |w: &&str| {
        let snake = w.contains('_') && !w.starts_with('_');
        let camel = w.starts_with(char::is_uppercase) && w.chars().skip(1).any(char::is_uppercase);
        (snake || camel) && !matches!(*w, "TB" | "BT" | "LR" | "HMP" | "QMP" | "JSON" | "VM")
    };
    words.filter(is_name).collect()
}

fn code_below(dir: &Path, code: &mut String) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            code_below(&path, code);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            code.push_str(&std::fs::read_to_string(path).expect("code"));
        }
    }
}

/// The code of the library and the machine, with what the compiler makes of the schema.
fn all_code() -> String {
    let mut code = String::new();
    for dir in ["src", "crates/machine/src"] {
        code_below(&root().join(dir), &mut code);
    }
    code_below(Path::new(env!("OUT_DIR")), &mut code);
    code
}

/// All names of a diagram are in the code.
#[track_caller]
fn assert_in_code(title: &str, code: &str) {
    let shown = diagram(title);
    for name in names(&shown) {
        let mut traced = qmonitor::trace::ALL.iter();
        let kinds = ["fn ", "struct ", "mod ", "static "];
        let defined = kinds.iter().any(|kind| {
            let declaration = format!("{kind}{name}");
            let mut places = code.split(&declaration).skip(1);
            places.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        assert!(
            defined || traced.any(|event| event.name == name) || name == "qmonitor_qapi",
            "{name} of the diagram '{title}'"
        );
    }
}

/// Those names of a diagram that a trace shows come in the diagram's order.
#[track_caller]
fn assert_in_order(title: &str, trace: &Recorded, from: &str, seen: &[&str]) {
    let shown = diagram(title);
    let lines = trace.lines.iter();
    let mut lines = lines.skip_while(|line| !line.contains(from));
    let in_trace = names(&shown).into_iter().filter(|name| seen.contains(name));
    let mut last = "";
    for name in in_trace.filter(|name| std::mem::replace(&mut last, name) != *name) {
        let found = lines.any(|line| line.split([' ', ':']).any(|word| word == name));
        assert!(
            found,
            "{name} of the diagram '{title}' in its place of\n{}",
            trace.lines.join("\n")
        );
    }
    for name in seen {
        assert!(shown.contains(name), "{name} in the diagram '{title}'");
    }
}

#[test]
fn the_figures_of_the_book_name_functions_in_their_order() {
    let code = all_code();
    for title in ["figure 2-23", "figure 2-24", "from the schema"] {
        assert_in_code(title, &code);
    }
    let seen = ["monitor_read", "handle_hmp_command", "monitor_flush"];
    assert_in_order("figure 2-23", &session::human(), "monitor_read", &seen);
    let seen = [
        "monitor_qmp_read",
        "handle_qmp_command",
        "monitor_qmp_bh_dispatcher",
        "qmp_dispatch",
        "do_qmp_dispatch",
        "qmp_query_status",
        "monitor_qmp_respond",
        "monitor_flush",
    ];
    assert_in_order("figure 2-24", &trace_of(&[]), "got 28 bytes", &seen);
}

#[test]
fn the_sequence_is_what_a_recording_draws() {
    let drawn = trace_of(&[]).diagram;
    // From the listening socket to the first reply. Signals and the machine's start
    // are left out.
    let mut kept = String::new();
    let mut begun = false;
    for line in drawn.lines() {
        let before = line.starts_with("sequenceDiagram") || line.contains("participant");
        begun |= line.contains("socket_listen");
        if line.ends_with("turn 5") {
            break;
        }
        let line = line.replace("MainLoop,Machine", "MainLoop,Command");
        let left_out = line.contains("sigfd") || line.contains("Machine");
        if (before || begun) && !left_out {
            kept += &line;
            kept.push('\n');
        }
    }
    assert_drawn("the sequence", &kept);
}
