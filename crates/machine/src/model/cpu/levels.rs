//! The highest leaves of `CPUID`, which rise with the features.

use super::words::table;
use super::CpuOption;
use crate::model::qom::ObjectId;
use crate::model::Machine;

/// Ranges of leaves: the property with the highest one, and the least it may be.
const RANGES: &[(i64, &str, &str)] = &[
    (0x0, "level", "min-level"),
    (0x8000_0000, "xlevel", "min-xlevel"),
    (0xc000_0000, "xlevel2", "min-xlevel2"),
];

/// Features that bring a leaf other than the one with their bit.
const FURTHER: &[(&str, i64)] = &[("svm", 0x8000_000a), ("intel-pt", 0x14), ("sgx", 0x12)];

impl Machine {
    /// Raises the highest leaves to those of the features; one that the user has chosen, or the version of
    /// the machine, stays.
    /// Old versions of machines know only of one leaf.
    pub(super) fn raise_levels(&mut self, id: ObjectId, option: &CpuOption) {
        let leaves = self.leaves(id);
        for (first, level, least) in RANGES {
            let range = *first..first + 0x4000_0000;
            let highest = leaves.iter().filter(|leaf| range.contains(leaf)).max();
            let before = self.int_property(id, least);
            let raised = before.max(highest.copied().unwrap_or(0));
            if raised != before {
                self.store_by_name(id, least, raised);
            }
            let is_chosen = option.settings.iter().any(|(name, _)| name == level)
                || self.version_sets(&option.model.object, level);
            let now = self.int_property(id, level);
            if !is_chosen && now < raised {
                self.store_by_name(id, level, raised);
            }
        }
    }

    /// The leaves that a processor's features need.
    fn leaves(&self, id: ObjectId) -> Vec<i64> {
        let in_full = self.class.raises_cpu_levels();
        let features = table(self.profile).features.iter();
        let features = features.filter(|f| self.bool_property(id, f.name));
        let words = features.map(|feature| &table(self.profile).words[feature.word]);
        let words = words.filter(|w| in_full || (w.eax, w.ecx, w.register) == (7, Some(0), "EBX"));
        let further = FURTHER.iter().filter(|_| in_full);
        let further = further.filter(|(name, _)| self.bool_property(id, name));
        words
            .map(|word| word.eax)
            .chain(further.map(|(_, leaf)| *leaf))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::board::find_class;
    use crate::model::MachineOptions;

    #[test]
    fn levels_rise_with_features_on_new_machines() {
        let level = |class: &str, cpu: &str, property: &str| {
            let mut m = Machine::new(MachineOptions {
                class: find_class(qmonitor::Profile::V10_0, class).unwrap(),
                ..MachineOptions::default()
            });
            let cpu = CpuOption::parse(qmonitor::Profile::V10_0, cpu).unwrap();
            m.init_board(Some(cpu), &mut Vec::new()).unwrap();
            m.int_property(m.cpus[&0], property)
        };
        for (class, cpu, property, value) in [
            ("pc", "486", "level", 1),
            ("pc", "486,+arat", "level", 6),
            ("pc", "486,+avx512vbmi", "level", 7),
            ("pc", "486,+xsaveopt", "level", 0xd),
            ("pc", "486,+svm", "xlevel", 0x8000_000a),
            ("pc", "486,+xstore", "xlevel2", 0xc000_0001),
            ("pc", "486,level=50,+fsgsbase", "level", 50),
            ("pc", "486,min-level=9", "level", 9),
            ("pc-i440fx-2.7", "486,+arat", "level", 1),
        ] {
            assert_eq!(level(class, cpu, property), value, "{class} {cpu}");
        }
    }
}
