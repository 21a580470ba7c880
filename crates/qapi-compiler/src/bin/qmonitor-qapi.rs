//! The schema compiler as a program: checks a QAPI schema, or generates text from
//! it. Options may come before or after the file.
//!
//! Exit status: 0 done; 1 the schema is invalid or unreadable, with the error on
//! stderr and nothing on stdout; 2 wrong usage.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use qmonitor_qapi::codegen;
use qmonitor_qapi::schema::{self, dump, introspect, manual, Schema, SchemaDirs};

const USAGE: &str = "\
usage: qmonitor-qapi check      FILE [-I NAME=DIR]...
       qmonitor-qapi introspect FILE [-I NAME=DIR]... [-D NAME]... [--unmask]
       qmonitor-qapi doc        FILE [-I NAME=DIR]...
       qmonitor-qapi rust       FILE [-I NAME=DIR]...
       qmonitor-qapi dump       FILE [-I NAME=DIR]...

Reads the QAPI schema FILE and the files it includes.

  check        print nothing if the schema is valid, else the first error
  introspect   print what query-qmp-schema returns, as JSON
  doc          print a reference manual in Markdown
  rust         print Rust types and marshalling code
  dump         print all that is known about the schema

  -I NAME=DIR  an include of NAME/FILE means FILE in the directory DIR
  -D NAME      conditions: NAME is defined, others are not
  --unmask     do not replace type names by numbers
  -h, --help   print this text
";

const INVALID: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// The parsed command line.
struct Request {
    task: Task,
    file: PathBuf,
    dirs: SchemaDirs,
    defined: HashSet<String>,
    unmask: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Check,
    Introspect,
    Doc,
    Rust,
    Dump,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        return print(USAGE);
    }
    let request = match parse(args) {
        Ok(request) => request,
        Err(message) => {
            complain(&format!("qmonitor-qapi: {message}\n{USAGE}"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    // Every task checks the whole schema first.
    let schema = match schema::load_in(&request.file, &request.dirs) {
        Ok(schema) => schema,
        Err(error) => {
            complain(&format!("{error}\n"));
            return ExitCode::from(INVALID);
        }
    };
    match generate(&request, &schema) {
        Some(text) => print(&text),
        None => {
            complain("qmonitor-qapi: not implemented\n");
            ExitCode::from(WRONG_USAGE)
        }
    }
}

fn generate(request: &Request, schema: &Schema) -> Option<String> {
    Some(match request.task {
        Task::Check => String::new(),
        Task::Introspect => {
            let options = introspect::Options {
                defined: &|name| request.defined.contains(name),
                unmask: request.unmask,
            };
            introspect::introspect(schema, &options)
        }
        Task::Doc => manual::manual(schema),
        Task::Rust => codegen::rust::generate(schema, &codegen::rust::Options::default()),
        Task::Dump => dump::dump(schema),
    })
}

fn parse(args: Vec<OsString>) -> Result<Request, String> {
    let mut args = args.into_iter();
    let mut words = Vec::new();
    let mut dirs = SchemaDirs::default();
    let mut defined = HashSet::new();
    let mut unmask = false;
    let mut options = true;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if !options || !text.starts_with('-') || text == "-" {
            words.push(arg);
        } else if text == "--" {
            options = false;
        } else if text == "--unmask" {
            unmask = true;
        } else if let Some(name) = text.strip_prefix("-D") {
            let name = value(name, &mut args);
            defined.insert(name.ok_or("option '-D' requires a name")?);
        } else if let Some(dir) = text.strip_prefix("-I") {
            let dir = value(dir, &mut args).unwrap_or_default();
            let named = dir
                .split_once('=')
                .filter(|(name, dir)| !name.is_empty() && !dir.is_empty());
            let (name, dir) = named.ok_or("option '-I' requires NAME=DIR")?;
            dirs.add(name, dir);
        } else {
            return Err(format!("unknown option '{text}'"));
        }
    }
    let [command, file] = words.as_slice() else {
        return Err("a subcommand and a file are required".to_owned());
    };
    let task = task(command)?;
    if task != Task::Introspect && (unmask || !defined.is_empty()) {
        return Err("options '-D' and '--unmask' are for 'introspect' only".to_owned());
    }
    Ok(Request {
        task,
        file: Path::new(file).to_owned(),
        dirs,
        defined,
        unmask,
    })
}

/// The value of an option: the rest of its word, or the next one.
fn value(rest: &str, args: &mut impl Iterator<Item = OsString>) -> Option<String> {
    let value = match rest {
        "" => args.next()?.to_string_lossy().into_owned(),
        rest => rest.to_owned(),
    };
    (!value.is_empty()).then_some(value)
}

fn task(name: &OsStr) -> Result<Task, String> {
    match name.to_str() {
        Some("check") => Ok(Task::Check),
        Some("introspect") => Ok(Task::Introspect),
        Some("doc") => Ok(Task::Doc),
        Some("rust") => Ok(Task::Rust),
        Some("dump") => Ok(Task::Dump),
        _ => Err(format!("unknown subcommand '{}'", name.to_string_lossy())),
    }
}

/// Prints the result. A reader that closes the pipe early is not an error.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("qmonitor-qapi: cannot write: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Prints to stderr. If that fails, too, nothing is left to report to.
fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
