//! The program's command line in QEMU's syntax: options have one or two dashes, and
//! their argument is always a word of its own.

use super::cli_table::OPTIONS;
use qmonitor::qapi::json::qobject_from_json_in;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::Profile;

pub use super::cli_table::Opt;

/// The object that an argument which begins with `{` is.
///
/// # Errors
///
/// It is no JSON, which is told as the profile tells it.
pub(super) fn json_object(profile: Profile, arg: &str) -> Result<QDict, Error> {
    Ok(
        match qobject_from_json_in(profile.dialect(), arg.as_bytes())? {
            QObject::Dict(object) => object,
            _ => QDict::new(),
        },
    )
}

/// Splits a command line into options and their arguments. A word without a dash is a
/// disk image.
///
/// # Errors
///
/// `-foo: invalid option`, `-qmp: requires an argument`, each naming the word
/// as it was given.
pub fn parse(args: &[String], warnings: &mut Vec<Error>) -> Result<Vec<Word>, Error> {
    let mut parsed = Vec::new();
    let tolerant = args.iter().any(|word| is_tolerance(word));
    let mut args = args.iter().peekable();
    while let Some(word) = args.next() {
        let Some(name) = word.strip_prefix('-') else {
            parsed.push(Word {
                opt: Opt::Disk,
                written: None,
                arg: Some(word.clone()),
            });
            continue;
        };
        let name = name.strip_prefix('-').unwrap_or(name);
        let Some(row) = OPTIONS.iter().find(|r| r.name == name) else {
            let unknown = Error::new(format!("{word}: invalid option"));
            if !tolerant {
                return Err(unknown);
            }
            warnings.push(unknown);
            // What does not look like an option belongs to this one.
            args.next_if(|next| !next.starts_with('-'));
            continue;
        };
        let arg = match row.arg {
            None => None,
            Some(_) => match args.next() {
                Some(arg) => Some(arg.clone()),
                None => return Err(Error::new(format!("{word}: requires an argument"))),
            },
        };
        parsed.push(Word {
            opt: row.opt,
            written: Some(word.clone()),
            arg,
        });
    }
    Ok(parsed)
}

/// An option of the command line.
#[derive(Debug)]
pub struct Word {
    /// Which one it is.
    pub opt: Opt,
    /// Its name with dashes, unless it is a disk image.
    pub written: Option<String>,
    /// Its argument.
    pub arg: Option<String>,
}

/// Whether the word is `--ignore-unknown-options`.
fn is_tolerance(word: &str) -> bool {
    let row = OPTIONS.iter().find(|r| r.opt == Opt::IgnoreUnknown);
    row.is_some_and(|row| word.trim_start_matches('-') == row.name && word.starts_with('-'))
}

/// The option's first name, without the dash.
pub fn name(opt: Opt) -> &'static str {
    let row = OPTIONS.iter().find(|r| r.opt == opt);
    row.map_or("", |r| r.name)
}

/// The text of `-h`.
pub fn help(program: &str) -> String {
    let mut text = format!("usage: {program} [options]\n\noptions:\n");
    for (i, row) in OPTIONS.iter().enumerate() {
        if row.help.is_empty() {
            continue;
        }
        text.push('-');
        text.push_str(row.name);
        let aliases = OPTIONS[i + 1..].iter().take_while(|r| r.help.is_empty());
        for alias in aliases {
            text.push_str(", -");
            text.push_str(alias.name);
        }
        if let Some(arg) = row.arg {
            text.push(' ');
            text.push_str(arg);
        }
        text.push_str("\n                ");
        text.push_str(row.help);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_or_two_dashes_and_second_names() {
        let line = "-S --preconfig -M none --machine none -qmp -foo";
        let parsed = parse(&words(line), &mut Vec::new()).unwrap();
        let opts: Vec<_> = parsed.iter().map(|word| word.opt).collect();
        assert_eq!(
            opts,
            [
                Opt::Stopped,
                Opt::Preconfig,
                Opt::Machine,
                Opt::Machine,
                Opt::Qmp
            ]
        );
        // The word after an option with an argument is the argument, even with dashes.
        assert_eq!(parsed[4].arg.as_deref(), Some("-foo"));
    }

    #[test]
    fn wrong_words_are_named_as_given() {
        for (line, message) in [
            ("-foo", "-foo: invalid option"),
            ("--foo", "--foo: invalid option"),
            ("-S=1", "-S=1: invalid option"),
            ("--qmp", "--qmp: requires an argument"),
            ("---S", "---S: invalid option"),
        ] {
            assert_eq!(
                parse(&words(line), &mut Vec::new()).unwrap_err().desc(),
                message
            );
        }
    }

    #[test]
    fn unknown_options_and_their_arguments_may_be_ignored() {
        let line = "-foo bar -S -foo -S disk --ignore-unknown-options";
        let mut warnings = Vec::new();
        let parsed = parse(&words(line), &mut warnings).unwrap();
        let opts: Vec<_> = parsed.iter().map(|word| word.opt).collect();
        use Opt::{Disk, IgnoreUnknown, Stopped};
        assert_eq!(opts, [Stopped, Stopped, Disk, IgnoreUnknown]);
        assert_eq!(warnings.len(), 2);
    }

    /// The options in a list, or in none of them.
    fn names(wanted: impl Fn(Opt) -> bool) -> String {
        let rows = OPTIONS.iter().filter(|row| wanted(row.opt));
        let names: Vec<String> = rows.map(|row| format!("`-{}`", row.name)).collect();
        names.join(", ")
    }

    #[test]
    fn the_page_of_the_machine_tells_what_options_do() {
        use super::super::cli_table::{KEPT, REFUSED};
        let table = format!(
            "| what becomes of it | options |\n|---|---|\n| it has its effect | {} |\n\
             | it is read, checked and kept | {} |\n| it is refused, in QEMU's words | {} |\n",
            names(|opt| !KEPT.contains(&opt) && !REFUSED.contains(&opt)),
            names(|opt| KEPT.contains(&opt)),
            names(|opt| REFUSED.contains(&opt)),
        );
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/machine.md");
        let page = std::fs::read_to_string(page).expect("the page");
        assert!(
            page.contains(&table),
            "docs/machine.md should have:\n{table}"
        );
    }

    #[test]
    fn help_lists_every_option() {
        let text = help("qmonitor");
        for row in OPTIONS {
            assert!(text.contains(&format!("-{}", row.name)), "{}", row.name);
        }
    }
}
