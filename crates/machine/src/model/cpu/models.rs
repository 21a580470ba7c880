//! Models of processors: a table that `tests/record/tables.py` records.
//!
//! A model has the features of another one, with changes. Most have versions, `-v1` and so
//! on; the plain name is an alias of one of them. There are also `base`, which has nothing,
//! `max`, which has every feature the emulator offers, and `host`, which is the host's own
//! processor and needs KVM.

use std::sync::{Mutex, OnceLock};

use super::features::{supported, X86_CPU};
use super::words;
use crate::model::facts::merged;
use crate::model::qdev::left_out;
use crate::model::qom::{ObjectType, Property};
use qmonitor::Profile;

/// The names of all features, and then a line for each model.
static OLD: &str = include_str!("../../facts/processors.txt");
/// The same of QEMU 11.1, where only the lines that differ follow.
static NEW: &str = include_str!("../../facts/11.1/processors.txt");

/// The other results of `CPUID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its maker.
    pub vendor: &'static str,
    /// Family, model and stepping, the maker's numbers.
    pub family: i64,
    #[allow(missing_docs)]
    pub model: i64,
    #[allow(missing_docs)]
    pub stepping: i64,
    /// The highest basic leaf.
    pub level: i64,
    /// The highest extended leaf.
    pub xlevel: i64,
    /// The name it calls itself.
    pub model_id: &'static str,
}

/// A model of processors (QEMU's `X86CPUModel`).
pub struct CpuModel {
    /// Which QEMU's it is.
    profile: Profile,
    /// Its name.
    pub name: &'static str,
    /// The model it is an alias of.
    pub alias_of: Option<&'static str>,
    /// Its line in `-cpu help`.
    about: &'static str,
    flags: &'static str,
    /// The other results of `CPUID`.
    pub identity: Identity,
    /// The model that is most like it, and what differs: `+feature -feature ...`
    base: &'static str,
    changes: &'static str,
    /// The features that an emulator does not offer.
    missing: &'static str,
    /// The type of its objects.
    pub object: ObjectType,
}

impl CpuModel {
    fn read(profile: Profile, line: &'static str) -> Self {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let number = |digits: &str| digits.parse().unwrap_or_default();
        let name = next();
        CpuModel {
            profile,
            name,
            alias_of: Some(next()).filter(|alias| !alias.is_empty()),
            about: next(),
            flags: next(),
            identity: Identity {
                vendor: next(),
                family: number(next()),
                model: number(next()),
                stepping: number(next()),
                level: number(next()),
                xlevel: number(next()),
                model_id: next(),
            },
            base: next(),
            changes: next(),
            missing: next(),
            object: ObjectType {
                more: Some(further_properties),
                ..ObjectType::new(format!("{name}-x86_64-cpu").leak(), &X86_CPU)
            },
        }
    }

    /// Whether it needs the host's help.
    pub fn needs_kvm(&self) -> bool {
        self.name == "host"
    }

    /// Whether it means the same on all hosts.
    pub fn migration_safe(&self) -> bool {
        self.flags.contains('m')
    }

    /// Whether it means the same with all machine types.
    pub fn is_static(&self) -> bool {
        self.flags.contains('s')
    }

    /// Whether it is going away.
    pub fn is_deprecated(&self) -> bool {
        self.flags.contains('d')
    }

    /// All its features, also those that the emulator does not offer.
    pub fn features(&self) -> Vec<&'static str> {
        if !self.is_static() && !self.migration_safe() {
            return supported(self.profile);
        }
        let base = find_model(self.profile, self.base);
        let mut features = base.map_or_else(Vec::new, CpuModel::features);
        for change in self.changes.split_ascii_whitespace() {
            match change.split_at(1) {
                ("+", name) => features.push(name),
                (_, name) => features.retain(|f| *f != name),
            }
        }
        features
    }

    /// The names of its features that the emulator does not offer.
    pub fn unavailable(&self) -> impl Iterator<Item = &'static str> {
        self.missing.split_ascii_whitespace()
    }
}

