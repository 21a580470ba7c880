//! The highest leaves of `CPUID`, which rise with the features.

use super::features::missing;
use super::CpuOption;
use crate::model::qom::ObjectId;
use crate::model::Machine;

/// Leaves, and the features in them that the emulator offers.
const LEAVES: &[(i64, &[&str])] = &[
    (0x6, &["arat"]),
    (
        0x7,
        &[
            "adx",
            "avx2",
            "bmi1",
            "bmi2",
            "clflushopt",
            "clwb",
            "cmpccxadd",
            "erms",
            "fsgsbase",
            "fsrc",
            "fsrm",
            "fsrs",
            "fzrm",
            "la57",
            "mpx",
            "pks",
            "pku",
            "rdpid",
            "rdseed",
            "sha-ni",
            "smap",
            "smep",
            "umip",
            "vaes",
        ],
    ),
    (0xd, &["xgetbv1", "xsaveopt"]),
    (
        0x8000_0001,
        &[
            "3dnow",
            "3dnowext",
            "3dnowprefetch",
            "abm",
            "cmp-legacy",
            "cr8legacy",
            "lahf-lm",
            "lm",
            "mmxext",
            "nx",
            "pdpe1gb",
            "rdtscp",
            "sse4a",
            "syscall",
        ],
    ),
    (0x8000_0008, &["wbnoinvd", "xsaveerptr"]),
    (0x8000_000a, &["svm"]),
];

/// Ranges of leaves: the property with the highest one, and the least it may be.
const RANGES: &[(i64, &str, &str)] = &[
    (0x0, "level", "min-level"),
    (0x8000_0000, "xlevel", "min-xlevel"),
    (0xc000_0000, "xlevel2", "min-xlevel2"),
];

/// The leaf of a feature that the emulator does not offer: `7` of `CPUID.07H:EBX`.
fn leaf(register: &str) -> Option<i64> {
    let (digits, _) = register.strip_prefix("CPUID.")?.split_once("H:")?;
    i64::from_str_radix(digits, 16).ok()
}

impl Machine {
    /// Raises the highest leaves to those of the features, unless the user has chosen them.
    /// Old versions of machines raise none.
    pub(super) fn raise_levels(&mut self, id: ObjectId, option: &CpuOption) {
        let missing = missing(self.profile);
        let missing = missing.filter(|f| self.bool_property(id, f.name));
        let offered = LEAVES.iter().filter(|(_, features)| {
            let mut features = features.iter();
            features.any(|name| self.bool_property(id, name))
        });
        let leaves: Vec<i64> = missing
            .filter_map(|f| leaf(f.register))
            .chain(offered.map(|(leaf, _)| *leaf))
            .filter(|_| self.class.raises_cpu_levels())
            .collect();
        for (first, level, least) in RANGES {
            if option.settings.iter().any(|(name, _)| name == level) {
                continue;
            }
            let range = *first..first + 0x4000_0000;
            let highest = leaves.iter().filter(|leaf| range.contains(leaf)).max();
            let now = self.int_property(id, level);
            let least = self.int_property(id, least);
            let value = now.max(least).max(highest.copied().unwrap_or(0));
            if value != now {
                self.store_by_name(id, level, value);
            }
        }
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
