//! Links of the pages lead somewhere, and sessions go as the pages show.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::common::places::root;
use crate::common::Server;
use qmonitor_qapi::codegen::rust;

/// The targets of the links in a text, without web addresses and places on the
/// same page.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    targets.filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        (!target.is_empty() && !target.contains("://")).then_some(target)
    })
}

const TOP_PAGES: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "fuzz/README.md",
];

fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).expect("docs");
    docs.map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
        .chain(TOP_PAGES.map(|page| root().join(page)))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        let folder = page.parent().expect("a folder");
        for target in links(&text) {
            let found = folder.join(target).exists();
            assert!(found, "{}: {target}", page.display());
        }
    }
}

/// Whether code defines something of this name.
fn defines(code: &str, name: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || c == '_';
    ["fn ", "struct ", "const "].iter().any(|kind| {
        let declaration = format!("{kind}{name}");
        let mut places = code.split(&declaration).skip(1);
        places.any(|rest| !rest.starts_with(continues))
    })
}

/// The code of a file; of a schema, what the compiler makes of it.
fn code_of(path: &Path) -> String {
    if path.extension().is_some_and(|ext| ext == "json") {
        let schema = qmonitor_qapi::schema::load(path).expect("a schema");
        return rust::generate(&schema, &rust::Options::default());
    }
    std::fs::read_to_string(path).expect("a file of code")
}

/// The columns of the map's rows.
fn rows(map: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = map.lines().filter(|line| line.starts_with("| "));
    rows.skip(1).map(|row| row.split(" | ").collect())
}

/// The names in a text, without what they belong to.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(|name| name.rsplit("::").next().unwrap_or(name))
}

fn the_map() -> String {
    std::fs::read_to_string(root().join("docs/book-map.md")).expect("the map")
}

#[test]
fn functions_of_the_book_are_where_the_map_says() {
    let map = the_map();
    let mut checked = 0;
    for row in rows(&map) {
        // Names come first, then the file that has them.
        let mut waiting: Vec<&str> = Vec::new();
        for (i, part) in row[1].split('`').enumerate() {
            if i % 2 == 1 {
                waiting.push(part.rsplit("::").next().unwrap_or(part));
                continue;
            }
            for target in links(part) {
                if waiting.is_empty() {
                    continue;
                }
                let code = code_of(&root().join("docs").join(target));
                for name in waiting.drain(..) {
                    assert!(defines(&code, name), "{target} has no {name}");
                    checked += 1;
                }
            }
        }
        // A pattern stands for several files.
        waiting.retain(|name| !name.contains('*'));
        assert!(waiting.is_empty(), "{waiting:?}: in which file?");
    }
    assert!(checked >= 40, "only {checked} names were looked for");
}

/// A function of the book's that is here under its own name must be shown under it.
#[test]
fn the_map_does_not_send_readers_past_a_function_of_the_same_name() {
    let mut code = String::new();
    for room in ["src", "crates/machine/src"] {
        let mut files = Vec::new();
        files_below(&root().join(room), &mut files);
        for file in files {
            code += &std::fs::read_to_string(file).expect("text");
        }
    }
    let map = the_map();
    for row in rows(&map) {
        for name in names(row[0]) {
            let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            if is_name && defines(&code, name) {
                let shown = names(row[1]).any(|other| other == name);
                assert!(shown, "{name} is here, and its row leads elsewhere");
            }
        }
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

/// The same JSON line, whatever the time.
fn timeless(line: &str) -> String {
    let mut message: serde_json::Value = serde_json::from_str(line).expect("JSON");
    if let Some(time) = message.get_mut("timestamp") {
        *time = serde_json::Value::Null;
        return message.to_string();
    }
    line.to_owned()
}

#[test]
fn the_session_of_the_readme_goes_as_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the page");
    let session = readme
        .split("$ nc -U /tmp/qmp\n")
        .nth(1)
        .expect("a session");
    let session = session.split("```").next().unwrap_or(session);

    let mut server = Server::start(&["-monitor", "stdio"]);
    let mut person = server.stdin();
    let mut client = server.connect();
    let mut events = 0;
    for line in session.lines() {
        if line.starts_with("{\"exec") {
            client.send(format!("{line}\n"));
            continue;
        }
        if line.contains("\"event\": \"STOP\"") {
            person.write_all(b"stop\n").expect("it reads");
            events += 1;
        }
        assert_eq!(timeless(&client.line()), timeless(line));
    }
    assert_eq!(events, 1, "an event crosses from one monitor to the other");
    assert!(server.finish().status.success());
}

/// All sessions of a page: the lines typed at prompts, and the output after
/// each.
fn human_sessions(page: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join(page)).expect("the page");
    let mut steps: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or(block);
        let mut lines = block.lines().skip_while(|l| !l.starts_with("(qemu) "));
        let mut by_shell = false;
        for line in &mut lines {
            match line.strip_prefix("(qemu)") {
                Some("") => by_shell = true,
                Some(typed) => {
                    by_shell = false;
                    steps.push((typed[1..].to_owned(), String::new()));
                }
                None if by_shell => {}
                None => {
                    let (_, output) = steps.last_mut().expect("a prompt first");
                    output.push_str(line);
                    output.push('\n');
                }
            }
        }
    }
    steps
}

#[test]
fn people_see_what_the_pages_show() {
    let prompt = "(qemu) ";
    for page in ["README.md", "docs/hmp.md"] {
        let server = Server::start(&[
            "-chardev",
            "ringbuf,id=log0",
            "-monitor",
            "unix:{dir}/h,server=on,wait=off",
        ]);
        let mut client = crate::common::Client::connect(&server.path("h"));
        client.until(prompt);
        let steps = human_sessions(page);
        assert!(steps.len() > 3, "{page}");
        for (typed, output) in steps {
            if typed == "quit" {
                break;
            }
            // If the next line continues a line, TAB ended that. The page does
            // not show blanks that completion leaves.
            let (keys, end) = if typed.ends_with('-') {
                (format!("{typed}\t"), format!("{prompt}{typed}\x1b[K"))
            } else {
                (format!("{typed}\n"), format!("\r\n{prompt}"))
            };
            client.send(&keys);
            client.until("\x1b[K\r\n");
            let shown = match client.until(prompt) {
                shown if typed.ends_with('-') => {
                    client.until(&end[prompt.len()..]);
                    client.send("\x15");
                    client.until("\x1b[K");
                    shown
                }
                shown => shown,
            };
            let shown = shown.strip_suffix(prompt).unwrap_or(&shown);
            let lines = |text: &str| -> Vec<String> {
                let lines = text.lines().map(|line| line.trim_end().replace(" '", "'"));
                lines.collect()
            };
            assert_eq!(lines(shown), lines(&output), "{page}: {typed}");
        }
    }
}
