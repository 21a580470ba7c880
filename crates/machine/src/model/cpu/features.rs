//! Properties of processors: identity, place, and features.
//!
//! A feature is a bit in the results of the instruction `CPUID` (`words`), and
//! a boolean property of every processor. Models have features that an emulator cannot
//! offer without help from the host; these are switched off, with a warning.

use super::words::{feature_words, filtered_features};
use crate::model::qdev::{abstract_device, after_realize, property, DEVICE};
use crate::model::qom::{Getter, ObjectType, Property, Set};
use qmonitor::qapi::Error;
use qmonitor::Profile;

static CPU: ObjectType = ObjectType::new_abstract("cpu", &DEVICE, &[]);

/// The type that those of all models are derived from.
pub(crate) static X86_CPU: ObjectType = abstract_device("x86_64-cpu", &CPU, PROPERTIES);

pub(crate) static TYPES: &[&ObjectType] = &[&CPU, &X86_CPU];

/// Those that the emulator offers since QEMU 11.1.
const NEWLY_SUPPORTED: &[&str] = &["no-nested-data-bp", "null-sel-clr-base"];

/// Those that say what a processor does not suffer from. The best processor has none, as it
/// lacks the register that tells so.
const IMMUNITIES: &[&str] = &[
    "bhi-no",
    "fb-clear",
    "fbsdp-no",
    "gds-no",
    "ibrs-all",
    "mds-no",
    "pbrsb-no",
    "pschange-mc-no",
    "psdp-no",
    "rdctl-no",
    "rfds-no",
    "sbdr-ssdp-no",
    "skip-l1dfl-vmentry",
    "ssb-no",
    "taa-no",
];

/// All that the emulator's best processor has.
pub fn supported(profile: Profile) -> Vec<&'static str> {
    let shown = |name: &&str| !IMMUNITIES.contains(name);
    let mut all: Vec<_> = SUPPORTED.iter().copied().filter(shown).collect();
    if profile.has_newer_types() {
        all.extend(NEWLY_SUPPORTED);
    }
    all
}

const fn feature(name: &'static str) -> Property {
    property(name, "bool", Getter::Bool(false))
}

/// A number of the maker's, with a limit.
const fn number(name: &'static str) -> Property {
    Property::new(name, "int", Getter::Int(0), Some(set_number)).frozen(after_realize)
}

fn set_number(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.uint64()?;
    let name = set.property.name;
    let most = match name {
        "family" => 0xff + 0xf,
        "model" => 0xff,
        _ => 0xf,
    };
    if value > most {
        return Err(Error::new(format!(
            "parameter '{name}' can be at most {most}"
        )));
    }
    set.store(value as i64)
}

/// The maker's name, which is in three registers.
fn set_vendor(set: Set<'_>) -> Result<(), Error> {
    let vendor = set.input.string()?;
    if vendor.len() != 12 {
        return Err(Error::new(
            "value of property 'vendor' must consist of exactly 12 characters",
        ));
    }
    set.store(vendor)
}

macro_rules! features {
    (
        supported: $($supported:literal),*
        missing: $($missing:literal),*
    ) => {
        /// The features that an emulated processor can have.
        static SUPPORTED: &[&str] = &[$($supported),*];

        /// The properties of processors: identity, place, the handling of missing
        /// features, and one for each feature.
        pub(super) static PROPERTIES: &[Property] = &[
            Property::new("vendor", "string", Getter::Str(""), Some(set_vendor))
                .frozen(after_realize),
            number("family"),
            number("model"),
            number("stepping"),
            property("level", "uint32", Getter::Int(0)),
            property("xlevel", "uint32", Getter::Int(0)),
            property("xlevel2", "uint32", Getter::Int(0)),
            property("min-level", "uint32", Getter::Int(0)),
            property("min-xlevel", "uint32", Getter::Int(0)),
            property("min-xlevel2", "uint32", Getter::Int(0)),
            property("model-id", "string", Getter::Str("")),
            property("node-id", "int32", Getter::Int(-1)),
            property("socket-id", "int32", Getter::Int(-1)),
            property("die-id", "int32", Getter::Int(-1)),
            property("module-id", "int32", Getter::Int(-1)),
            property("core-id", "int32", Getter::Int(-1)),
            property("thread-id", "int32", Getter::Int(-1)),
            property("check", "bool", Getter::Bool(true)),
            property("enforce", "bool", Getter::Bool(false)),
            Property::new("unavailable-features", "strList", Getter::EmptyList, None),
            Property::new(
                "feature-words",
                "X86CPUFeatureWordInfo",
                Getter::With(feature_words),
                None,
            ),
            Property::new(
                "filtered-features",
                "X86CPUFeatureWordInfo",
                Getter::With(filtered_features),
                None,
            ),
            $(feature($supported),)*
            $(feature($missing),)*
        ];
    };
}

