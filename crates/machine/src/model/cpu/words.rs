//! Where the bits of features are: a table that `tests/record/tables.py` records.
//!
//! The instruction `CPUID` gives words; each feature is a bit of one. A bit may have several
//! names, as people wrote them in the course of time: the first is the feature's, the others
//! stand for it.

use std::sync::OnceLock;

use crate::model::qom::{Getter, ObjectId, ObjectType, Property, Set};
use crate::model::Machine;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::Profile;

/// The words, an empty line, and the names of bits.
static OLD: &str = include_str!("../../facts/features.txt");
static NEW: &str = include_str!("../../facts/11.1/features.txt");

/// A word of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// The leaf.
    pub(super) eax: i64,
    /// The leaf below that, if there are several.
    pub(super) ecx: Option<i64>,
    pub(super) register: &'static str,
}

/// A feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// The number of its word.
    pub(super) word: usize,
    bit: u8,
    /// Whether the emulator does not offer it.
    pub(super) is_missing: bool,
}

impl Feature {
    /// The warning when the emulator does not offer it.
    pub fn warning(&self, profile: Profile) -> String {
        let Word { eax, ecx, register } = table(profile).words[self.word];
        let place = match (eax, ecx) {
            (NO_LEAF, _) if profile.has_newer_types() => register.replace('H', "h"),
            (NO_LEAF, _) => register.to_owned(),
            (eax, _) if !profile.has_newer_types() => format!("CPUID.{eax:02X}H:{register}"),
            (eax, Some(ecx)) => format!("CPUID[eax={eax:02X}h,ecx={ecx:02X}h].{register}"),
            (eax, None) => format!("CPUID[eax={eax:02X}h].{register}"),
        };
        format!(
            "TCG doesn't support requested feature: {place}.{} [bit {}]",
            self.name, self.bit
        )
    }
}

/// A feature in no word of `CPUID`: it is a bit of a register that the model has.
const SPLIT_LOCK: (&str, &str, u8) = ("split-lock-detect", "MSR(CFH)", 5);

/// The leaf of registers that are read in another way.
const NO_LEAF: i64 = -1;

/// The table, read.
pub(super) struct Table {
    pub(super) words: Vec<Word>,
    /// The features, word by word in the order of warnings.
    pub(super) features: Vec<Feature>,
    /// Another name, and the feature that it stands for.
    aliases: Vec<(&'static str, &'static str)>,
}

/// The table. It is read when the first processor is made.
pub(super) fn table(profile: Profile) -> &'static Table {
    static READ: [OnceLock<Table>; Profile::ALL.len()] =
        [const { OnceLock::new() }; Profile::ALL.len()];
    READ[profile as usize].get_or_init(|| {
        let text = if profile.has_newer_types() { NEW } else { OLD };
        let (words, names) = text.split_once("\n\n").unwrap_or_default();
        let mut read = Table {
            words: words.lines().map(word).collect(),
            features: Vec::new(),
            aliases: Vec::new(),
        };
        for feature in names.lines().map(feature) {
            match read.features.last() {
                Some(last) if (last.word, last.bit) == (feature.word, feature.bit) => {
                    read.aliases.push((feature.name, last.name));
                }
                _ => read.features.push(feature),
            }
        }
        // Lists of words begin with the last one, warnings with the first.
        read.features.sort_by_key(|f| std::cmp::Reverse(f.word));
        let (name, register, bit) = SPLIT_LOCK;
        read.features.push(Feature {
            name,
            word: read.words.len(),
            bit,
            is_missing: true,
        });
        read.words.push(Word {
            eax: NO_LEAF,
            ecx: None,
            register,
        });
        read
    })
}

fn word(line: &'static str) -> Word {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    Word {
        eax: next().parse().unwrap_or_default(),
        ecx: next().parse().ok(),
        register: next(),
    }
}

fn feature(line: &'static str) -> Feature {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    Feature {
        name: next(),
        word: next().parse().unwrap_or_default(),
        bit: next().parse().unwrap_or_default(),
        is_missing: next() == "m",
    }
}

/// The features that the emulator does not offer.
pub(super) fn missing(profile: Profile) -> impl Iterator<Item = &'static Feature> {
    table(profile).features.iter().filter(|f| f.is_missing)
}

/// The leaf about virtual machines on AMD's processors, which only those with `svm` have.
const SVM_LEAF: i64 = 0x8000_000a;

/// The features that a processor was to have and the emulator does not offer it.
pub(super) fn lacking(m: &Machine, id: ObjectId) -> Vec<&'static Feature> {
    let has_svm = m.bool_property(id, "svm");
    let table = table(m.profile);
    let needs_svm = |f: &Feature| table.words[f.word].eax == SVM_LEAF;
    let features = table.features.iter();
    let lacking = features.filter(|f| f.is_missing || !has_svm && needs_svm(f));
    lacking.filter(|f| m.bool_property(id, f.name)).collect()
}

