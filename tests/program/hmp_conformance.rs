//! Plays the conformance cases of the human monitor that need no server.
//!
//! A small session stands in for the server: editor, parser, help, completion
//! and the commands that need no machine (`print`, `info history`, a ring
//! buffer, ...). Its output is compared byte by byte with QEMU 10.0.2's
//! recorded output. The cases live outside the repository: in
//! `$QMONITOR_CONFORMANCE/hmp` or `../shared/conformance/hmp`; without them
//! there is nothing to check and the tests say so.

use std::collections::VecDeque;
use std::path::PathBuf;

use qmonitor::monitor::hmp::{
    find_completion, format_value, parse_command, ArgKind, CompletionKind, CompletionScope,
    CompletionSource, FormatState, HmpArg, HmpArgs, HmpEnv, HmpRow, HmpTable, Readline,
    ReadlineEvent,
};
use qmonitor::qapi::QDict;
use qmonitor::Runtime;
use qmonitor_machine::{commands, Machine, MachineOptions};
use serde_json::Value;

type Handler = fn(&mut Session, &HmpArgs);

/// The test plays the cases of these groups that only use commands which
/// [`handler`] knows.
const GROUPS: &[&str] = &["edit", "hist", "comp", "expr", "help", "parse", "prompt"];

/// Calls `each` with every command of the program: its full name with `info ` in
/// front of a sub-command, and its row.
fn each_row(mut each: impl FnMut(&str, HmpRow)) {
    let machine = Machine::new(MachineOptions::default());
    let mut rt = Runtime::new(machine).expect("a runtime");
    commands::register(&mut rt);
    for command in rt.hmp_mut().table.commands() {
        each(command.row.main_name(), command.row);
        let sub = command
            .sub
            .iter()
            .flat_map(qmonitor::monitor::hmp::HmpTable::commands);
        for sub in sub {
            each(&format!("info {}", sub.row.main_name()), sub.row);
        }
    }
}

/// The program's commands, with the handlers of this stand-in.
fn table() -> HmpTable<Handler> {
    let mut table = HmpTable::new();
    let mut info = HmpTable::new();
    let mut info_row = None;
    each_row(|name, row| match name.strip_prefix("info ") {
        Some(_) => info.add(row, handler(name)),
        None if name == "info" => info_row = Some(row),
        None => table.add(row, handler(name)),
    });
    table.add_group(info_row.expect("info"), handler("info"), info);
    table
}

struct Env(FormatState);

impl HmpEnv for Env {
    fn format(&mut self) -> &mut FormatState {
        &mut self.0
    }

    fn options(&mut self, _group: &'static str, _text: &str) -> Result<QDict, String> {
        Ok(QDict::new())
    }
}

/// A monitor on a machine without anything.
struct Session {
    rl: Readline,
    table: HmpTable<Handler>,
    env: Env,
    ring: VecDeque<u8>,
    /// The bytes that the client receives.
    out: Vec<u8>,
    /// The output of commands, with plain newlines.
    printed: Vec<u8>,
    /// The case ran a command that only a server can answer.
    beyond: bool,
}

impl Session {
    fn new() -> Self {
        let mut session = Self {
            rl: Readline::new("(qemu) "),
            table: table(),
            env: Env(FormatState::default()),
            ring: VecDeque::new(),
            out: Vec::new(),
            printed: Vec::new(),
            beyond: false,
        };
        session.open();
        session
    }

    /// A client connects.
    fn open(&mut self) {
        self.rl.restart();
        self.out
            .extend_from_slice(b"QEMU VERSION monitor - type 'help' for more information\r\n");
        self.rl.show_prompt(&mut self.out);
    }

    fn puts(&mut self, text: &[u8]) {
        self.printed.extend_from_slice(text);
        for &byte in text {
            if byte == b'\n' {
                self.out.push(b'\r');
            }
            self.out.push(byte);
        }
    }

    fn type_bytes(&mut self, bytes: impl Iterator<Item = u8>) {
        for byte in bytes {
            match self.rl.handle_byte(byte, &mut self.out) {
                ReadlineEvent::None => {}
                ReadlineEvent::Complete => self.complete(),
                ReadlineEvent::Line(line) => {
                    self.run(&line);
                    self.rl.show_prompt(&mut self.out);
                }
            }
        }
    }

    fn run(&mut self, line: &[u8]) {
        match parse_command(line, &self.table, &mut self.env) {
            Ok(None) => {}
            Ok(Some(parsed)) => (parsed.handler)(self, &parsed.args),
            Err(error) => self.puts(&error.text),
        }
    }

