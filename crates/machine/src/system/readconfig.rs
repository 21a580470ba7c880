//! `-readconfig FILE`: options from a file (`qemu_config_parse`).
//!
//! ```text
//! # a comment is a line that begins with a hash
//! [chardev "mon0"]
//!   backend = "socket"
//!   path = "/run/mon0"
//! [mon]
//!   chardev = "mon0"
//! ```
//!
//! QEMU reads each line with three `scanf` patterns, and files rely on all that these
//! accept:
//!
//! * behind the closing quote anything may follow, the bracket may be missing;
//! * a value without quotes is empty, and there is no way to write a quote in one;
//! * names and ids are cut after 63 bytes, lines are split after 1023;
//! * a line of blanks is an error, an empty line is not.

use super::cli::Opt;
use super::option_groups::{option_of_group, Takes};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;

/// A group of options: `[NAME "ID"]` and the lines below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub name: String,
    pub id: Option<String>,
    pub params: Vec<(String, String)>,
    /// The line to name if the group is wrong: that of its last parameter or, if it
    /// has none, of the last one before it.
    pub line: Option<usize>,
}

impl Group {
    /// The group as the argument of a command line option. An `id` among the
    /// parameters takes the place of that in the brackets.
    pub(super) fn to_argument(&self) -> String {
        let has_id = self.params.iter().any(|(name, _)| name == "id");
        let id = self.id.as_ref().filter(|_| !has_id);
        let params = self
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        let items: Vec<String> = id
            .map(|id| ("id", id))
            .into_iter()
            .chain(params)
            .map(|(name, value)| format!("{name}={}", value.replace(',', ",,")))
            .collect();
        items.join(",")
    }
}

/// The longest name or id, the longest value, and the longest line.
const MAX_WORD: usize = 63;
const MAX_VALUE: usize = 1023;
const MAX_LINE: usize = 1023;

/// Reads a file's text and hands over each group as soon as it is complete, so that the
/// first error in the file is reported.
///
/// # Errors
///
/// `parse error`, `no group defined`, and the errors of `each`.
pub(super) fn qemu_config_foreach(
    text: &str,
    mut each: impl FnMut(Group) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut group: Option<Group> = None;
    let mut last_param = None;
    for (i, line) in lines(text).enumerate() {
        if line.starts_with(['\n', '#']) {
            continue;
        }
        if let Some((name, id)) = header(line) {
            if let Some(done) = group.take() {
                each(done)?;
            }
            group = Some(Group {
                name: name.to_owned(),
                id: id.map(str::to_owned),
                params: Vec::new(),
                line: last_param,
            });
            continue;
        }
        let Some((name, value)) = param(line) else {
            return Err(Error::new("parse error"));
        };
        let Some(group) = &mut group else {
            return Err(Error::new("no group defined"));
        };
        last_param = Some(i + 1);
        group.line = last_param;
        group.params.push((name.to_owned(), value.to_owned()));
    }
    group.map_or(Ok(()), each)
}

/// The lines with their newlines, long ones in pieces, as `fgets` cuts them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            let (piece, tail) = cut(rest, MAX_LINE);
            rest = tail;
            (!piece.is_empty()).then_some(piece)
        })
    })
}

/// The first `max` bytes or fewer, so that no character is cut in two, and the rest.
fn cut(text: &str, max: usize) -> (&str, &str) {
    let at = (0..=max.min(text.len())).rev();
    let at = at.into_iter().find(|at| text.is_char_boundary(*at));
    text.split_at(at.unwrap_or(0))
}

/// Takes a word as `scanf`'s `%63s` does.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_ascii_start();
    let end = text.find(|c: char| c.is_ascii_whitespace());
    let (word, _) = cut(&text[..end.unwrap_or(text.len())], MAX_WORD);
    (!word.is_empty()).then(|| (word, &text[word.len()..]))
}

/// Takes at least one and at most `max` bytes up to `end`.
fn up_to(text: &str, end: char, max: usize) -> Option<&str> {
    let (taken, _) = cut(text.split(end).next()?, max);
    (!taken.is_empty()).then_some(taken)
}

/// `[NAME "ID"]` or `[NAME]`.
fn header(line: &str) -> Option<(&str, Option<&str>)> {
    let inside = line.strip_prefix('[')?;
    let with_id = word(inside).and_then(|(name, rest)| {
        let id = up_to(rest.trim_ascii_start().strip_prefix('"')?, '"', MAX_WORD)?;
        Some((name, Some(id)))
    });
    with_id.or_else(|| Some((up_to(inside, ']', MAX_WORD)?, None)))
}

/// `NAME = "VALUE"`; anything else after the name is an empty value.
fn param(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = word(line)?;
    let value = rest.trim_ascii_start().strip_prefix('=').and_then(|rest| {
        let quoted = rest.trim_ascii_start().strip_prefix('"')?;
        up_to(quoted, '"', MAX_VALUE)
    });
    Some((name, value.unwrap_or("")))
}

