//! Properties of machines that are kept and shown: all that the tables tell of a type and
//! that no code declares.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use crate::model::qdev::left_out;
use crate::model::qom::{Getter, ObjectType, Property};

/// Switches that are on unless the user says otherwise.
const ON: &[&str] = &["auto-kernel-cmdline", "isa-serial", "x-option-roms"];

/// The further properties of a type of machines.
pub(super) fn more(class: &'static ObjectType) -> &'static [Property] {
    static MORE: LazyLock<Mutex<HashMap<&str, &[Property]>>> = LazyLock::new(Mutex::default);
    let mut more = MORE.lock().unwrap_or_else(|e| e.into_inner());
    more.entry(class.name).or_insert_with(|| {
        let mut kept = left_out(class).into_vec();
        // The time is told by the clock of a board, and there is none.
        kept.retain(|p| p.type_name != "struct tm");
        for property in &mut kept {
            *property = of_machine(property);
        }
        Box::leak(kept.into_boxed_slice())
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