    fn complete(&mut self) {
        let completion = find_completion(
            self.rl.before_cursor(),
            &self.table,
            CompletionScope::default(),
        );
        let names: Vec<&str> = match completion.source {
            CompletionSource::Names(names) => names,
            CompletionSource::Kind(kind) => match kind {
                CompletionKind::ChardevIds => vec!["r1", "hmp0", "n0", "r0"],
                CompletionKind::Ringbufs => vec!["r1", "r0"],
                CompletionKind::ChardevTypes => vec!["null", "socket", "stdio", "serial"],
                CompletionKind::ObjectIds => vec!["i1", "i0"],
                CompletionKind::ObjectTypes => vec!["iothread", "rng-builtin"],
                CompletionKind::NetClients => vec!["h1", "h0"],
                CompletionKind::WatchdogActions => vec![
                    "reset",
                    "shutdown",
                    "poweroff",
                    "pause",
                    "debug",
                    "none",
                    "inject-nmi",
                ],
                CompletionKind::Files => {
                    if completion.word.starts_with(b"sub/") {
                        vec!["sub/x1", "sub/y"]
                    } else {
                        vec!["abc", "abd", "sub/", "zdir/"]
                    }
                }
                _ => Vec::new(),
            },
        };
        self.rl.complete(&completion.word, names, &mut self.out);
    }
}

fn handler(name: &str) -> Handler {
    match name {
        "help" => |session, args| {
            let topic = args.try_bytes("cmd").unwrap_or(b"");
            session.beyond |= topic == b"log";
            if let Ok(text) = session.table.help(topic, false) {
                session.puts(&text);
            }
        },
        "info" => |session, _| {
            if let Ok(text) = session.table.help(b"info", false) {
                session.puts(&text);
            }
        },
        "print" => |session, args| {
            let text = format_value(args.format("fmt").format, args.int("expr"));
            session.puts(format!("{text}\n").as_bytes());
        },
        "info history" => |session, _| {
            let lines: Vec<Vec<u8>> = session.rl.history().entries().map(<[u8]>::to_vec).collect();
            for (number, line) in lines.iter().enumerate() {
                session.puts(format!("{number}: '").as_bytes());
                session.puts(line);
                session.puts(b"'\n");
            }
        },
        "ringbuf_write" => |session, args| session.ring.extend(args.bytes("data")),
        "ringbuf_read" => |session, args| {
            let size = usize::try_from(args.int("size")).unwrap_or(0);
            let size = size.min(session.ring.len());
            for byte in session.ring.drain(..size).collect::<Vec<u8>>() {
                match byte {
                    b'\r' => session.puts(b"\\u000D"),
                    b'\\' => session.puts(b"\\\\"),
                    byte => session.puts(&[byte]),
                }
            }
            session.puts(b"\n");
        },
        "info status" => |session, _| session.puts(b"VM status: running\n"),
        "qom-list" => |session, args| match args.try_str("path") {
            None => session.puts(b"/\n"),
            Some(_) => session.beyond = true,
        },
        "balloon" => |session, _| {
            session.puts(b"Error: No balloon device has been activated\n");
        },
        "set_link" => |session, args| {
            let text = format!("Error: Device '{}' not found\n", args.str("name"));
            session.puts(text.as_bytes());
        },
        "chardev-remove" => |session, args| {
            session.puts(b"Error: Chardev '");
            session.puts(args.bytes("id"));
            session.puts(b"' not found\n");
        },
        "block_resize" => |session, args| {
            let text = format!(
                "Error: Cannot find device='{}' nor node-name=''\n",
                args.str("device")
            );
            session.puts(text.as_bytes());
        },
        "announce_self" | "info block" | "info name" | "stop" | "cont" => |_, _| {},
        _ => |session, _| session.beyond = true,
    }
}

fn directory() -> Option<PathBuf> {
    let base = crate::common::recordings::conformance();
    Some(base.join("hmp")).filter(|path| path.is_dir())
}

