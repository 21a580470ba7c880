//! The members of a request, checked before the command is looked up.

use super::qobject::{order, Name, Ties};
use super::{Error, QDict, QObject};

/// A request with valid members.
#[derive(Debug, Clone, PartialEq)]
pub struct QmpRequest {
    /// The command's name.
    pub command: String,
    /// Whether the command runs out of band.
    pub oob: bool,
    /// Its arguments; empty if the request has none.
    pub args: QDict,
    /// The value that the reply repeats.
    pub id: Option<QObject>,
}

/// Whether a message bypasses the queue for out-of-band execution (`qmp_is_oob`).
/// Only its members decide, even if the request turns out to be invalid.
pub fn qmp_is_oob(request: &QObject) -> bool {
    let dict = request.as_dict();
    dict.is_some_and(|d| d.contains_key("exec-oob") && !d.contains_key("execute"))
}

/// Checks the members of a request (`qmp_dispatch_check_obj`). Of several wrong members, the
/// first in the order of QEMU's dictionary is reported.
///
/// # Errors
///
/// Returns the error, and the `id` for the reply.
pub fn qmp_request_check(
    request: QObject,
    oob_enabled: bool,
) -> Result<QmpRequest, (Error, Option<QObject>)> {
    let QObject::Dict(dict) = request else {
        return Err((Error::new("QMP input must be a JSON object"), None));
    };
    let mut members = dict.into_members();
    let mut known = Known::default();
    let mut unexpected = false;
    for (name, value) in &mut members {
        match known.place(name.as_bytes(), oob_enabled) {
            Some(place) => *place = Some(std::mem::replace(value, QObject::Null)),
            None => unexpected = true,
        }
    }
    let id = known.id.take();
    if unexpected || !known.is_fine() {
        return Err((Error::new(known.error(&members, oob_enabled)), id));
    }
    let oob = known.exec_oob.is_some();
    // They are text and an object, as was just found.
    let command = match known.execute.or(known.exec_oob) {
        Some(QObject::String(command)) => command,
        _ => String::new(),
    };
    let args = match known.arguments {
        Some(QObject::Dict(args)) => args,
        _ => QDict::new(),
    };
    Ok(QmpRequest {
        command,
        oob,
        args,
        id,
    })
}

/// The members that a request may have.
#[derive(Default)]
struct Known {
    execute: Option<QObject>,
    exec_oob: Option<QObject>,
    arguments: Option<QObject>,
    id: Option<QObject>,
}

impl Known {
    fn place(&mut self, name: &[u8], oob_enabled: bool) -> Option<&mut Option<QObject>> {
        match name {
            b"execute" => Some(&mut self.execute),
            b"exec-oob" if oob_enabled => Some(&mut self.exec_oob),
            b"arguments" => Some(&mut self.arguments),
            b"id" => Some(&mut self.id),
            _ => None,
        }
    }

    /// Whether there is one command and nothing has the wrong type.
    fn is_fine(&self) -> bool {
        let one_command = matches!(
            (&self.execute, &self.exec_oob),
            (Some(QObject::String(_)), None) | (None, Some(QObject::String(_)))
        );
        one_command && matches!(self.arguments, None | Some(QObject::Dict(_)))
    }

    /// What is wrong. The values are here, not among the members.
    fn error(&self, members: &[(Name, QObject)], oob_enabled: bool) -> String {
        let is_text = |value: &Option<QObject>| matches!(value, Some(QObject::String(_)));
        for place in order(members, Ties::NewestFirst) {
            let name = members[place].0.as_str();
            match name {
                // In QEMU's order it is in front of the other.
                "exec-oob" if oob_enabled && is_text(&self.exec_oob) => {}
                "execute" if is_text(&self.execute) => {
                    if self.exec_oob.is_some() {
                        return "QMP input member 'execute' clashes with 'exec-oob'".into();
                    }
                }
                "execute" => return format!("QMP input member '{name}' must be a string"),
                "exec-oob" if oob_enabled => {
                    return format!("QMP input member '{name}' must be a string");
                }
                "arguments" if matches!(self.arguments, Some(QObject::Dict(_))) => {}
                "arguments" => return "QMP input member 'arguments' must be an object".into(),
                "id" => {}
                _ => return format!("QMP input member '{name}' is unexpected"),
            }
        }
        "QMP input lacks member 'execute'".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qapi::json::qobject_from_json;
    use crate::qapi::ErrorClass;

    fn json(text: &str) -> QObject {
        qobject_from_json(text.as_bytes()).unwrap()
    }

    #[track_caller]
    fn assert_refused(request: &str, oob: bool, desc: &str, id: Option<i64>) {
        let (error, got_id) = qmp_request_check(json(request), oob).unwrap_err();
        assert_eq!(error.desc(), desc);
        assert_eq!(error.class(), ErrorClass::GenericError);
        assert_eq!(got_id, id.map(QObject::from));
    }

    #[test]
    fn members_of_requests_are_checked_in_order() {
        let bad = |request, desc| assert_refused(request, true, desc, None);
        bad("[]", "QMP input must be a JSON object");
        bad("{}", "QMP input lacks member 'execute'");
        bad("{'arguments': {}}", "QMP input lacks member 'execute'");
        bad(
            "{'execute': 1}",
            "QMP input member 'execute' must be a string",
        );
        bad(
            "{'exec-oob': null}",
            "QMP input member 'exec-oob' must be a string",
        );
        bad(
            "{'execute': 'x', 'arguments': null}",
            "QMP input member 'arguments' must be an object",
        );
        bad(
            "{'execute': 1, 'arguments': 1}",
            "QMP input member 'execute' must be a string",
        );
        bad(
            "{'execute': 1, 'extra': 1}",
            "QMP input member 'extra' is unexpected",
        );
        bad(
            "{'arguments': 1, 'foo': 1, 'bar': 1}",
            "QMP input member 'bar' is unexpected",
        );
        let clash = "QMP input member 'execute' clashes with 'exec-oob'";
        bad("{'execute': 'x', 'exec-oob': 'x'}", clash);
        let unexpected = "QMP input member 'exec-oob' is unexpected";
        assert_refused("{'exec-oob': 'x', 'id': 1}", false, unexpected, Some(1));
        assert_refused(
            "{'id': 1}",
            false,
            "QMP input lacks member 'execute'",
            Some(1),
        );
    }

    #[test]
    fn requests_are_taken_apart() {
        let request = "{'id': 5, 'arguments': {'a': 1}, 'exec-oob': 'c'}";
        let got = qmp_request_check(json(request), true).unwrap();
        assert_eq!((got.command.as_str(), got.oob), ("c", true));
        assert_eq!(got.args, [("a", 1)].into_iter().collect());
        assert_eq!(got.id, Some(5.into()));
        let got = qmp_request_check(json("{'execute': 'c'}"), false).unwrap();
        assert_eq!((got.oob, got.args.is_empty(), got.id), (false, true, None));
    }

    #[test]
    fn members_alone_decide_about_out_of_band() {
        for (request, want) in [
            ("{'exec-oob': 1}", true),
            ("{'exec-oob': 'x', 'extra': 1}", true),
            ("{'exec-oob': 'x', 'execute': 'x'}", false),
            ("{'execute': 'x'}", false),
            ("[]", false),
        ] {
            assert_eq!(qmp_is_oob(&json(request)), want, "{request}");
        }
    }
}
