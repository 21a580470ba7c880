//! `key=value` lists as on QEMU's command line (QEMU's `QemuOpts`).
//!
//! A list is `VALUE,key=value,...`: the first item may leave out its key if the
//! list has an implied one. A comma in a value is doubled. An item without `=` is a
//! boolean: `server` is `server=on`, `nowait` is `wait=off`; both still work, with
//! a warning. (`nodelay` is `delay=off` as well, but the warning advises
//! `nodelay=on`, which is an option of its own.) If an option occurs twice the last
//! one counts, except for `id`: there the first one counts.
//!
//! Parsing checks every value against the list's types, so a bad `size=` is refused
//! even for a backend without a size.

use crate::qapi::visit::{parse_size, SizeError};
use crate::qapi::{Error, QDict};

/// The type of an option's values (QEMU's `QemuOptType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QemuOptType {
    /// Any text.
    String,
    /// `on` or `off`.
    Bool,
    /// An integer, decimal or with `0x`; a negative one wraps, as in C.
    Number,
    /// A number of bytes, perhaps with a suffix from `k` to `E`.
    Size,
}

/// A list of options: its name, its implied key and its options with their types
/// (QEMU's `QemuOptsList`).
#[derive(Debug, Clone, Copy)]
pub struct QemuOptsList<'a> {
    /// Its name in messages.
    pub name: &'static str,
    /// The key of a first item without a key.
    pub implied_opt_name: Option<&'static str>,
    /// The options. An empty list accepts any option, as text.
    pub desc: &'static [(&'static str, QemuOptType)],
    /// Options that QEMU does not have; `query-command-line-options` leaves them
    /// out.
    pub extensions: &'a [(&'static str, QemuOptType)],
}

impl QemuOptsList<'_> {
    /// The help text that lists all options, if `params` is valid and one of its
    /// items is `help` or `?`.
    pub fn help_wanted(&self, params: &str) -> Option<String> {
        let mut help = false;
        QemuOpts::parse_with_help(self, params, &mut Vec::new(), Some(&mut help)).ok()?;
        let all = self.desc.iter().chain(self.extensions);
        let lines = all.map(|(name, kind)| {
            let kind = match kind {
                QemuOptType::String => "str",
                QemuOptType::Bool => "bool (on/off)",
                QemuOptType::Number => "num",
                QemuOptType::Size => "size",
            };
            format!("  {name}=<{kind}>\n")
        });
        help.then(|| format!("{} options:\n{}", self.name, lines.collect::<String>()))
    }
}

/// A parsed list (QEMU's `QemuOpts`).
///
/// ```
/// use qmonitor::util::qemu_opts::{QemuOptType::*, QemuOpts, QemuOptsList};
///
/// static LIST: QemuOptsList = QemuOptsList {
///     name: "thing",
///     implied_opt_name: Some("kind"),
///     desc: &[("kind", String), ("wait", Bool), ("size", Size)],
///     extensions: &[],
/// };
/// let mut warnings = Vec::new();
/// let opts = QemuOpts::parse(&LIST, "a,,b,id=x,nowait,size=4k", &mut warnings).unwrap();
/// assert_eq!(opts.get("kind"), Some("a,b"));
/// assert_eq!(opts.id(), Some("x"));
/// assert_eq!(opts.get_bool("wait"), Some(false));
/// assert_eq!(opts.get_number("size"), Some(4096));
/// assert_eq!(warnings[0].desc(), "short-form boolean option 'nowait' deprecated");
/// let e = QemuOpts::parse(&LIST, "a,wait=perhaps", &mut warnings).unwrap_err();
/// assert_eq!(e.desc(), "Parameter 'wait' expects 'on' or 'off'");
/// ```
#[derive(Debug, Clone)]
pub struct QemuOpts {
    id: Option<String>,
    opts: Vec<(String, Value)>,
}

#[derive(Debug, Clone)]
struct Value {
    text: String,
    parsed: Parsed,
}

#[derive(Debug, Clone, Copy)]
enum Parsed {
    Text,
    Bool(bool),
    Number(u64),
}

/// The hints after a bad id and a bad size.
const ID_HINT: &str =
    "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.\n";
const SIZE_HINT: &str =
    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n\
     and exabytes, respectively.\n";

/// Whether `id` may name an object: letters, digits, `-`, `.`, `_`, starting
/// with a letter (`id_wellformed`).
pub fn id_wellformed(id: &str) -> bool {
    let mut bytes = id.bytes();
    bytes.next().is_some_and(|c| c.is_ascii_alphabetic())
        && bytes.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
}

