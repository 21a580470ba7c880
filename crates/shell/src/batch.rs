//! Lines from the command line, a file or a pipe.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

use crate::connection::News;
use crate::options::Options;
use crate::session::{event_line, Outcome, Session};

/// The width of help where there is no terminal.
const WIDTH: usize = 80;

/// Carries out all lines. The status is 1 if one failed.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let json = options.json;
    let sink = Box::new(move |news: News<'_>| {
        if let News::Event(event) = news {
            let _ = writeln!(io::stdout().lock(), "{}", event_line(event, json));
        }
    });
    let lines = lines(options)?;
    let (mut session, _) = Session::open(options, sink)?;
    let status = carry_out(lines, options, &mut session)?;
    session.end(status)
}

fn carry_out(lines: Lines, options: &Options, session: &mut Session) -> Result<ExitCode, String> {
    let mut status = ExitCode::SUCCESS;
    for (line, number) in lines.zip(1..) {
        let line = line.map_err(|e| format!("line {number}: {e}"))?;
        match session.run(&line, WIDTH)? {
            Outcome::Shown(text) => print(&text)?,
            Outcome::Failed(text) => {
                status = ExitCode::FAILURE;
                session.spoil_transaction();
                if options.json && text.starts_with('{') {
                    print(&text)?;
                } else {
                    eprintln!("line {number}: {line}\n  {text}");
                }
                if !options.keep_going {
                    break;
                }
            }
            Outcome::Exit => break,
        }
    }
    if session.in_transaction() && status == ExitCode::SUCCESS {
        eprintln!("the transaction has no end, so it is not sent");
        status = ExitCode::FAILURE;
    }
    Ok(status)
}

type Lines = Box<dyn Iterator<Item = io::Result<String>>>;

fn lines(options: &Options) -> Result<Lines, String> {
    if let Some(file) = &options.script {
        let opened = File::open(file).map_err(|e| format!("{}: {e}", file.display()))?;
        return Ok(Box::new(BufReader::new(opened).lines()));
    }
    if !options.commands.is_empty() {
        return Ok(Box::new(options.commands.clone().into_iter().map(Ok)));
    }
    Ok(Box::new(io::stdin().lines()))
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| format!("output: {e}"))
}
