//! The members of a request, checked before the command is looked up.

use super::qobject::Name;
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

/// Checks the members of a request (`qmp_dispatch_check_obj`).
///
/// Of several wrong members, an unknown one is reported first (the smallest by
/// name), then `exec-oob`, `execute`, `arguments`. QEMU reports them in the order
/// of its hash table.
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
    let mut members = Members::default();
    let mut unexpected: Option<Name> = None;
    for (name, value) in dict.into_members() {
        match name.as_bytes() {
            b"execute" => members.execute = Some(value),
            b"exec-oob" if oob_enabled => members.exec_oob = Some(value),
            b"arguments" => members.arguments = Some(value),
            b"id" => members.id = Some(value),
            _ if unexpected
                .as_ref()
                .is_some_and(|least| least.as_bytes() < name.as_bytes()) => {}
            _ => unexpected = Some(name),
        }
    }
    let id = members.id.take();
    match members.check(unexpected) {
        Ok((command, oob, args)) => Ok(QmpRequest {
            command,
            oob,
            args,
            id,
        }),
        Err(desc) => Err((Error::new(desc), id)),
    }
}

#[derive(Default)]
struct Members {
    execute: Option<QObject>,
    exec_oob: Option<QObject>,
    arguments: Option<QObject>,
    id: Option<QObject>,
}

impl Members {
    fn check(self, unexpected: Option<Name>) -> Result<(String, bool, QDict), String> {
        if let Some(name) = unexpected {
            let name = name.as_str();
            return Err(format!("QMP input member '{name}' is unexpected"));
        }
        let string = |name, value| match value {
            QObject::String(command) => Ok(command),
            _ => Err(format!("QMP input member '{name}' must be a string")),
        };
        let (command, oob) = match (self.exec_oob, self.execute) {
            (None, None) => (None, false),
            (None, Some(value)) => (Some(string("execute", value)?), false),
            (Some(value), None) => (Some(string("exec-oob", value)?), true),
            (Some(value), Some(_)) => {
                string("exec-oob", value)?;
                return Err("QMP input member 'execute' clashes with 'exec-oob'".into());
            }
        };
        let args = match self.arguments {
            None => QDict::new(),
            Some(QObject::Dict(args)) => args,
            Some(_) => return Err("QMP input member 'arguments' must be an object".into()),
        };
        let command = command.ok_or("QMP input lacks member 'execute'")?;
        Ok((command, oob, args))
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