/// `on`/`off` and their synonyms (`qapi_bool_parse`).
pub fn qapi_bool_parse(name: &str, value: &str) -> Result<bool, Error> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => Err(Error::new(format!(
            "Parameter '{name}' expects 'on' or 'off'"
        ))),
    }
}

/// An unsigned number the way C's `strtoull` with base 0 reads it: blanks, a
/// sign (a negative number wraps), `0x` or `0` in front.
///
/// # Errors
///
/// It is none, or too large; the text names the parameter.
pub fn parse_option_number(name: &str, value: &str) -> Result<u64, Error> {
    let bad = || Error::new(format!("Parameter '{name}' expects a number"));
    let text = value.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(hex) = lower.strip_prefix("0x") {
        (16, hex)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(bad());
    }
    match u64::from_str_radix(digits, radix) {
        Ok(n) if negative => Ok(n.wrapping_neg()),
        Ok(n) => Ok(n),
        Err(_) => Err(Error::new(format!(
            "Value '{value}' is too large for parameter '{name}'"
        ))),
    }
}

/// A size: `4096`, `0x1000`, `4k`, `1.5M` (`parse_option_size`).
///
/// # Errors
///
/// It is none; the text names the parameter.
pub fn parse_option_size(name: &str, value: &str) -> Result<u64, Error> {
    parse_size(value).map_err(|error| match error {
        SizeError::OutOfRange => Error::new(format!(
            "Value '{value}' is out of range for parameter '{name}'"
        )),
        SizeError::Malformed => Error::new(format!(
            "Parameter '{name}' expects a non-negative number below 2^64"
        ))
        .with_hint(SIZE_HINT),
    })
}

/// Takes a value up to the next single comma; the rest starts after it.
fn get_opt_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    loop {
        match rest.find(',') {
            None => {
                value.push_str(rest);
                return (value, "");
            }
            Some(i) if rest[i + 1..].starts_with(',') => {
                value.push_str(&rest[..=i]);
                rest = &rest[i + 2..];
            }
            Some(i) => {
                value.push_str(&rest[..i]);
                return (value, &rest[i + 1..]);
            }
        }
    }
}

/// One item of an option string.
struct OptItem {
    name: String,
    value: String,
    /// The warning about a short form.
    warning: Option<Error>,
}

/// Splits off the first item of a text that is not empty. With `implied`, an item
/// without `=` is the value of that option.
fn next_item<'a>(text: &'a str, implied: Option<&str>) -> (OptItem, &'a str) {
    let end = text.find(['=', ',']).unwrap_or(text.len());
    let has_value = text[end..].starts_with('=');
    if let Some(name) = has_value.then_some(&text[..end]).or(implied) {
        let value = if has_value { &text[end + 1..] } else { text };
        let (value, rest) = get_opt_value(value);
        let item = OptItem {
            name: name.to_owned(),
            value,
            warning: None,
        };
        return (item, rest);
    }
    let short = &text[..end];
    let (name, value) = match short.strip_prefix("no") {
        Some(name) => (name, "off"),
        None => (short, "on"),
    };
    let advice = match short {
        "nodelay" => "nodelay=on".to_owned(),
        // QEMU advises the option `nodelay` for both spellings.
        "delay" => "nodelay=off".to_owned(),
        _ => format!("{name}={value}"),
    };
    let warning = Error::new(format!("short-form boolean option '{short}' deprecated"))
        .with_hint(format!("Please use {advice} instead\n"));
    let item = OptItem {
        name: name.to_owned(),
        value: value.to_owned(),
        warning: Some(warning),
    };
    (item, text.get(end + 1..).unwrap_or(""))
}

/// The value of the first `id`. QEMU looks for it as if no option were implied, so
/// a doubled comma in an implied value separates here: `null,,id=x` has the id `x`.
fn find_id(params: &str) -> Option<String> {
    let mut rest = params;
    while !rest.is_empty() {
        let (item, tail) = next_item(rest, None);
        if item.name == "id" {
            return Some(item.value);
        }
        rest = tail;
    }
    None
}

impl QemuOpts {
    /// Parses a whole option string (`qemu_opts_parse`).
    ///
    /// Warnings about deprecated forms, each a text and a hint, are added to
    /// `warnings` even if an error follows: QEMU prints both, and stops reading there.
    pub fn parse(
        list: &QemuOptsList,
        params: &str,
        warnings: &mut Vec<Error>,
    ) -> Result<Self, Error> {
        Self::parse_with_help(list, params, warnings, None)
    }

