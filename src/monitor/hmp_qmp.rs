//! `qmp NAME key=value...` runs any QMP command from the human monitor, so that
//! a person needs no HMP command written for it. QEMU has no such command.
//!
//! Arguments are written as `key=value`, with dots in a key for members of
//! members. As on the command line a value is text, and the schema decides how it
//! is read: `80` is a number for a number argument and a name for a string
//! argument. A value with blanks must be quoted. Lists and whole objects are
//! written as in JSON: `fdset-ids=[1,2]`. All arguments may instead be one JSON
//! object, which is read as QMP reads it.
//!
//! TAB completes the command, its arguments and their values, from the schema.
//!
//! ```text
//! (qemu) qmp getfd fdname=disk
//! (qemu) qmp query-status
//! {
//!     "running": true,
//!     "status": "running"
//! }
//! ```

use super::hmp::{ArgKind, CompletionKind, Hmp, HmpArg, HmpArgs, HmpRow};
use super::request_trace::trace_enter;
use crate::qapi::dispatch::{qmp_find_command, Call, DispatchEnv, QmpCommandFunc};
use crate::qapi::json::{qobject_from_json, qobject_to_json};
use crate::qapi::{Error, QDict, QObject};
use crate::trace::events;

/// The command's row. It changes nothing itself; the QMP command is checked under
/// its own name.
pub(crate) const QMP: HmpRow = HmpRow::new(
    "qmp",
    "command [key=value ...]",
    "execute a QMP command and print what it returns",
)
.args(&[
    HmpArg::new("command", ArgKind::Str).completes(CompletionKind::QmpCommands),
    HmpArg::new("arguments", ArgKind::RestOfLine)
        .optional()
        .completes(CompletionKind::QmpArguments),
])
.preconfig()
.coroutine()
.read_only();

/// The deepest nesting of a key; entering one and dropping it recurse.
const MAX_FRAGMENTS: usize = 256;

/// Runs the command.
pub(crate) fn hmp_qmp<S>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let arguments = args.try_str("arguments").unwrap_or_default();
    let result = execute(hmp, args.str("command"), arguments);
    hmp.handle_error(result);
}

/// Executes the command and prints what it returns, maybe later.
fn execute<S>(hmp: &mut Hmp<'_, S>, name: &str, arguments: &str) -> Result<(), Error> {
    let env = DispatchEnv {
        preconfig: hmp.rt.preconfig,
        policy: hmp.rt.policy,
        ..DispatchEnv::default()
    };
    let command = qmp_find_command(&hmp.rt.commands, name, &env)?;
    hmp.rt.check_qmp_command(command.name)?;
    let is_json = arguments.trim_start().starts_with('{');
    let args = if is_json {
        parse_json(arguments)?
    } else {
        parse_keyval(arguments)?
    };
    let mut out = hmp.rt.json_writer(true);
    let mut call = Call::new(args, env.policy, &mut out);
    if !is_json {
        call = call.keyval();
    }
    call.on_enter(events::qmp_enter.is_wanted().then_some(trace_enter));
    match command.func {
        QmpCommandFunc::Immediate(func) => {
            func(hmp.rt, &mut call)?;
            // The writer ends lines with CR LF, which the monitor adds itself.
            // Within strings such bytes are escaped.
            let text = String::from_utf8_lossy(out.as_bytes()).replace("\r\n", "\n");
            print_value(hmp, &text);
        }
        QmpCommandFunc::Deferred(func) => {
            let responder = hmp.defer_raw(|hmp, answer| {
                if let Some(value) = hmp.handle_error(answer) {
                    print_value(hmp, &qobject_to_json(&value, true));
                }
            });
            func(hmp.rt, &mut call, responder);
        }
    }
    Ok(())
}

/// Prints a value, if it is not empty.
fn print_value<S>(hmp: &mut Hmp<'_, S>, text: &str) {
    if !matches!(text, "" | "{\n}" | "{}") {
        hmp.print(format!("{text}\n"));
    }
}