/// The properties that are not declared, of a model's objects.
fn further_properties(class: &'static ObjectType) -> &'static [Property] {
    static MADE: Mutex<Vec<(&str, &[Property])>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(|e| e.into_inner());
    if let Some((_, properties)) = made.iter().find(|(name, _)| *name == class.name) {
        return properties;
    }
    let properties = words::further(class, left_out(class));
    made.push((class.name, properties));
    properties
}

/// All models.
pub fn all_models(profile: Profile) -> &'static [CpuModel] {
    static MODELS: [OnceLock<Vec<CpuModel>>; Profile::ALL.len()] =
        [const { OnceLock::new() }; Profile::ALL.len()];
    MODELS[profile as usize].get_or_init(|| {
        let old = OLD.lines().skip(1);
        let lines = if profile.has_newer_types() {
            merged(old, NEW.split_once('\n').map_or("", |(_, models)| models))
        } else {
            old.collect()
        };
        let read = |line: &&'static str| CpuModel::read(profile, line);
        lines.iter().map(read).collect()
    })
}

/// The names of all features, in one line.
fn feature_names(profile: Profile) -> &'static str {
    let table = if profile.has_newer_types() { NEW } else { OLD };
    table.lines().next().unwrap_or_default()
}

/// The model of that name (`x86_cpu_class_by_name`).
pub fn find_model(profile: Profile, name: &str) -> Option<&'static CpuModel> {
    all_models(profile).iter().find(|m| m.name == name)
}

/// The model whose objects have this type.
pub fn model_of_type(profile: Profile, typename: &str) -> Option<&'static CpuModel> {
    find_model(profile, typename.strip_suffix("-x86_64-cpu")?)
}

/// All models as `-cpu help` lists them; `query-cpu-definitions` begins at the end.
pub fn in_order(profile: Profile) -> impl DoubleEndedIterator<Item = &'static CpuModel> {
    let last = |model: &&CpuModel| matches!(model.name, "base" | "host" | "max");
    let all = all_models(profile);
    let first = all.iter().filter(move |model| !last(model));
    first.chain(all.iter().filter(last))
}

/// The text of `-cpu help`.
pub fn help(profile: Profile) -> String {
    let mut text = String::from("Available CPUs:\n");
    for model in in_order(profile) {
        text.push_str(&format!("  {:<20}  {}\n", model.name, model.about));
    }
    text.push_str("\nRecognized CPUID flags:\n");
    let mut line = String::new();
    for name in feature_names(profile).split(' ') {
        if line.len() + name.len() + 1 >= 75 {
            text.push_str(&format!(" {line}\n"));
            line.clear();
        }
        line.push(' ');
        line.push_str(name);
    }
    text + &format!(" {line}\n\n")
}

/// Whether a name is one of a feature.
#[cfg(test)]
fn is_feature(name: &str) -> bool {
    let has_bit = |profile| {
        words::table(profile)
            .features
            .iter()
            .any(|f| f.name == name)
    };
    // Features of registers have no bit in the table.
    let mut properties = super::features::PROPERTIES.iter();
    properties.any(|p| p.name == name) || Profile::ALL.into_iter().any(has_bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_built_on_others() {
        let qemu64 = find_model(Profile::V10_0, "qemu64").unwrap();
        assert_eq!(qemu64.alias_of, Some("qemu64-v1"));
        let features = qemu64.features();
        assert!(features.contains(&"svm") && features.contains(&"sse2"));
        assert!(!features.contains(&"avx"));
        assert!(find_model(Profile::V10_0, "base")
            .unwrap()
            .features()
            .is_empty());
        assert!(find_model(Profile::V10_0, "pentium4").is_none());
    }

    #[test]
    fn all_that_models_have_are_features_and_bases_exist() {
        let all = Profile::ALL.into_iter().flat_map(all_models);
        for model in all.filter(|m| !m.needs_kvm()) {
            let features = model.features();
            for (i, name) in features.iter().enumerate() {
                assert!(is_feature(name), "{}: {name}", model.name);
                assert!(
                    !features[..i].contains(name),
                    "{}: {name} twice",
                    model.name
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_told_in_order() {
        let names = |model: &str| -> Vec<_> {
            find_model(Profile::V10_0, model)
                .unwrap()
                .unavailable()
                .collect()
        };
        let haswell = ["pcid", "tsc-deadline", "hle", "invpcid", "rtm"];
        assert_eq!(names("Haswell-v1"), haswell);
        assert_eq!(names("qemu64"), [""; 0]);
    }
}
