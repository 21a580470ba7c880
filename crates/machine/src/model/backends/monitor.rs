//! Monitors as objects, as QEMU has them since version 11.1: `monitor-qmp` and
//! `monitor-hmp`.
//!
//! Users see the object: the monitor's name, and its options. The monitor itself
//! belongs to the library; the caller of `object_add` starts it
//! (`commands::objects`). In QEMU's listings before version 11.1 there are no such
//! types, but they can be used.

use crate::model::qom::{
    no_longer_set, set_bool, set_size, set_str, set_uint64, set_value, Getter, ObjectId,
    ObjectType, Property, Setter, OBJECT,
};
use crate::model::Machine;
use crate::schema::MonitorCloseAction;
use qmonitor::monitor::{MonitorMode, MonitorOptions, MonitorReadline, MAX_REPLY_SIZE};
use qmonitor::qapi::json::JsonLimits;
use qmonitor::qapi::visit::{to_qobject, InputVisitor, QapiType};
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};

pub(crate) static TYPES: &[&ObjectType] = &[&MONITOR, &MONITOR_QMP, &MONITOR_HMP];

/// A property of QEMU's. It can be set at any time.
const fn property(
    name: &'static str,
    type_name: &'static str,
    get: Getter,
    set: Setter,
) -> Property {
    Property::new(name, type_name, get, Some(set))
}

/// A property that QEMU does not have. It is fixed once the monitor runs.
const fn extension(
    name: &'static str,
    type_name: &'static str,
    get: Getter,
    set: Setter,
) -> Property {
    property(name, type_name, get, set)
        .frozen(no_longer_set)
        .extension()
}

static MONITOR: ObjectType = ObjectType::new_abstract(
    "monitor",
    &OBJECT,
    &[
        property("chardev", "string", Getter::Str(""), set_str),
        extension("read-only", "bool", Getter::Bool(false), set_bool),
        extension("allow", "string", Getter::Str("*"), set_str),
    ],
);

static MONITOR_QMP: ObjectType = ObjectType::new_user_creatable(
    "monitor-qmp",
    &MONITOR,
    &[
        property("pretty", "bool", Getter::Bool(false), set_bool),
        property(
            "close-action",
            "MonitorQMPCloseAction",
            Getter::Str("none"),
            set_value::<MonitorCloseAction>,
        ),
        extension("drain-on-close", "bool", Getter::Bool(false), set_bool),
        extension(
            "json-max-size",
            "size",
            Getter::Int(LIMITS.token_size as i64),
            set_size,
        ),
        extension(
            "json-max-tokens",
            "uint64",
            Getter::Int(LIMITS.token_count as i64),
            set_uint64,
        ),
        extension(
            "json-max-depth",
            "uint64",
            Getter::Int(LIMITS.nesting as i64),
            set_uint64,
        ),
        extension(
            "max-reply-size",
            "size",
            Getter::Int(MAX_REPLY_SIZE as i64),
            set_size,
        ),
    ],
);

static MONITOR_HMP: ObjectType = ObjectType::new_user_creatable(
    "monitor-hmp",
    &MONITOR,
    &[property("readline", "bool", Getter::Bool(true), set_bool)],
);

const LIMITS: JsonLimits = JsonLimits::QEMU;

impl Machine {
    /// Makes the object of a monitor that the command line asks for.
    ///
    /// # Errors
    ///
    /// As [`object_add`](Self::object_add).
    pub fn monitor_object(
        &mut self,
        name: &str,
        options: &MonitorOptions,
        policy: CompatPolicy,
    ) -> Result<ObjectId, Error> {
        let (class, other) = match options.mode {
            Some(MonitorMode::Control) => (&MONITOR_QMP, "readline"),
            _ => (&MONITOR_HMP, "pretty"),
        };
        let QObject::Dict(mut properties) = to_qobject(options) else {
            return Err(Error::new("options of a monitor are an object"));
        };
        for name in ["mode", other] {
            properties.remove(name);
        }
        if let Some(how) = properties.remove("readline") {
            properties.insert("readline", how != MonitorReadline::Off.as_str().into());
        }
        properties.insert("qom-type", class.name);
        properties.insert("id", name);
        self.object_add(properties, policy)
    }

    /// Whether a user's object of that name is an HMP monitor.
    pub fn is_human_monitor(&self, name: &str) -> bool {
        let object = self.user_object(name).and_then(|id| self.object(id));
        object.is_some_and(|object| object.class().is_a(MONITOR_HMP.name))
    }

    /// Options of the monitor this object stands for; `None` if it is no monitor.
    pub fn monitor_wanted(&self, id: ObjectId) -> Option<Result<MonitorOptions, Error>> {
        let class = self.object(id)?.class();
        if !class.is_a("monitor") {
            return None;
        }
        let mode = if class.is_a("monitor-qmp") {
            MonitorMode::Control
        } else {
            MonitorMode::Readline
        };
        let set = class.all_properties().into_iter();
        let set = set.filter_map(|p| Some((p.name, self.cell(id, p.name)?)));
        let mut options: QDict = set.collect();
        options.insert("mode", mode.as_str());
        // The object only says whether lines can be edited, not how.
        if let Some(QObject::Bool(false)) = options.remove("readline") {
            options.insert("readline", MonitorReadline::Off.as_str());
        }
        let mut v = InputVisitor::new(options.into(), CompatPolicy::default());
        Some(MonitorOptions::visit_in(&mut v, ""))
    }
}