/// The text of the file.
///
/// # Errors
///
/// It cannot be opened or read.
pub(super) fn read_text(path: &str) -> Result<String, Error> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path)
        .map_err(|e| Error::from_io(format!("Could not open '{path}'"), &e))?;
    file.read_to_end(&mut bytes)
        .map_err(|e| Error::from_io("Cannot read config file", &e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The option that a group of a configuration file stands for, and its argument.
///
/// # Errors
///
/// There is no such group, or it has no such parameter.
pub(super) fn option_of(group: &Group) -> Result<(Opt, String), Error> {
    let name = group.name.as_str();
    let Some((opt, takes)) = option_of_group(name) else {
        return Err(Error::new(format!("There is no option group '{name}'")));
    };
    let arg = group.to_argument();
    let list = match takes {
        Takes::Any => return Ok((opt, arg)),
        Takes::Listed(list) | Takes::One(list) => list,
    };
    for (param, _) in &group.params {
        let mut known = list.desc.iter().chain(list.extensions);
        if param != "id" && known.all(|(known, _)| known != param) {
            return Err(Error::new(format!("Invalid parameter '{param}'")));
        }
    }
    if group.id.is_some() && matches!(takes, Takes::One(_)) {
        return Err(Error::new("Invalid parameter 'id'"));
    }
    QemuOpts::parse(list, &arg, &mut Vec::new())?;
    Ok((opt, arg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Group>, String> {
        let mut groups = Vec::new();
        qemu_config_foreach(text, |group| {
            groups.push(group);
            Ok(())
        })
        .map_err(|e| e.to_string())?;
        Ok(groups)
    }

    fn group(name: &str, id: Option<&str>, params: &[(&str, &str)], line: Option<usize>) -> Group {
        let params = params.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        Group {
            name: name.into(),
            id: id.map(str::to_owned),
            params: params.collect(),
            line,
        }
    }

    #[test]
    fn what_a_header_may_look_like() {
        for (line, name, id) in [
            ("[chardev \"a\"]\n", "chardev", Some("a")),
            ("[chardev  \"a\" ]# x\n", "chardev", Some("a")),
            ("[ chardev \"a\"", "chardev", Some("a")),
            ("[chardev \"a b\"]", "chardev", Some("a b")),
            ("[mon]\n", "mon", None),
            ("[chardev a]\n", "chardev a", None),
            ("[chardev \"\"]\n", "chardev \"\"", None),
        ] {
            assert_eq!(header(line), Some((name, id)), "{line:?}");
        }
        assert_eq!(header("[]\n"), None);
        assert_eq!(header(" [mon]\n"), None);
    }

    #[test]
    fn what_a_parameter_may_look_like() {
        for (line, name, value) in [
            ("  path = \"a,b c\" # x\n", "path", "a,b c"),
            ("path\t=\"x\"", "path", "x"),
            ("path = x\n", "path", ""),
            ("path = \"\"\n", "path", ""),
            ("path \"x\"\n", "path", ""),
            ("path=\"x\"\n", "path=\"x\"", ""),
            ("path = \"x\n", "path", "x\n"),
            ("= \"x\"\n", "=", ""),
        ] {
            assert_eq!(param(line), Some((name, value)), "{line:?}");
        }
        assert_eq!(param(" \n"), None);
    }

    #[test]
    fn groups_and_the_lines_that_are_named() {
        let text =
            "# x\n[chardev \"a\"]\n\n backend = \"null\"\n[mon]\n[object \"o\"]\n id = \"p,q\"";
        let groups = parse(text).unwrap();
        assert_eq!(
            groups,
            [
                group("chardev", Some("a"), &[("backend", "null")], Some(4)),
                group("mon", None, &[], Some(4)),
                group("object", Some("o"), &[("id", "p,q")], Some(7)),
            ]
        );
        assert_eq!(groups[0].to_argument(), "id=a,backend=null");
        assert_eq!(groups[2].to_argument(), "id=p,,q");
    }

    #[test]
    fn errors() {
        for (text, message) in [
            ("[chardev \"a\"]\n \n", "parse error"),
            ("\r\n", "parse error"),
            ("backend = \"null\"\n", "no group defined"),
            ("[]\n", "no group defined"),
        ] {
            assert_eq!(parse(text).unwrap_err(), message, "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_long_names_too() {
        let long = "x".repeat(2000);
        let groups = parse(&format!("[mon]\n#{long}\n")).unwrap();
        assert_eq!(groups[0].params, [("x".repeat(63), String::new())]);
        let groups = parse(&format!("[{long} \"{long}\"]")).unwrap();
        assert_eq!(groups[0].name, "x".repeat(63));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]\"=# \na-cä]{0,60}") {
            let _ = parse(&text);
        }
    }
}
