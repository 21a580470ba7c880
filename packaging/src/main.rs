//! Writes a manual page for each program, and its completion for bash, zsh and fish.
//! What they know of options is what the program itself prints for `-help`, so they
//! cannot fall behind it; a line of that text that is not understood is an error.
//!
//!     cargo build && cargo run -p qmonitor-packaging -- target/debug target/packaging

mod about;
mod bash;
mod fish;
mod help;
mod man;
mod zsh;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use about::PROGRAMS;
use help::Help;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [programs, out] = &args[..] else {
        eprintln!("usage: qmonitor-packaging DIRECTORY-OF-PROGRAMS OUTPUT-DIRECTORY");
        return ExitCode::from(2);
    };
    match write_all(Path::new(programs), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("qmonitor-packaging: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(programs: &Path, out: &Path) -> Result<(), String> {
    for program in PROGRAMS {
        let name = program.name;
        let text = help_text(&programs.join(name))?;
        let help = Help::parse(name, &text).map_err(|e| format!("the help of {name}: {e}"))?;
        write(out, &format!("man/{name}.1"), &man::page(program, &help))?;
        write(out, &format!("bash/{name}"), &bash::script(name, &help))?;
        write(out, &format!("zsh/_{name}"), &zsh::script(name, &help))?;
        write(
            out,
            &format!("fish/{name}.fish"),
            &fish::script(name, &help),
        )?;
    }
    Ok(())
}

/// What the program prints when it is asked for help. All of them know `-h`.
fn help_text(program: &Path) -> Result<String, String> {
    let shown = program.display();
    let output = Command::new(program).arg("-h").output();
    let output = output.map_err(|e| format!("{shown}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{shown} -h fails"));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("{shown}: {e}"))
}

fn write(out: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = out.join(name);
    let written = match path.parent() {
        Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)),
        None => fs::write(&path, text),
    };
    written.map_err(|e| format!("{}: {e}", path.display()))
}
