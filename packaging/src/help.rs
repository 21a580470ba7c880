//! The text that a program prints for `-h`, taken apart.
//!
//! Options begin their line, with at most a small indent; the explanation is behind
//! two blanks or more, or on the next lines, far to the right:
//!
//! ```text
//!   -f, --file FILE    read lines from FILE
//!   --monitor [chardev=]ID[,mode=control]
//!                      a QMP monitor
//! ```

/// Explanations that stand on lines of their own begin at this column or behind it.
const EXPLANATION: usize = 10;

/// What a help text says.
#[derive(Debug, Default, PartialEq)]
pub struct Help {
    /// How the program is called, a line for each way.
    pub usage: Vec<String>,
    /// Paragraphs about the program as a whole.
    pub about: Vec<String>,
    /// Words that may stand first, with their meaning.
    pub commands: Vec<(String, String)>,
    pub options: Vec<Opt>,
}

/// One option.
#[derive(Debug, Default, PartialEq)]
pub struct Opt {
    /// With their dashes: `-h`, `--help`.
    pub names: Vec<String>,
    /// Its argument as the text shows it.
    pub arg: Option<String>,
    pub text: String,
}

/// What a shell can offer for an argument.
#[derive(Debug, PartialEq)]
pub enum Offer {
    Files,
    Directories,
    /// One of these; maybe others.
    Words(Vec<String>),
    Nothing,
}

impl Opt {
    /// What can be offered for the argument; nothing if there is none.
    pub fn offer(&self) -> Option<Offer> {
        let arg = self.arg.as_deref()?;
        if ["FILE", "PATH", "OUT"]
            .iter()
            .any(|word| arg.starts_with(word))
        {
            return Some(Offer::Files);
        }
        if arg == "DIR" {
            return Some(Offer::Directories);
        }
        let plain = |word: &&str| {
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            !word.is_empty() && word.chars().all(allowed) && !word.ends_with('.')
        };
        if !arg.contains('|') || arg.starts_with('[') {
            return Some(Offer::Nothing);
        }
        let words: Vec<String> = arg.split('|').filter(plain).map(str::to_owned).collect();
        Some(if words.is_empty() {
            Offer::Nothing
        } else {
            Offer::Words(words)
        })
    }

    /// The explanation as one line.
    pub fn line(&self) -> &str {
        &self.text
    }
}

/// What a line belongs to, for those that continue it.
enum Open {
    Usage,
    About,
    Command,
    Option,
    Nothing,
}

impl Help {
    /// Takes the text of the program `name` apart.
    pub fn parse(name: &str, text: &str) -> Result<Help, String> {
        let mut help = Help::default();
        let mut open = Open::Nothing;
        for line in text.lines() {
            let words = line.trim_start();
            let indent = line.len() - words.len();
            open = match (indent, words) {
                (_, "" | "options:") => Open::Nothing,
                (0, _) if is_version(words) => Open::Nothing,
                (0, _) if is_usage(words) => help.usage_line(name, words),
                (_, _) if matches!(open, Open::Usage) => help.usage_line(name, words),
                (..EXPLANATION, _) if words.starts_with('-') => help.option(words),
                (2, _) => help.command(words)?,
                (0, _) => help.paragraph(words, &open),
                (EXPLANATION.., _) => help.more(words, open)?,
                _ => return Err(format!("not understood: {line}")),
            };
        }
        if help.usage.is_empty() || help.options.is_empty() {
            return Err("it has no usage or no options".into());
        }
        if let Some(opt) = help.options.iter().find(|opt| opt.text.is_empty()) {
            return Err(format!("{:?} is not explained", opt.names));
        }
        Ok(help)
    }

    /// `usage: PROGRAM ARGUMENTS`, or another way on a further line. A line without
    /// the program's name continues the one before.
    fn usage_line(&mut self, name: &str, words: &str) -> Open {
        let words = words
            .split_once(": ")
            .filter(|_| is_usage(words))
            .map_or(words, |(_, w)| w);
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        // Where the program was started from is of no interest.
        if first.rsplit('/').next() == Some(name) {
            self.usage.push(format!("{name} {}", rest.trim()));
        } else if let Some(last) = self.usage.last_mut() {
            push_words(last, words);
        }
        Open::Usage
    }

    fn option(&mut self, words: &str) -> Open {
        let (head, text) = words.split_once("  ").unwrap_or((words, ""));
        let mut opt = Opt {
            text: text.trim().to_owned(),
            ..Opt::default()
        };
        for name in head.split(", ") {
            let (name, arg) = name
                .split_once(' ')
                .map_or((name, None), |(n, a)| (n, Some(a)));
            opt.names.push(name.to_owned());
            opt.arg = arg.map(str::to_owned);
        }
        self.options.push(opt);
        Open::Option
    }

    fn command(&mut self, words: &str) -> Result<Open, String> {
        let (name, text) = words
            .split_once("  ")
            .ok_or(format!("not understood: {words}"))?;
        self.commands
            .push((name.to_owned(), text.trim().to_owned()));
        Ok(Open::Command)
    }

    fn paragraph(&mut self, words: &str, open: &Open) -> Open {
        match self.about.last_mut() {
            Some(last) if matches!(open, Open::About) => push_words(last, words),
            _ => self.about.push(words.to_owned()),
        }
        Open::About
    }

    fn more(&mut self, words: &str, open: Open) -> Result<Open, String> {
        let text = match open {
            Open::Option => self.options.last_mut().map(|opt| &mut opt.text),
            Open::Command => self.commands.last_mut().map(|(_, text)| text),
            _ => None,
        };
        push_words(text.ok_or(format!("it continues nothing: {words}"))?, words);
        Ok(open)
    }
}

fn is_usage(words: &str) -> bool {
    words.starts_with("usage: ") || words.starts_with("Usage: ")
}

/// The line `QEMU emulator version 10.0.2 (...)`.
fn is_version(words: &str) -> bool {
    words.contains(" version ") && words.ends_with(')')
}

fn push_words(text: &mut String, words: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(words);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
usage: /bin/prog check FILE [-I NAME=DIR]...
                 [--more]
       prog rust FILE

About it
and more.

Another.

options:
  check       print nothing
              else
  -f, --file FILE  read
                   lines
      --how on|off|NAME
                   how
";

    #[test]
    fn each_part_is_found() {
        let help = Help::parse("prog", TEXT).unwrap();
        let usage = [
            "prog check FILE [-I NAME=DIR]... [--more]",
            "prog rust FILE",
        ];
        assert_eq!(help.usage, usage);
        assert_eq!(help.about, ["About it and more.", "Another."]);
        assert_eq!(
            help.commands,
            [("check".into(), "print nothing else".into())]
        );
        let [file, how] = &help.options[..] else {
            panic!("{:?}", help.options);
        };
        assert_eq!(file.names, ["-f", "--file"]);
        assert_eq!(file.arg.as_deref(), Some("FILE"));
        assert_eq!(file.text, "read lines");
        assert_eq!(file.offer(), Some(Offer::Files));
        assert_eq!(
            how.offer(),
            Some(Offer::Words(vec!["on".into(), "off".into()]))
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (text, problem) in [
            (
                "usage: prog\n\n  -x  text\n    odd\n",
                "not understood:     odd",
            ),
            (
                "usage: prog\n\n              odd\n",
                "it continues nothing: odd",
            ),
            ("usage: prog\n\n  -x\n", "[\"-x\"] is not explained"),
            ("usage: prog\n", "it has no usage or no options"),
        ] {
            assert_eq!(Help::parse("prog", text), Err(problem.into()), "{text}");
        }
    }
}
