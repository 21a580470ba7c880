//! Requests, values and events as tests write them: the macro [`qmp!`](crate::qmp).

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QObject};

use crate::node::Node;

/// A request: to send, to match, to look for. In a matcher arguments may be matchers, as in a
/// scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The command.
    pub execute: String,
    /// Its arguments.
    pub arguments: QDict,
}

impl Request {
    /// A request without arguments.
    pub fn new(execute: impl Into<String>) -> Self {
        Request {
            execute: execute.into(),
            arguments: QDict::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, name: impl Into<String>, value: impl Into<QObject>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// As a client sends it.
    pub fn to_json(&self) -> String {
        qobject_to_json(&self.to_dict().into(), false)
    }

    pub(crate) fn to_dict(&self) -> QDict {
        let mut dict = QDict::new();
        dict.insert("execute", self.execute.as_str());
        if !self.arguments.is_empty() {
            dict.insert("arguments", self.arguments.clone());
        }
        dict
    }

    pub(crate) fn to_node(&self) -> Node {
        QObject::Dict(self.to_dict()).into()
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: QDict,
}

impl Event {
    /// An event without data.
    pub fn new(event: impl Into<String>) -> Self {
        Event {
            event: event.into(),
            data: QDict::new(),
        }
    }

    /// Adds a member to the data.
    #[must_use]
    pub fn arg(mut self, name: impl Into<String>, value: impl Into<QObject>) -> Self {
        self.data.insert(name, value);
        self
    }

    pub(crate) fn to_dict(&self) -> QDict {
        let mut dict = QDict::new();
        dict.insert("event", self.event.as_str());
        dict.insert("data", self.data.clone());
        dict
    }
}

/// Writes requests, values and events.
///
/// ```
/// use qmonitor_testkit::qmp;
///
/// let request = qmp!("device_del", id = "d0");
/// assert_eq!(request.to_json(), r#"{"execute": "device_del", "arguments": {"id": "d0"}}"#);
/// // A name that is no word of Rust stands in quotes; a matcher is an object.
/// qmp!("human-monitor-command", "command-line" = {"re": "^info"});
/// qmp!(event "DEVICE_DELETED", device = "d0", path = "/machine/peripheral/d0");
/// let n = 5;
/// qmp!({"status": "running", "list": [n, null]});
/// ```
#[macro_export]
macro_rules! qmp {
    (event $name:literal $(, $key:tt = $value:tt)* $(,)?) => {
        $crate::Event::new($name)$(.arg($crate::qmp!(@key $key), $crate::qmp!(@value $value)))*
    };
    (@key $key:ident) => { stringify!($key) };
    (@key $key:literal) => { $key };
    (@value $value:tt) => { $crate::serde_json::json!($value) };
    ({ $($json:tt)* }) => { $crate::value($crate::serde_json::json!({ $($json)* })) };
    ([ $($json:tt)* ]) => { $crate::value($crate::serde_json::json!([ $($json)* ])) };
    ($name:expr $(, $key:tt = $value:tt)* $(,)?) => {
        $crate::Request::new($name)$(.arg($crate::qmp!(@key $key), $crate::qmp!(@value $value)))*
    };
}

/// The value that [`qmp!`](crate::qmp) wrote.
#[doc(hidden)]
pub fn value(json: serde_json::Value) -> QObject {
    json.into()
}