/// The property that another name stands for.
fn aliased(name: &'static str, others: &[Property]) -> Option<&'static str> {
    // Later tables have all names of the earlier ones.
    let mut aliases = table(Profile::V11_1).aliases.iter();
    if let Some((_, target)) = aliases.find(|(alias, _)| *alias == name) {
        return Some(target);
    }
    // Most names have none, and there are hundreds of them to compare with hundreds.
    if !name.contains('_') {
        return None;
    }
    let dashed = name.replace('_', "-");
    let mut others = others.iter().map(|p| p.name);
    others.find(|other| *other == dashed)
}

/// The properties of a model that are not declared: those of the tables. Some of them are
/// other names.
pub(super) fn further(
    class: &'static ObjectType,
    mut recorded: Box<[Property]>,
) -> &'static [Property] {
    let known: Vec<Property> = class
        .ancestry()
        .flat_map(|t| t.properties)
        .copied()
        .chain(recorded.iter().copied())
        .collect();
    for p in &mut recorded {
        if let Some(target) = aliased(p.name, &known) {
            *p = Property::new(p.name, p.type_name, Getter::Alias(target), Some(set_alias));
        }
    }
    Box::leak(recorded)
}

fn set_alias(set: Set<'_>) -> Result<(), Error> {
    match set.property.get {
        Getter::Alias(target) => set.machine.property_set(set.id, target, set.input),
        _ => Ok(()),
    }
}

/// The value of `feature-words`.
pub(super) fn feature_words(m: &Machine, id: ObjectId) -> QObject {
    let table = table(m.profile);
    let mut bits = vec![0i64; table.words.len()];
    for feature in &table.features {
        if m.bool_property(id, feature.name) {
            bits[feature.word] |= 1 << feature.bit;
        }
    }
    let (basic, extended) = (
        table.find(0x1, None, "EDX"),
        table.find(0x8000_0001, None, "EDX"),
    );
    let repeats = m.str_property(id, "vendor") == REPEATING;
    if let (Some(basic), Some(extended), true) = (basic, extended, repeats) {
        bits[extended] |= bits[basic] & REPEATED;
    }
    let components = table.find(0xd, Some(0), "EAX");
    if let Some(at) = components {
        bits[at] |= xsave_components(m, id);
    }
    listed(table, &bits)
}

/// The maker whose processors repeat features of the first leaf in the first extended one, and
/// the bits of those.
const REPEATING: &str = "AuthenticAMD";
const REPEATED: i64 = 0x0183_f3ff;

impl Table {
    /// The number of a word.
    fn find(&self, eax: i64, ecx: Option<i64>, register: &str) -> Option<usize> {
        let is_it = |w: &Word| (w.eax, w.ecx, w.register) == (eax, ecx, register);
        self.words.iter().position(is_it)
    }
}

/// The parts of a processor's state that `xsave` stores, by the features that bring them.
const COMPONENTS: &[(&str, i64)] = &[
    ("avx", 0x4),
    ("mpx", 0x18),
    ("avx512f", 0xe0),
    ("pku", 0x200),
    ("amx-tile", 0x6_0000),
];

fn xsave_components(m: &Machine, id: ObjectId) -> i64 {
    if !m.bool_property(id, "xsave") {
        return 0;
    }
    let brought = COMPONENTS
        .iter()
        .filter(|(name, _)| m.bool_property(id, name));
    brought.fold(3, |all, (_, bits)| all | bits)
}

/// The value of `filtered-features`.
pub(super) fn filtered_features(m: &Machine, id: ObjectId) -> QObject {
    let mut bits = vec![0i64; table(m.profile).words.len()];
    let taken = match m.cell(id, "unavailable-features") {
        Some(QObject::List(names)) => names,
        _ => Vec::new(),
    };
    for feature in missing(m.profile) {
        if taken.iter().any(|name| name.as_str() == Some(feature.name)) {
            bits[feature.word] |= 1 << feature.bit;
        }
    }
    listed(table(m.profile), &bits)
}

fn listed(table: &Table, bits: &[i64]) -> QObject {
    let word = |(word, bits): (&Word, &i64)| -> QObject {
        let mut dict = QDict::new();
        dict.insert("cpuid-register", word.register);
        if let Some(ecx) = word.ecx {
            dict.insert("cpuid-input-ecx", ecx);
        }
        dict.insert("cpuid-input-eax", word.eax);
        dict.insert("features", *bits);
        dict.into()
    };
    let words = table.words.iter().zip(bits);
    let words = words.filter(|(word, _)| word.eax != NO_LEAF);
    QObject::List(words.map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_tells_where_the_bit_is() {
        let rtm = missing(Profile::V10_0).find(|f| f.name == "rtm").unwrap();
        assert_eq!(
            rtm.warning(Profile::V10_0),
            "TCG doesn't support requested feature: CPUID.07H:EBX.rtm [bit 11]"
        );
        let rtm = missing(Profile::V11_1).find(|f| f.name == "rtm").unwrap();
        assert_eq!(
            rtm.warning(Profile::V11_1),
            "TCG doesn't support requested feature: CPUID[eax=07h,ecx=00h].EBX.rtm [bit 11]"
        );
    }

    #[test]
    fn other_names_of_a_bit_lead_to_the_feature() {
        let names = ["sse4_1", "sse4-1", "xd", "i64", "pclmuldq"];
        let targets = names.map(|name| aliased(name, &[]));
        let features = ["sse4.1", "sse4.1", "nx", "lm", "pclmulqdq"];
        assert_eq!(targets, features.map(Some));
        assert_eq!(aliased("sse4.1", &[]), None);
    }
}
