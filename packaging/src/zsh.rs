//! Completion for zsh.

use crate::help::{Help, Offer};

/// The script for a program.
pub fn script(name: &str, help: &Help) -> String {
    let mut text = format!(
        "#compdef {name}\n\
         # Completion of {name} for zsh; made from what `{name} -h` prints.\n\
         _arguments \\\n"
    );
    for opt in &help.options {
        let action = opt.offer().map(|offer| match offer {
            Offer::Files => "_files".to_owned(),
            Offer::Directories => "_files -/".to_owned(),
            Offer::Words(words) => format!("({})", words.join(" ")),
            Offer::Nothing => " ".to_owned(),
        });
        let action = match (&opt.arg, action) {
            (Some(arg), Some(action)) => format!(":{}:{action}", escaped(arg)),
            _ => String::new(),
        };
        for name in &opt.names {
            text += &format!("    '*{name}[{}]{action}' \\\n", escaped(opt.line()));
        }
    }
    if !help.commands.is_empty() {
        let commands = help.commands.iter();
        let commands: Vec<String> = commands
            .map(|(name, text)| format!("{name}\\:\"{}\"", escaped(text)))
            .collect();
        text += &format!("    '1:command:(({}))' \\\n", commands.join(" "));
    }
    text + "    '*:file:_files'\n"
}

/// A text within single quotes, as a part of what `_arguments` reads.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\'' => escaped += "'\\''",
            '[' | ']' | ':' | '\\' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}
