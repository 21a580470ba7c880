//! Properties of machines that are kept and shown: all that the tables tell of a type and
//! that no code declares.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use crate::model::qdev::more as recorded_properties;
use crate::model::qom::{Getter, ObjectType, Property};

/// Switches that are on unless the user says otherwise.
const ON: &[&str] = &["auto-kernel-cmdline", "isa-serial", "x-option-roms"];

/// The further properties of a type of machines.
pub(super) fn more(class: &'static ObjectType) -> &'static [Property] {
    static MORE: LazyLock<Mutex<HashMap<&str, &[Property]>>> = LazyLock::new(Mutex::default);
    let mut more = MORE.lock().unwrap_or_else(|e| e.into_inner());
    more.entry(class.name).or_insert_with(|| {
        let all = recorded_properties(class).iter();
        // The time is told by the clock of a board, and there is none.
        let kept = all.filter(|p| p.type_name != "struct tm");
        kept.map(of_machine).collect::<Vec<_>>().leak()
    })
}

/// The same property of a machine, which is never complete as a device is.
fn of_machine(recorded: &Property) -> Property {
    let get = match recorded.type_name {
        "OnOffAuto" => Getter::Str("auto"),
        "SgxEPC" | "CXLFixedMemoryWindow" => Getter::EmptyList,
        "bool" if ON.contains(&recorded.name) => Getter::Bool(true),
        _ => recorded.get,
    };
    recorded.thawed(get)
}