    /// The same. With `help`, an item `help` or `?` is noted there and is not an
    /// error.
    fn parse_with_help(
        list: &QemuOptsList,
        params: &str,
        warnings: &mut Vec<Error>,
        mut help: Option<&mut bool>,
    ) -> Result<Self, Error> {
        let mut opts = QemuOpts {
            id: None,
            opts: Vec::new(),
        };
        // A bad id is reported before any other error.
        if let Some(id) = find_id(params) {
            if !id_wellformed(&id) {
                return Err(Error::new("Parameter 'id' expects an identifier").with_hint(ID_HINT));
            }
            opts.id = Some(id);
        }
        let mut rest = params;
        let mut first = list.implied_opt_name;
        while !rest.is_empty() {
            let (item, tail) = next_item(rest, first.take());
            rest = tail;
            let is_help = item.warning.is_some() && item.value == "on";
            if let (Some(help), true, "help" | "?") = (&mut help, is_help, item.name.as_str()) {
                **help = true;
                break;
            }
            warnings.extend(item.warning);
            if item.name != "id" {
                opts.set(list, &item.name, &item.value)?;
            }
        }
        Ok(opts)
    }

    /// An empty list with an id of any form. Fill it with [`set`](Self::set) and
    /// [`do_parse`](Self::do_parse).
    pub fn with_id(id: &str) -> Self {
        QemuOpts {
            id: Some(id.to_owned()),
            opts: Vec::new(),
        }
    }

    /// The same options under an id of any form, for `chardev-change`.
    pub fn under_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Every option's name and text in order (`qemu_opt_foreach`).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.opts
            .iter()
            .map(|(name, v)| (name.as_str(), v.text.as_str()))
    }

    /// All options as text, for a keyval visitor (`qemu_opts_to_qdict`). The last
    /// of several equal names counts.
    pub fn to_qdict(&self) -> QDict {
        let mut dict = QDict::new();
        let id = self.id().map(|id| ("id", id));
        for (name, text) in id.into_iter().chain(self.iter()) {
            dict.insert(name.to_owned(), text.to_owned());
        }
        dict
    }

    /// Adds options from a string (`qemu_opts_do_parse`). Short forms cause no
    /// warning here, and an `id` is ignored.
    pub fn do_parse(&mut self, list: &QemuOptsList, params: &str) -> Result<(), Error> {
        let more = Self::parse(list, params, &mut Vec::new())?;
        self.opts.extend(more.opts);
        Ok(())
    }

    /// Adds one option (`qemu_opt_set`).
    pub fn set(&mut self, list: &QemuOptsList, name: &str, value: &str) -> Result<(), Error> {
        let mut all = list.desc.iter().chain(list.extensions);
        let kind = match all.find(|(n, _)| *n == name) {
            Some((_, kind)) => *kind,
            None if list.desc.is_empty() => QemuOptType::String,
            None => return Err(Error::new(format!("Invalid parameter '{name}'"))),
        };
        let parsed = match kind {
            QemuOptType::String => Parsed::Text,
            QemuOptType::Bool => Parsed::Bool(qapi_bool_parse(name, value)?),
            QemuOptType::Number => Parsed::Number(parse_option_number(name, value)?),
            QemuOptType::Size => Parsed::Number(parse_option_size(name, value)?),
        };
        let text = value.to_owned();
        self.opts.push((name.to_owned(), Value { text, parsed }));
        Ok(())
    }

    /// The list's id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let mut found = self.opts.iter().rev().filter(|(n, _)| n == name);
        found.next().map(|(_, v)| v)
    }

    /// The text of a mandatory option; the error is `missing`.
    pub(crate) fn require(&self, name: &str, missing: &'static str) -> Result<String, Error> {
        let text = self.get(name).map(str::to_owned);
        text.ok_or_else(|| Error::new(missing))
    }

    /// An option's text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|v| v.text.as_str())
    }

    /// A boolean option's value.
    pub fn get_bool(&self, name: &str) -> Option<bool> {
        match self.find(name)?.parsed {
            Parsed::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a number or size.
    pub fn get_number(&self, name: &str) -> Option<u64> {
        match self.find(name)?.parsed {
            Parsed::Number(value) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "qemu_opts_tests.rs"]
mod tests;