fn load(path: PathBuf) -> Value {
    let text = std::fs::read_to_string(&path).expect("a readable case file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Each byte as one character, the way cases and goldens write them.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Plays a case. `None` if it needs more than this session has.
fn play(case: &Value) -> Option<Session> {
    let mut session = Session::new();
    for step in case["keys"].as_array()? {
        match step {
            Value::String(keys) => {
                let bytes: Option<Vec<u8>> = keys.chars().map(|c| u8::try_from(c).ok()).collect();
                session.type_bytes(bytes?.into_iter());
            }
            step if step["close"] == true => {}
            step if step["open"] == true => session.open(),
            _ => return None,
        }
    }
    (!session.beyond).then_some(session)
}

/// A line as a terminal shows it: tabs filled up, blanks at the end invisible.
fn on_terminal(line: &str) -> String {
    let mut shown = String::new();
    for c in line.chars() {
        match c {
            '\t' => shown.push_str(&" ".repeat(8 - shown.len() % 8)),
            c => shown.push(c),
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

/// Whether the lines equal the recorded ones. A recording of very long output
/// has only the length, the end and a digest.
fn agrees(lines: &[String], recorded: &[&str]) -> bool {
    match recorded {
        [summary, end] if summary.contains("bytes, sha256") => {
            let text = lines.concat();
            summary.starts_with(&format!("[{} bytes,", text.len())) && text.ends_with(end)
        }
        _ => lines == recorded,
    }
}

/// The lines a comparison looks at, like the recording's.
fn view(case: &Value, session: &Session) -> Option<Vec<String>> {
    match case["kind"].as_str() {
        Some("raw") => Some(
            latin1(&session.out)
                .split_inclusive('\n')
                .map(str::to_string)
                .collect(),
        ),
        Some("text") => {
            let text = latin1(&session.printed);
            let mut lines: Vec<String> = text
                .strip_suffix('\n')
                .map(|text| text.split('\n').map(on_terminal).collect())
                .unwrap_or_default();
            // The only pattern among these groups that needs no regex engine.
            match strings(&case["keep"]).as_slice() {
                [] => {}
                ["^\\d" | "^\\d+: "] => {
                    lines.retain(|line| line.starts_with(|c: char| c.is_ascii_digit()));
                }
                _ => return None,
            }
            case["drop"].is_null().then_some(lines)
        }
        _ => None,
    }
}

#[test]
fn recorded_cases() {
    let Some(directory) = directory() else {
        eprintln!("no conformance cases here");
        return;
    };
    let golden = load(directory.join("golden.json"));
    let mut played = 0;
    let mut failures = Vec::new();
    for group in GROUPS {
        let file = load(directory.join(format!("cases/{group}.json")));
        for case in file["cases"].as_array().into_iter().flatten() {
            let id = case["id"].as_str().unwrap_or_default();
            // Another server is another machine, unless only ids matter.
            let other_server = !case["args"].is_null() && !["comp", "parse"].contains(group);
            if other_server || case["exact_banner"] == true || case["exit"] == true {
                continue;
            }
            let Some(lines) = play(case).and_then(|session| view(case, &session)) else {
                continue;
            };
            played += 1;
            let recorded = strings(&golden["cases"][id]["view"]);
            if !agrees(&lines, &recorded) {
                failures.push(format!(
                    "{id}:\n  got      {lines:?}\n  recorded {recorded:?}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{played} cases played");
    assert!(played > 100, "only {played} cases could be played");
}

/// Name, kind, flag and whether it may be left out, as `commands.json` has them.
fn shape(arg: &HmpArg) -> (String, String, String, bool) {
    let (kind, flag) = match arg.kind {
        ArgKind::Str => ("string", None),
        ArgKind::File => ("filename", None),
        ArgKind::Block => ("blockdev", None),
        ArgKind::RestOfLine => ("rest", None),
        ArgKind::Int => ("int64", None),
        ArgKind::Int32 | ArgKind::DotIndex => ("int32", None),
        ArgKind::MiB => ("mib", None),
        ArgKind::Size => ("size", None),
        ArgKind::Seconds => ("seconds", None),
        ArgKind::OnOff => ("onoff", None),
        ArgKind::Flag(letter) => ("flag", Some(letter)),
        ArgKind::FlagValue(letter) => ("flag-value", Some(letter)),
        ArgKind::Format => ("fmt", None),
        ArgKind::Options(_) => ("options", None),
    };
    let flag = flag.map_or(String::new(), |letter| format!("-{letter}"));
    // These kinds may always be left out.
    let optional = arg.optional
        || !flag.is_empty()
        || matches!(
            arg.kind,
            ArgKind::DotIndex | ArgKind::Options(_) | ArgKind::Format
        );
    (arg.name.to_owned(), kind.to_owned(), flag, optional)
}

#[test]
fn synopsis_lines() {
    let Some(directory) = directory() else {
        eprintln!("no conformance cases here");
        return;
    };
    let declared = load(directory.join("commands.json"));
    let (mut top, mut info) = (Vec::new(), Vec::new());
    each_row(|name, row| {
        let rows = if name.starts_with("info ") {
            &mut info
        } else {
            &mut top
        };
        rows.push(row);
    });
    for (key, prefix, rows) in [("commands", "", top), ("info", "info ", info)] {
        let commands = declared[key].as_array().expect("a list of commands");
        for command in commands {
            let row: &HmpRow = rows
                .iter()
                .find(|row| command["name"] == row.name)
                .unwrap_or_else(|| panic!("{} is missing", command["name"]));
            let synopsis = format!("{prefix}{} {} -- {}", row.name, row.params, row.help);
            assert_eq!(command["synopsis"], synopsis);
            assert_eq!(command["preconfig"], row.preconfig, "{synopsis}");
            // The word behind `info` is a table of its own.
            if row.name != "info" {
                let args: Vec<_> = row.args.iter().map(shape).collect();
                let declared = command["args"].as_array().into_iter().flatten();
                let declared: Vec<_> = declared
                    .map(|arg| {
                        let text = |key: &str| arg[key].as_str().unwrap_or_default().to_owned();
                        let optional = arg["optional"] == true;
                        (text("name"), text("kind"), text("flag"), optional)
                    })
                    .collect();
                assert_eq!(args, declared, "{synopsis}");
            }
            let names: Vec<&str> = row.aliases().collect();
            assert_eq!(strings(&command["aliases"]), names, "{synopsis}");
        }
    }
}
