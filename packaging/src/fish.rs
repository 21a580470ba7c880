//! Completion for fish.

use crate::help::{Help, Offer};

/// The script for a program.
pub fn script(name: &str, help: &Help) -> String {
    let mut text = format!("# Completion of {name} for fish; made from what `{name} -h` prints.\n");
    for opt in &help.options {
        let names: Vec<String> = opt.names.iter().map(|name| named(name)).collect();
        let argument = match opt.offer() {
            None => String::new(),
            Some(Offer::Files) => " -r -F".to_owned(),
            Some(Offer::Directories) => " -x -a '(__fish_complete_directories)'".to_owned(),
            Some(Offer::Words(words)) => format!(" -x -a '{}'", words.join(" ")),
            Some(Offer::Nothing) => " -x".to_owned(),
        };
        let line = quoted(opt.line());
        text += &format!(
            "complete -c {name} {}{argument} -d {line}\n",
            names.join(" ")
        );
    }
    for (command, about) in &help.commands {
        let about = quoted(about);
        text += &format!("complete -c {name} -n __fish_is_first_arg -a {command} -d {about}\n");
    }
    text
}

/// `-l help`, `-s h`, and for a long name with one dash `-o machine`.
fn named(name: &str) -> String {
    match name.strip_prefix("--") {
        Some(long) => format!("-l {long}"),
        None if name.len() == 2 => format!("-s {}", &name[1..]),
        None => format!("-o {}", &name[1..]),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
