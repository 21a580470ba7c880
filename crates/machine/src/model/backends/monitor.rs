//! Monitors as objects, as QEMU has them since version 11.1: `monitor-qmp` and
//! `monitor-hmp`.
//!
//! The object is what users see of a monitor: its name, and its options, which
//! are fixed once it is made. The monitor itself belongs to the monitor
//! library; whoever completes the object starts it (`commands::objects`).

use super::OBJECT;
use crate::model::qom::{
    check_incomplete, set_bool, set_str, set_value, Getter, ObjectId, ObjectType, Property,
    PropertyInput,
};
use crate::schema::MonitorCloseAction;
use crate::Machine;
use qmonitor::monitor::{MonitorMode, MonitorOptions, MonitorReadline};
use qmonitor::qapi::json::JsonLimits;
use qmonitor::qapi::visit::{InputVisitor, QapiType};
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};

pub(super) static TYPES: &[&ObjectType] = &[&MONITOR, &MONITOR_QMP, &MONITOR_HMP];

const fn property(name: &'static str, type_name: &'static str, get: Getter) -> Property {
    Property::new(name, type_name, get, Some(set_once))
}

static MONITOR: ObjectType = ObjectType::new_abstract(
    "monitor",
    &OBJECT,
    &[
        property("chardev", "string", Getter::Str("")),
        property("read-only", "bool", Getter::Bool(false)),
        property("allow", "string", Getter::Str("*")),
    ],
);

static MONITOR_QMP: ObjectType = ObjectType::new_user_creatable(
    "monitor-qmp",
    &MONITOR,
    &[
        property("pretty", "bool", Getter::Bool(false)),
        property("close-action", "MonitorCloseAction", Getter::Str("none")),
        property("drain-on-close", "bool", Getter::Bool(false)),
        property(
            "json-max-size",
            "size",
            Getter::Int(LIMITS.token_size as i64),
        ),
        property(
            "json-max-tokens",
            "uint64",
            Getter::Int(LIMITS.token_count as i64),
        ),
        property(
            "json-max-depth",
            "uint64",
            Getter::Int(LIMITS.nesting as i64),
        ),
    ],
);

static MONITOR_HMP: ObjectType = ObjectType::new_user_creatable(
    "monitor-hmp",
    &MONITOR,
    &[property("readline", "bool", Getter::Bool(true))],
);

const LIMITS: JsonLimits = JsonLimits::QEMU;

fn set_once(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    check_incomplete(m, id, property)?;
    match property.type_name {
        "bool" => set_bool(m, id, property, input),
        "string" => set_str(m, id, property, input),
        "size" => {
            let value = input.size()?;
            m.store(id, property, value);
            Ok(())
        }
        "uint64" => {
            let value = input.uint64()?;
            m.store(id, property, value);
            Ok(())
        }
        _ => set_value::<MonitorCloseAction>(m, id, property, input),
    }
}

impl Machine {
    /// What the monitor is to be that belongs to an object; `None` if that is
    /// no monitor.
    pub fn monitor_wanted(&self, id: ObjectId) -> Option<Result<MonitorOptions, Error>> {
        let class = self.object(id)?.class();
        if !class.is_a("monitor") {
            return None;
        }
        let mode = match class.is_a("monitor-qmp") {
            true => MonitorMode::Control,
            false => MonitorMode::Readline,
        };
        let set = class.all_properties().into_iter();
        let set = set.filter_map(|p| Some((p.name, self.cell(id, p.name)?)));
        let mut options: QDict = set.collect();
        options.insert("mode", mode.as_str());
        // Here it is only whether lines can be edited, not how.
        if let Some(QObject::Bool(false)) = options.remove("readline") {
            options.insert("readline", MonitorReadline::Off.as_str());
        }
        let mut v = InputVisitor::new(options.into(), CompatPolicy::default());
        Some(MonitorOptions::visit_in(&mut v, ""))
    }
}
