//! Interrupt controllers: `info pic`, `info irq`.

use super::hmp::Cx;
use crate::model::board::Family;
use crate::model::qom::ObjectId;
use crate::Machine;
use qmonitor::monitor::hmp::{HmpArgs, HmpPair, HmpRow};

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("irq", "", "show the interrupts statistics (if available)"),
        |hmp, _| {
            let page = statistics(&hmp.rt.state);
            hmp.print(page);
        },
    ),
    (HmpRow::new("pic", "", "show PIC state"), hmp_info_pic),
];

const PINS: usize = 24;

/// The controllers in QEMU's order, which is that of hash tables.
fn controllers(m: &Machine) -> Vec<ObjectId> {
    let mut children: Vec<_> = m.children(m.machine_object).collect();
    // The table of the machine's own properties differs by board.
    let is_last = m.class.family != Family::Q35;
    children.sort_by_key(|(name, _)| (*name == "unattached") == is_last);
    let all = children
        .into_iter()
        .flat_map(|(_, id)| std::iter::once(id).chain(m.walk_below(id)));
    let is_controller = |id: &ObjectId| matches!(m.class_name(*id), "ioapic" | "isa-i8259");
    let mut all: Vec<_> = all.filter(is_controller).collect();
    let pics = |id: &ObjectId| m.class_name(*id) == "isa-i8259";
    let places: Vec<_> = (0..all.len()).filter(|at| pics(&all[*at])).collect();
    if let [one, other] = places[..] {
        if is_first_pic(m, all[one]) == is_last {
            all.swap(one, other);
        }
    }
    all
}

fn is_first_pic(m: &Machine, id: ObjectId) -> bool {
    m.bool_property(id, "master")
}

/// How often each interrupt came. Where there is a high precision timer, it has ticked once.
pub(super) fn statistics(m: &Machine) -> String {
    let all = m.children(m.machine_object);
    let mut all = all.flat_map(|(_, id)| m.walk_below(id));
    let tick = if all.any(|id| m.class_name(id) == "hpet") {
        " 0: 1\n"
    } else {
        ""
    };
    let mut page = String::new();
    for id in controllers(m) {
        let class = m.class_name(id);
        // The second controller of a pair reports to the first.
        if class == "ioapic" || is_first_pic(m, id) {
            page += &format!("IRQ statistics for {class}:\n{tick}");
        }
    }
    page
}

fn hmp_info_pic(hmp: Cx, _args: &HmpArgs) {
    let m = &hmp.rt.state;
    let mut page = String::new();
    for id in controllers(m) {
        if m.class_name(id) == "ioapic" {
            page += "ioapic0: ver=0x20 id=0x00 sel=0x00\n";
            for pin in 0..PINS {
                page += &format!(
                    "  pin {pin:<2} 0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical\n"
                );
            }
            page += "  IRR      (none)\n  Remote IRR (none)\n";
        } else {
            let number = i32::from(!is_first_pic(m, id));
            page += &format!(
                "pic{number}: irr=00 imr=00 isr=00 hprio=0 irq_base=00 rr_sel=0 elcr=00 fnm=0\n"
            );
        }
    }
    hmp.print(page);
}