/// Reads all arguments as one JSON object.
fn parse_json(text: &str) -> Result<QDict, Error> {
    match qobject_from_json(text.trim().as_bytes())? {
        QObject::Dict(args) => Ok(args),
        _ => Err(Error::new("QMP input member 'arguments' must be an object")),
    }
}

/// Reads `key=value ...` into a dictionary for the keyval visitor.
fn parse_keyval(text: &str) -> Result<QDict, Error> {
    let mut args = QDict::new();
    for word in words(text) {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| Error::new(format!("Expected '=' after parameter '{word}'")))?;
        if key.split('.').count() > MAX_FRAGMENTS {
            return Err(Error::new(format!("Parameter '{key}' is too deep")));
        }
        put(&mut args, key, key, parse_value(value)?)?;
    }
    Ok(args)
}

/// Splits at blanks that are not within double quotes, brackets or braces.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut depth, mut quoted, mut escaped) = (0, 0_i32, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            c if c.is_whitespace() && !quoted && depth <= 0 => {
                words.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    words.push(&text[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// A value: text, quoted or not, or a list or an object.
fn parse_value(text: &str) -> Result<QObject, Error> {
    if text.starts_with(['"', '[', '{']) {
        return qobject_from_json(text.as_bytes()).map(scalars_to_text);
    }
    Ok(text.into())
}

/// Turns scalars into text, as the keyval visitor expects them.
fn scalars_to_text(value: QObject) -> QObject {
    match value {
        QObject::Dict(dict) => {
            let members = dict.into_iter();
            QObject::Dict(members.map(|(k, v)| (k, scalars_to_text(v))).collect())
        }
        QObject::List(list) => QObject::List(list.into_iter().map(scalars_to_text).collect()),
        QObject::String(_) | QObject::Null => value,
        scalar => qobject_to_json(&scalar, false).into(),
    }
}

/// Enters a value under a key whose dots lead into members.
fn put(args: &mut QDict, whole: &str, key: &str, value: QObject) -> Result<(), Error> {
    let inconsistent = || Error::new(format!("Parameter '{whole}' used inconsistently"));
    match key.split_once('.') {
        Some((outer, rest)) => {
            let mut inner = match args.remove(outer) {
                None => QDict::new(),
                Some(QObject::Dict(inner)) => inner,
                Some(_) => return Err(inconsistent()),
            };
            put(&mut inner, whole, rest, value)?;
            args.insert(outer, inner);
            Ok(())
        }
        None if args.contains_key(key) => Err(inconsistent()),
        None => {
            args.insert(key, value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_text_but_for_lists_and_objects() {
        for (text, json) in [
            ("", "{}"),
            ("  a=1  b=-2 ", r#"{"a": "1", "b": "-2"}"#),
            ("a=true b=null", r#"{"a": "true", "b": "null"}"#),
            (r#"a="1" b="x y\" z""#, r#"{"a": "1", "b": "x y\" z"}"#),
            (
                "a=1x b= c=/dev/null",
                r#"{"a": "1x", "b": "", "c": "/dev/null"}"#,
            ),
            ("a.b.c=1 a.d=x", r#"{"a": {"b": {"c": "1"}, "d": "x"}}"#),
            (
                r#"a=[1, {"b": true}] c={}"#,
                r#"{"a": ["1", {"b": "true"}], "c": {}}"#,
            ),
            ("a=b=c", r#"{"a": "b=c"}"#),
        ] {
            let args = parse_keyval(text).unwrap();
            assert_eq!(qobject_to_json(&args.into(), false), json, "{text}");
        }
        for (text, desc) in [
            ("a", "Expected '=' after parameter 'a'"),
            ("a=1 a=2", "Parameter 'a' used inconsistently"),
            ("a=1 a.b=2", "Parameter 'a.b' used inconsistently"),
            ("a.b=1 a=2", "Parameter 'a' used inconsistently"),
        ] {
            assert_eq!(parse_keyval(text).unwrap_err().desc(), desc, "{text}");
        }
        assert!(parse_keyval(&format!("a{}=1", ".a".repeat(100_000))).is_err());
        assert!(parse_keyval("a=[1").is_err());
        assert!(parse_json("{").is_err());
    }
}