features! {
    supported:
        "3dnow", "3dnowext", "3dnowprefetch", "abm", "acpi", "adx", "aes", "apic", "arat",
        "bhi-no", "fbsdp-no", "gds-no", "ibrs-all", "mds-no", "pbrsb-no", "pschange-mc-no",
        "psdp-no", "rdctl-no", "rfds-no", "sbdr-ssdp-no", "skip-l1dfl-vmentry", "ssb-no", "taa-no",
        "avx", "avx2", "bmi1", "bmi2", "clflush", "clflushopt", "clwb", "cmov",
        "cmp-legacy", "cmpccxadd", "cr8legacy", "cx16", "cx8", "de", "erms", "f16c", "fma",
        "fb-clear", "fpu", "fsgsbase", "fsrc", "fsrm", "fsrs", "fxsr", "fzrm", "hypervisor", "la57",
        "lahf-lm", "lm", "mca", "mce", "mmx", "mmxext", "monitor", "movbe", "mpx", "msr",
        "mtrr", "npt", "nx", "pae", "pat", "pclmulqdq", "pdpe1gb", "pge", "pks", "pku",
        "pni", "popcnt", "pse", "pse36", "rdpid", "rdrand", "rdseed", "rdtscp", "sep",
        "sha-ni", "smap", "smep", "ss", "sse", "sse2", "sse4.1", "sse4.2", "sse4a", "ssse3",
        "svm", "svme-addr-chk", "syscall", "tsc", "umip", "vaes", "vgif", "wbnoinvd",
        "x2apic", "xgetbv1", "xsave", "xsaveerptr", "xsaveopt"
    missing:
        "vmx", "pcid", "tsc-deadline", "tsc-adjust", "hle", "invpcid", "rtm", "avx512f",
        "avx512dq", "avx512ifma", "avx512pf", "avx512er", "avx512cd", "avx512bw", "avx512vl",
        "avx512vbmi", "avx512vbmi2", "gfni", "vpclmulqdq", "avx512vnni", "avx512bitalg",
        "avx512-vpopcntdq", "bus-lock-detect", "cldemote", "movdiri", "movdir64b",
        "avx512-4vnniw", "avx512-4fmaps", "serialize", "tsx-ldtrk", "amx-bf16", "avx512-fp16",
        "amx-tile", "amx-int8", "spec-ctrl", "stibp", "arch-capabilities", "core-capability",
        "ssbd", "sha512", "sm3", "sm4", "avx-vnni", "avx512-bf16", "amx-fp16", "avx-ifma", "lam",
        "fxsr-opt", "misalignsse", "osvw", "xop", "fma4", "tbm", "topoext", "perfctr-core",
        "invtsc", "its-no", "clzero", "ibpb", "ibrs", "amd-stibp", "stibp-always-on", "amd-ssbd",
        "amd-psfd", "no-nested-data-bp", "lfence-always-serializing", "null-sel-clr-base",
        "auto-ibrs", "nrip-save", "vnmi", "xsavec", "xsaves", "xfd", "avx-vnni-int8",
        "avx-ne-convert", "avx-vnni-int16", "prefetchiti", "avx10", "intel-psfd", "ipred-ctrl",
        "rrsba-ctrl", "ddpd-u", "bhi-ctrl", "mcdt-no", "avx10-128", "avx10-256", "avx10-512",
        "xstore", "xstore-en", "xcrypt", "xcrypt-en", "ace2", "phe", "phe-en", "pmm", "pmm-en",
        "split-lock-detect"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_feature_is_there_twice() {
        let mut names: Vec<_> = PROPERTIES.iter().map(|p| p.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
