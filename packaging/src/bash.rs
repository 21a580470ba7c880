//! Completion for bash.

use crate::help::{Help, Offer};

/// The script for a program.
pub fn script(name: &str, help: &Help) -> String {
    let function = format!("_{}", name.replace('-', "_"));
    let mut cases = String::new();
    for opt in &help.options {
        let found = match opt.offer() {
            None => continue,
            // Files are what bash offers where a function finds nothing.
            Some(Offer::Files | Offer::Nothing) => String::new(),
            Some(Offer::Directories) => found("-d"),
            Some(Offer::Words(words)) => found(&format!("-W '{}'", words.join(" "))),
        };
        cases += &format!("        {}) {found}return ;;\n", opt.names.join(" | "));
    }
    let names = help.options.iter().flat_map(|opt| &opt.names);
    let names: Vec<&str> = names.map(String::as_str).collect();
    let commands: Vec<&str> = help.commands.iter().map(|(name, _)| &**name).collect();
    let first = if commands.is_empty() {
        String::new()
    } else {
        let found = found(&format!("-W '{}'", commands.join(" ")));
        format!("    if [ \"$COMP_CWORD\" = 1 ]; then {found}fi\n")
    };
    let options = found(&format!("-W '{}'", names.join(" ")));
    format!(
        "# Completion of {name} for bash; made from what `{name} -h` prints.\n\
         {function}() {{\n    \
             local cur=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}\n    \
             COMPREPLY=()\n    \
             case $before in\n{cases}    esac\n    \
             case $cur in -*) {options}return ;; esac\n{first}\
         }}\n\
         complete -o default -F {function} {name}\n"
    )
}

/// The command that offers what `compgen` finds.
fn found(options: &str) -> String {
    format!("mapfile -t COMPREPLY < <(compgen {options} -- \"$cur\"); ")
}
