//! `qmonitor-shell`: QMP and HMP commands typed by people, or read from a script.
//! It works with any QMP server, and takes what it knows of commands from the
//! server's own schema.

mod batch;
mod complete;
mod connection;
mod help;
mod hmp;
mod interactive;
mod line;
mod log;
mod names;
mod options;
mod program;
mod schema;
mod screen;
mod session;
mod transaction;

use std::io::IsTerminal;
use std::process::ExitCode;

use options::{Options, Wanted};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Wanted::Session(options)) => options,
        Ok(Wanted::Text(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("qmonitor-shell: {problem}");
            return ExitCode::from(2);
        }
    };
    let typed = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let outcome = if options.commands.is_empty() && options.script.is_none() && typed {
        interactive::run(&options)
    } else {
        batch::run(&options)
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("qmonitor-shell: {problem}");
        ExitCode::FAILURE
    })
}
